"""ZED, the Zaion Emotion Dataset: ``ZED.json`` with the boundaries of each emotion, and the audio it names.

``{id: {"wav": "datafolder/...", "duration", "emotion": [{"emo", "start", "end"}], "transcription"}}``. All of it is
test. The manifest's rows have the same form, so that ``sed-score manifest.json out/`` takes it as the reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from sed.corpora.emotion_words import emotion_word
from sed.corpora.entries import Entry, Notes, Preparer
from sed.corpora.manifest import OFFICIAL
from sed.corpora.tables import by_last_part, the_only
from sed.corpora.tree import Tree, stem
from sed.errors import FormatError
from sed.formats.json import load
from sed.formats.kind import number, short

_LETTERS = {"n": "neutral", "h": "happy", "a": "angry", "s": "sad"}


def read(tree: Tree, notes: Notes) -> Iterator[Entry]:
    """The entries of a tree; see `Preparer.read`."""
    label_file = the_only(tree, r"ZED\.json", "ZED.json")
    data = load(tree.text(label_file), f"{tree.title}, {label_file}")
    if not isinstance(data, dict):
        raise FormatError(f"{tree.title}, {label_file}: found a {type(data).__name__}, expected an object")
    files = by_last_part(tree.audio)
    for name, row in data.items():
        where = f"{tree.title}, {label_file}, {name}"
        if not isinstance(row, dict) or not isinstance(row.get("wav"), str):
            raise FormatError(
                f"{where}: found {short(row)}, expected an object with wav, duration and emotion"
            )
        file = _file(row["wav"], tree, files)
        if file is None:
            notes.add("that ZED.json names, but that are not there", row["wav"])
            continue
        if stem(file) != name:
            notes.add("whose audio has another name than their id", f"{name} ({stem(file)})")
        try:
            events = _events(row, where)
        except FormatError as error:
            notes.add("with events that cannot be used", f"{name} ({str(error).removeprefix(where + ': ')})")
            continue
        speaker = re.match(r"(spk\d+)_", name)
        kinds = sorted({label for _, _, label in events})
        yield Entry(
            id=name,
            file=file,
            speaker=speaker[1] if speaker else name,
            emotion=kinds[0] if len(kinds) == 1 else "mixed",
            language="en",
            text=row.get("transcription") or None,
            split="test",
            events=events,
        )


def _file(wav: str, tree: Tree, files: Mapping[str, str]) -> str | None:
    """The file of the tree that `wav` means: the longest end of its path that is there, else its last part."""
    parts = PurePosixPath(wav).parts
    for first in range(len(parts)):
        ending = "/".join(parts[first:])
        if ending in tree:
            return ending
    return files.get(parts[-1].casefold()) if parts else None


def _events(row: Mapping[str, Any], where: str) -> tuple[tuple[float, float, str], ...]:
    duration = number(row.get("duration"), where, "duration")
    found = row.get("emotion")
    if not isinstance(found, list) or not found:
        raise FormatError(f"{where}: found emotion {short(found)}, expected a list of events")
    events = []
    for event in found:
        if not isinstance(event, dict):
            raise FormatError(f"{where}: found event {short(event)}, expected emo, start and end")
        start, end = number(event.get("start"), where, "start"), number(event.get("end"), where, "end")
        label = str(event.get("emo"))
        word = _LETTERS.get(label) or emotion_word(label)
        if word is None:
            raise FormatError(f"{where}: found emotion {label!r}, expected happy, angry or sad")
        if not 0 <= start < end <= duration + 0.01:  # the published times are rounded
            raise FormatError(f"{where}: found an event from {start} to {end} s in {duration} s")
        events.append((start, min(end, duration), word))
    return tuple(events)


PREPARER = Preparer(
    name="zed",
    title="Zaion Emotion Dataset: emotions with boundaries, for tests",
    languages="English",
    licence="CC BY-NC 4.0",
    address="https://zaion.ai/en/resources/zaion-lab-blog/zaion-emotion-dataset",
    read=read,
    utterances=(180,),
    speakers=73,
    own_rule=OFFICIAL,
    splits="all of it is test",
)
