"""Groups of recordings, such as those of one speaker: a table, a pattern or the references in, group names out.

Recordings of one speaker are not independent, so an interval over recordings would be too narrow; given groups,
`sed.scoring.score` resamples groups.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sed.errors import FormatError, OptionError
from sed.files import load_text
from sed.formats.csv import read_rows
from sed.formats.json import load
from sed.formats.kind import stem
from sed.result import Diarization

SPEAKER = "speaker"
RECORDING = ("file", "recording", "uri", "id", "path")
GROUP = ("group", SPEAKER)


def read_groups(source: str, references: Mapping[str, Diarization]) -> dict[str, str]:
    """The group of each of `references`, by name.

    `source` is ``speaker`` (recordings that share a speaker in the references), a CSV file with a column of recordings
    and one of groups (``file,group``, or ``speaker`` in place of ``group``), a JSON manifest
    (``{recording: {"speaker": ...}}``), or a regular expression whose first capturing group, applied to the
    recording's name, is the group, such as ``^([^_]+)_``.

    Raises `FormatError` on an invalid file, `OptionError` on any other source that gives no groups.

    >>> read_groups("^(spk[0-9]+)_", {"spk1_2": Diarization("spk1_2", 1.0, [])})
    {'spk1_2': 'spk1'}
    """
    if source == SPEAKER:
        return by_speaker(references)
    path = Path(source)
    if path.is_file():
        found = _manifest(path) if path.suffix.lower() == ".json" else _table(path)
        missing = [name for name in references if name not in found]
        what = f"{path}: no group for"
    else:
        found, missing = _matched(source, references)
        what = f"--group {source!r} does not match"
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise OptionError(f"{what} {shown}: expected one for each recording")
    return {name: found[name] for name in references}


def by_speaker(references: Mapping[str, Diarization]) -> dict[str, str]:
    """One group for recordings that share a speaker, directly or through others, named after its first recording.

    Raises `OptionError` on a recording without speaker names.

    >>> from sed.result import Segment
    >>> names = {"a": ("ann", "bob"), "b": ("cleo",), "c": ("bob",)}
    >>> by_speaker({n: Diarization(n, 9.0, [Segment(0, 1, s) for s in speakers]) for n, speakers in names.items()})
    {'a': 'a', 'b': 'b', 'c': 'a'}
    """
    first: dict[str, str] = {}  # speaker -> a recording
    parent = {name: name for name in references}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name] = parent[parent[name]]
        return name

    for name, reference in references.items():
        speakers = reference.speaker_names
        if not speakers:
            raise OptionError(f"--group speaker: the reference of {name} names no speaker")
        for speaker in speakers:
            one, other = sorted((root(first.setdefault(speaker, name)), root(name)))
            parent[other] = one
    return {name: root(name) for name in references}


def _matched(pattern: str, references: Mapping[str, Diarization]) -> tuple[dict[str, str], list[str]]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise OptionError(f"--group {pattern!r}: neither a file nor a valid pattern ({error})") from None
    if not compiled.groups:
        raise OptionError(
            f"--group {pattern!r}: neither a file nor a pattern with a capturing group; expected 'speaker', a table "
            "or a pattern such as '^([^_]+)_'"
        )
    matches = {name: compiled.search(name) for name in references}
    found = {name: match[1] for name, match in matches.items() if match and match[1] is not None}
    return found, [name for name in references if name not in found]


def _table(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for where, row in read_rows(path):
        recording = next((c for c in RECORDING if c in row), None)
        group = next((c for c in GROUP if c in row), None)
        if recording is None or group is None:
            raise FormatError(f"{where}: found columns {', '.join(map(str, row))}, expected file and group")
        name, value = row[recording].strip(), row[group].strip()
        if not (name and value):
            raise FormatError(f"{where}: found an empty cell, expected a recording and its group")
        for key in (name, stem(name)):
            if found.setdefault(key, value) != value:
                raise FormatError(f"{where}: found {key} in {value} and in {found[key]}, expected one group")
    return found


def _manifest(path: Path) -> dict[str, str]:
    rows = load(load_text(path), str(path))
    found = {}
    for name, row in rows.items() if isinstance(rows, dict) else ():
        value = next((row[key] for key in GROUP if row.get(key)), None) if isinstance(row, dict) else None
        if isinstance(value, str | int):
            found[name] = str(value)
    if not found:
        raise FormatError(f"{path}: expected a manifest with a group or speaker for each recording")
    return found
