"""Recognises the format of a file by its content; its name is a hint, used if the content is inconclusive.

File names follow no rule: Kaldi's is called ``rttm``, others ``x.rttm.scoring`` or ``x.txt``, and ``/dev/stdin`` has
no suffix.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sed.errors import FormatError
from sed.formats import json
from sed.formats.kind import Format

_JSON = ("json", "jsonl", "seglst", "zed", "speechbrain")


def hinted(path: Path, kinds: Iterable[Format]) -> Format | None:
    """The format that a file's name stands for: by its longest suffix, by one before others, or as its whole name.

    >>> kinds = [Format("rttm", (".rttm",)), Format("zed", (".zed.json",), file_names=("zed.json",))]
    >>> [kind and kind.name for kind in (hinted(Path(n), kinds) for n in ("rttm", "a.rttm.scoring", "ZED.json", "a.b"))]
    ['rttm', 'rttm', 'zed', None]
    """
    name = path.name.lower()
    if whole := [kind for kind in kinds if name in (kind.name, *kind.file_names)]:
        return whole[0]
    while "." in name:
        matches = [(len(s), kind.name, kind) for kind in kinds for s in kind.suffixes if name.endswith(s)]
        if matches:
            return max(matches)[2]
        name = name.rpartition(".")[0]
    return None


def of_text(text: str, path: Path, kinds: dict[str, Format]) -> Format | None:
    """The format of `text`; if its content is inconclusive, the one that the name of `path` stands for, or None."""
    hint = hinted(path, kinds.values())
    is_json = text.lstrip()[:1] in ("{", "[")
    if hint is not None and hint.name in _JSON and is_json:
        return kinds[json.what_is(text, str(path))] if hint.name == "json" else hint
    if hint is not None and hint.looks is not None and hint.looks(text):
        return hint
    for kind in kinds.values():
        if kind.looks is not None and kind.looks(text):
            return kind
    if is_json:
        try:
            return kinds[json.what_is(text, str(path))]
        except FormatError:  # a text that begins with a bracket
            pass
    return hint
