"""Recognises the format of a file by its content; its name is used if the content is inconclusive.

File names follow no rule: Kaldi writes ``rttm``, others ``x.rttm.scoring`` or ``x.txt``, and ``/dev/stdin`` has no
suffix.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sed.errors import FormatError
from sed.formats import json
from sed.formats.kind import Format

_JSON = ("json", "jsonl", "seglst", "zed", "speechbrain")


def kind_by_name(path: Path, kinds: Iterable[Format]) -> Format | None:
    """The format that a file's name stands for: by the whole name, its longest suffix, or an inner suffix.

    >>> kinds = [Format("rttm", (".rttm",)), Format("zed", (".zed.json",), file_names=("zed.json",))]
    >>> found = [kind_by_name(Path(name), kinds) for name in ("rttm", "a.rttm.scoring", "ZED.json", "a.b")]
    >>> [kind and kind.name for kind in found]
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


def recognise_text(text: str, path: Path, kinds: dict[str, Format]) -> Format | None:
    """The format of `text`; if its content is inconclusive, the one of the name of `path`, or None."""
    hint = kind_by_name(path, kinds.values())
    is_json = text.lstrip()[:1] in ("{", "[")
    if hint is not None and hint.name in _JSON and is_json:
        return kinds[json.json_kind(text, str(path))] if hint.name == "json" else hint
    if hint is not None and hint.sniff is not None and hint.sniff(text):
        return hint
    for kind in kinds.values():
        if kind.sniff is not None and kind.sniff(text):
            return kind
    if is_json:
        try:
            return kinds[json.json_kind(text, str(path))]
        except FormatError:  # a text that happens to start with a bracket
            pass
    return hint
