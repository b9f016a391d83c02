"""MELD: label files such as ``train_sent_emo.csv`` and videos such as ``train_splits/dia0_utt0.mp4``.

The folder of a video names its split: ``train_splits``, ``dev_splits_complete`` and ``output_repeated_splits_test``
as published. Extracted audio (``train/dia0_utt0.wav``) is preferred; videos are read with the ffmpeg program. The
official splits are by dialogue and share the main characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.manifest import OFFICIAL
from sed.corpora.tables import read_table
from sed.corpora.tree import Tree, stem
from sed.errors import FormatError
from sed.labels import normalise_emotion

_SPLITS = {"train": "train", "dev": "valid", "test": "test"}
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
_GENDERS = {"Joey": "M", "Ross": "M", "Chandler": "M", "Monica": "F", "Rachel": "F", "Phoebe": "F"}
_NAME = re.compile(r"dia\d+_utt\d+", re.IGNORECASE)


def read(tree: Tree, problems: ProblemLog) -> Iterator[Entry]:
    """Yield the entries of a tree; see `CorpusReader.read`."""
    tables = {part: sorted(tree.matching(rf"{part}_sent_emo\.csv"), key=len) for part in _SPLITS}
    missing = [f"{part}_sent_emo.csv" for part, names in tables.items() if not names]
    if len(missing) == len(_SPLITS):
        raise FormatError(
            f"{tree.title}: found none of the label files {', '.join(missing)}, expected all three"
        )
    for name in missing:
        problems.add_message(f"the label file {name} is missing")
    files: dict[tuple[str, str], str] = {}
    for name in sorted(tree.audio, key=lambda name: name.lower().endswith(".mp4")):
        if _NAME.fullmatch(stem(name)) and (part := _part(name)):
            files.setdefault((part, stem(name).lower()), name)
    for part, names in tables.items():
        for where, row in read_table(tree, names[0], _COLUMNS) if names else ():
            utterance = f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
            if (emotion := normalise_emotion(row["Emotion"])) is None:
                problems.add("unknown emotion", f"{where} ({row['Emotion']})")
            elif (part, utterance) not in files:
                problems.add("labels without audio or video", f"{part} {utterance}")
            else:
                yield Entry(
                    id=f"{part}_{utterance}",
                    file=files[part, utterance],
                    speaker=row["Speaker"],
                    emotion=emotion,
                    gender=_GENDERS.get(row["Speaker"]),
                    language="en",
                    text=row["Utterance"] or None,
                    split=_SPLITS[part],
                )


def _part(name: str) -> str | None:
    """The split in the name of the nearest folder that has one."""
    for folder in reversed(PurePosixPath(name).parts[:-1]):
        words = re.split(r"[^a-z]+", folder.lower())
        if found := next((part for part in _SPLITS if part in words), None):
            return found
    return None


READER = CorpusReader(
    name="meld",
    title="Multimodal EmotionLines Dataset (Friends)",
    languages="English",
    licence="GPL-3.0 for the annotations; the videos are for research only",
    url="https://affective-meld.github.io",
    read=read,
    published_utterances=(13_708, 13_707, 13_706),
    split_rule=OFFICIAL,
    split_summary="as published, which share speakers; --split speakers draws speakers instead",
)
