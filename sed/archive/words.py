"""``--words``: which transcript belongs to which recording of a run.

A file belongs to the only recording, or has several recordings by name (CTM). In a folder a transcript is named after
its recording, with the recording's folders or without: ``anna/1.json`` or ``1.json`` for ``anna/1.wav``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sed.archive.inputs import Input
from sed.errors import OptionError
from sed.files import load_text
from sed.transcripts import FORMATS
from sed.transcripts.reading import parse_transcripts

SUFFIXES = (".json", ".ctm", ".vtt", ".srt")
"""In order of preference: Whisper writes several for one recording, and not all of them time the words."""


def check_outputs(kinds: Sequence[str]) -> None:
    """Raise `OptionError` if none of the formats holds words."""
    if not set(kinds) & set(FORMATS):
        found = ", ".join(kinds) or "none"
        raise OptionError(f"found outputs without words ({found}), expected one of {', '.join(FORMATS)}")


def find_transcripts(place: str, recordings: Sequence[Input]) -> dict[str, str]:
    """The path of the transcript of each recording, by the recording's `Input.stem`.

    Raises `OptionError` if a recording has none, and `FormatError` if a file for several recordings is no transcript.
    """
    if Path(place).is_dir():
        found = {r.stem: _in_folder(Path(place), r) for r in recordings}
        if missing := [r.stem for r in recordings if found[r.stem] is None]:
            raise OptionError(
                f"{place}: found no transcript for {_listed(missing)}, expected {_listed_suffixes()}"
            )
        return {stem: str(path) for stem, path in found.items()}
    if not os.path.exists(place):
        raise OptionError(f"{place}: no such file or folder, expected a transcript")
    if len(recordings) > 1 and any(t.uri is None for t in parse_transcripts(load_text(place), Path(place))):
        raise OptionError(
            f"{place}: found a transcript of one recording for {len(recordings)} recordings, expected a folder or a CTM"
        )
    return {r.stem: place for r in recordings}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _listed_suffixes() -> str:
    return "NAME" + ", ".join(SUFFIXES[:-1]) + f" or {SUFFIXES[-1]}"


def _in_folder(folder: Path, recording: Input) -> Path | None:
    stems = dict.fromkeys((recording.stem, recording.uri))
    paths = [folder / f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES]
    return next((path for path in paths if path.is_file()), None)


def with_versions(recordings: Sequence[Input], transcripts: dict[str, str]) -> list[Input]:
    """The recordings with versions that change with their transcripts, too, for the journal."""
    found = []
    for recording in recordings:
        status = os.stat(transcripts[recording.stem])
        version = f"{recording.version} {status.st_size}-{status.st_mtime_ns}"
        found.append(recording if recording.version is None else replace(recording, version=version))
    return found
