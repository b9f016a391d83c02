"""ZED, the Zaion Emotion Dataset: ``ZED.json`` with emotion boundaries in seconds, and the audio files it lists.

``{id: {"wav": "datafolder/...", "duration", "emotion": [{"emo", "start", "end"}], "transcription"}}``. All utterances
are test. Rows of the manifest have the same form, so that ``sed-score manifest.json out/`` accepts it as the
reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.manifest import OFFICIAL
from sed.corpora.tables import find_label_file, index_by_name
from sed.corpora.tree import Tree, stem
from sed.errors import FormatError
from sed.formats.json import load
from sed.formats.kind import number, short
from sed.labels import LETTERS, normalise_emotion


def read(tree: Tree, problems: ProblemLog) -> Iterator[Entry]:
    """Yield the entries of a tree; see `CorpusReader.read`."""
    label_file = find_label_file(tree, r"ZED\.json", "ZED.json")
    data = load(tree.read_text(label_file), f"{tree.title}, {label_file}")
    if not isinstance(data, dict):
        raise FormatError(f"{tree.title}, {label_file}: found a {type(data).__name__}, expected an object")
    files = index_by_name(tree.audio)
    for name, row in data.items():
        where = f"{tree.title}, {label_file}, {name}"
        if not isinstance(row, dict) or not isinstance(row.get("wav"), str):
            raise FormatError(
                f"{where}: found {short(row)}, expected an object with wav, duration and emotion"
            )
        file = _file(row["wav"], tree, files)
        if file is None:
            problems.add("listed in ZED.json but missing", row["wav"])
            continue
        if stem(file) != name:
            problems.add("audio name differs from the id", f"{name} ({stem(file)})")
        try:
            events = _events(row, where)
        except FormatError as error:
            problems.add("invalid events", f"{name} ({str(error).removeprefix(where + ': ')})")
            continue
        speaker = re.match(r"(spk\d+)_", name)
        emotions = sorted({label for _, _, label in events})
        yield Entry(
            id=name,
            file=file,
            speaker=speaker[1] if speaker else name,
            emotion=emotions[0] if len(emotions) == 1 else "mixed",
            language="en",
            text=row.get("transcription") or None,
            split="test",
            events=events,
        )


def _file(wav: str, tree: Tree, files: Mapping[str, str]) -> str | None:
    """The file for `wav`: the longest suffix of its path that is in the tree, else the file with the same name."""
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
        emotion = LETTERS.get(label) or normalise_emotion(label)
        if emotion is None:
            raise FormatError(f"{where}: found emotion {label!r}, expected happy, angry or sad")
        if not 0 <= start < end <= duration + 0.01:  # the published times are rounded
            raise FormatError(f"{where}: found an event from {start} to {end} s in {duration} s of audio")
        events.append((start, min(end, duration), emotion))
    return tuple(events)


READER = CorpusReader(
    name="zed",
    title="Zaion Emotion Dataset: emotions with boundaries, test data",
    languages="English",
    licence="CC BY-NC 4.0",
    url="https://zaion.ai/en/resources/zaion-lab-blog/zaion-emotion-dataset",
    read=read,
    published_utterances=(180,),
    published_speakers=73,
    split_rule=OFFICIAL,
    split_summary="all utterances are test",
    example="ZED.json",
    signature=r"ZED\.json",
)
