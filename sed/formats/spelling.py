"""Names that a format cannot write as they are, as text that reads back: percent-encoding, only where it is needed.

A file may be named ``my call.wav``, or have bytes in its name that are not UTF-8; RTTM separates fields by blanks,
and JSON, CSV and Parquet are UTF-8. The characters that a format cannot hold are written as the bytes of the file
name in hexadecimal, ``my%20call``, as in a URL: `urllib.parse.unquote` and `os.fsdecode` give the name back. All other
names stay as they are, also ``100%`` and ``Gr%C3%BC``. A name that looks like one that was mended has its ``%``
written as ``%25``, so distinct names stay distinct and every name is restored when it is read.

>>> FIELD.write("WhatsApp Audio 1"), FIELD.write("100%"), FIELD.write("a%20b"), TEXT.write("caf\\udce9")
('WhatsApp%20Audio%201', '100%', 'a%2520b', 'caf%E9')
>>> [FIELD.read(text) for text in ("WhatsApp%20Audio%201", "100%", "a%2520b", "Gr%C3%BC")]
['WhatsApp Audio 1', '100%', 'a%20b', 'Gr%C3%BC']
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_BYTES = re.compile("[\udc80-\udcff]+")  # how Python spells bytes of a file name that are not UTF-8
_ESCAPES = re.compile(r"(?:%[0-9A-F]{2})+|%u[0-9A-F]{4}")
_LIKE_ESCAPE = re.compile(r"%(?=[0-9A-F]{2}|u[0-9A-F]{4})")


class Spelling:
    """How names are written where the characters of `unsafe`, the inside of a character class, cannot be.

    Half characters (surrogates) are always unsafe. `blanks`: so are blanks of every kind, of which Unicode has many.
    `edges`: blanks at the ends are, since readers strip them. `reserved`: a whole name that means something else.
    """

    def __init__(
        self, unsafe: str = "", *, blanks: bool = False, edges: bool = False, reserved: str = ""
    ) -> None:
        space = r"\s" if blanks else ""
        sort = f"[{unsafe}{space}\ud800-\udfff]"
        if edges:
            sort += r"|^\s+|\s+\Z"
        if reserved:
            sort += f"|^{re.escape(reserved[0])}(?={re.escape(reserved[1:])}\\Z)"
        self._unsafe = re.compile(sort)

    def write(self, name: str) -> str:
        """`name` as this spelling has it: unchanged if it can be."""
        if "%" not in name and not self._unsafe.search(name):  # nearly all
            return name
        name = _BYTES.sub(_joined, name)
        encoded = self._encode(name)
        return encoded if self._unsafe.search(name) or self.read(name) != name else name

    def read(self, text: str) -> str:
        """The name that was written as `text`; a text that `write` would not have changed into is a name itself."""
        if "%" not in text:
            return text
        name = _ESCAPES.sub(_decoded, text)
        return name if self._encode(name) == text else text

    def _encode(self, name: str) -> str:
        """`name` with everything encoded that is unsafe or could be taken for an escape."""
        return self._unsafe.sub(lambda m: "".join(map(_escape, m[0])), _LIKE_ESCAPE.sub("%25", name))


def _joined(match: re.Match[str]) -> str:
    """Bytes that are UTF-8 after all are the characters that they spell: the name of the same file."""
    return match[0].encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _decoded(match: re.Match[str]) -> str:
    text = match[0]
    if text[1] == "u":
        return chr(int(text[2:], 16))
    return bytes.fromhex(text.replace("%", "")).decode("utf-8", "surrogateescape")


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"%{code - 0xDC00:02X}"
    if 0xD800 <= code <= 0xDFFF:  # half a character that no file name has
        return f"%u{code:04X}"
    return "".join(f"%{byte:02X}" for byte in character.encode())


_CONTROL = "\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff"
TEXT = Spelling()
"""Where any text can stand that is UTF-8: JSON, Parquet."""
CELL = Spelling("\0\r")
"""A cell of CSV: a reader would make a line break of ``\\r``."""
MARKUP = Spelling(_CONTROL)
"""XML: control characters cannot be written, or do not read back."""
LINE = Spelling(_CONTROL, edges=True)
"""Where a line ends the name, and blanks around it are not part of it: labels, captions, tiers."""
FIELD = Spelling(_CONTROL, blanks=True, reserved="<NA>")
"""A field between blanks: RTTM, UEM. ``<NA>`` means unknown there."""


def printable(text: str) -> str:
    """`text` with bytes of file names that are not UTF-8 as escapes, for those who read it: no stream or font has them.

    >>> printable("100% of caf\\udce9")
    '100% of caf%E9'
    """
    return re.sub("[\ud800-\udfff]", lambda m: _escape(m[0]), text)


def plain(name: str) -> str:
    """What several spellings of one name share: blanks are underscores, escapes are what they stand for.

    Other tools write ``my_call`` for ``my call``; in a reference it is still the same recording.

    >>> plain("my call") == plain("my_call") == plain("my%20call") == plain("my\\u00a0call")
    True
    """
    return re.sub(r"[\s_]+", "_", _ESCAPES.sub(_decoded, name))


def match(names: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Which of `names` is meant by which of `others`, where these are the same but for blanks (see `plain`).

    Only those that have no exact partner, and no second one of that kind, are matched.

    >>> match(["my_call", "b"], ["my call", "b"]), match(["my_call", "my call"], ["my call"])
    ({'my call': 'my_call'}, {})
    """
    first, second = set(names), set(others)
    alone: tuple[dict[str, list[str]], dict[str, list[str]]] = {}, {}
    for own, found in zip(alone, (first - second, second - first), strict=True):
        for name in sorted(found):
            own.setdefault(plain(name), []).append(name)
    ours, theirs = alone
    return {theirs[key][0]: ours[key][0] for key in ours if len(ours[key]) == len(theirs.get(key, ())) == 1}
