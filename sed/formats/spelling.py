"""Reversible percent-encoding of names that a format cannot hold, used only if needed.

A file may be named ``my call.wav``, or have bytes in its name that are not UTF-8; RTTM separates fields by blanks,
and JSON, CSV and Parquet are UTF-8. Characters that a format cannot hold are written as the bytes of the file name in
hexadecimal, ``my%20call``, as in a URL: `urllib.parse.unquote` and `os.fsdecode` restore the name. All other names are
unchanged, including ``100%`` and ``Gr%C3%BC``. A name that looks encoded has its ``%`` written as ``%25``, so distinct
names stay distinct and every name is restored when it is read.

>>> FIELD.write("WhatsApp Audio 1"), FIELD.write("100%"), FIELD.write("a%20b"), TEXT.write("caf\\udce9")
('WhatsApp%20Audio%201', '100%', 'a%2520b', 'caf%E9')
>>> [FIELD.read(text) for text in ("WhatsApp%20Audio%201", "100%", "a%2520b", "Gr%C3%BC")]
['WhatsApp Audio 1', '100%', 'a%20b', 'Gr%C3%BC']
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_BYTES = re.compile("[\udc80-\udcff]+")  # how Python represents bytes of a file name that are not UTF-8
_ESCAPES = re.compile(r"(?:%[0-9A-F]{2})+|%u[0-9A-F]{4}")
_LIKE_ESCAPE = re.compile(r"%(?=[0-9A-F]{2}|u[0-9A-F]{4})")


class Spelling:
    """How names are written in a format that cannot hold the characters `unsafe` (the inside of a character class).

    Surrogates are always unsafe. `blanks`: all Unicode blanks are unsafe. `edges`: blanks at either end are unsafe,
    since readers strip them. `reserved`: a name that has another meaning in the format.
    """

    def __init__(
        self, unsafe: str = "", *, blanks: bool = False, edges: bool = False, reserved: str = ""
    ) -> None:
        space = r"\s" if blanks else ""
        pattern = f"[{unsafe}{space}\ud800-\udfff]"
        if edges:
            pattern += r"|^\s+|\s+\Z"
        if reserved:
            pattern += f"|^{re.escape(reserved[0])}(?={re.escape(reserved[1:])}\\Z)"
        self._unsafe = re.compile(pattern)

    def write(self, name: str) -> str:
        """`name` in this spelling; unchanged if possible."""
        if "%" not in name and not self._unsafe.search(name):  # nearly all
            return name
        name = _BYTES.sub(_joined, name)
        encoded = self._encode(name)
        return encoded if self._unsafe.search(name) or self.read(name) != name else name

    def read(self, text: str) -> str:
        """The name that `write` turned into `text`; a text that `write` cannot return is itself the name."""
        if "%" not in text:
            return text
        name = _ESCAPES.sub(_decoded, text)
        return name if self._encode(name) == text else text

    def _encode(self, name: str) -> str:
        """`name` with every unsafe character, and every ``%`` that looks like an escape, encoded."""
        return self._unsafe.sub(lambda m: "".join(map(_escape, m[0])), _LIKE_ESCAPE.sub("%25", name))


def _joined(match: re.Match[str]) -> str:
    """Surrogate-escaped bytes that are valid UTF-8, as characters: the name of the same file."""
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
    if 0xD800 <= code <= 0xDFFF:  # a surrogate that no file name contains
        return f"%u{code:04X}"
    return "".join(f"%{byte:02X}" for byte in character.encode())


_CONTROL = "\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff"
TEXT = Spelling()
"""Any UTF-8 text: JSON, Parquet."""
CELL = Spelling("\0\r")
"""A cell of CSV: a reader would turn ``\\r`` into a line break."""
MARKUP = Spelling(_CONTROL)
"""XML: control characters cannot be written or are not preserved."""
LINE = Spelling(_CONTROL, edges=True)
"""Names that a line break ends and whose surrounding blanks are stripped: labels, captions, tiers."""
FIELD = Spelling(_CONTROL, blanks=True, reserved="<NA>")
"""A field between blanks: RTTM, UEM. ``<NA>`` means unknown there."""


def printable(text: str) -> str:
    """`text` with bytes of file names that are not UTF-8 as escapes, since streams and fonts cannot show them.

    >>> printable("100% of caf\\udce9")
    '100% of caf%E9'
    """
    return re.sub("[\ud800-\udfff]", lambda m: _escape(m[0]), text)


def plain(name: str) -> str:
    """A normal form of the spellings of one name: blanks become underscores, escapes are decoded.

    Other tools write ``my_call`` for ``my call``; both name the same recording.

    >>> plain("my call") == plain("my_call") == plain("my%20call") == plain("my\\u00a0call")
    True
    """
    return re.sub(r"[\s_]+", "_", _ESCAPES.sub(_decoded, name))


def match(names: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Match `others` to `names` that differ in blanks only (see `plain`): a mapping from other to name.

    Names with an exact partner, or with several candidates, are not matched.

    >>> match(["my_call", "b"], ["my call", "b"]), match(["my_call", "my call"], ["my call"])
    ({'my call': 'my_call'}, {})
    """
    first, second = set(names), set(others)
    unmatched: tuple[dict[str, list[str]], dict[str, list[str]]] = {}, {}
    for by_form, found in zip(unmatched, (first - second, second - first), strict=True):
        for name in sorted(found):
            by_form.setdefault(plain(name), []).append(name)
    ours, theirs = unmatched
    return {theirs[key][0]: ours[key][0] for key in ours if len(ours[key]) == len(theirs.get(key, ())) == 1}
