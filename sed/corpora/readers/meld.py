"""MELD: ``train_sent_emo.csv`` and its like, and ``train_splits/dia0_utt0.mp4`` and its like.

The films lie in folders that name their split: ``train_splits``, ``dev_splits_complete`` and
``output_repeated_splits_test`` as published; audio made of them (``train/dia0_utt0.wav``) is taken first. Film is
read through the ffmpeg program. The official splits are by dialogue: Joey speaks in all three.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from sed.corpora.emotion_words import emotion_word
from sed.corpora.entries import Entry, Notes, Preparer
from sed.corpora.manifest import OFFICIAL
from sed.corpora.tables import read_table
from sed.corpora.tree import Tree, stem
from sed.errors import FormatError

_SPLITS = {"train": "train", "dev": "valid", "test": "test"}
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
_GENDERS = {"Joey": "M", "Ross": "M", "Chandler": "M", "Monica": "F", "Rachel": "F", "Phoebe": "F"}
_NAME = re.compile(r"dia\d+_utt\d+", re.IGNORECASE)


def read(tree: Tree, notes: Notes) -> Iterator[Entry]:
    """The entries of a tree; see `Preparer.read`."""
    tables = {part: sorted(tree.called(rf"{part}_sent_emo\.csv"), key=len) for part in _SPLITS}
    lacking = [f"{part}_sent_emo.csv" for part, names in tables.items() if not names]
    if len(lacking) == len(_SPLITS):
        raise FormatError(
            f"{tree.title}: found none of the label files {', '.join(lacking)}, expected all three"
        )
    for name in lacking:
        notes.say(f"the label file {name} is missing")
    files: dict[tuple[str, str], str] = {}
    for name in sorted(tree.audio, key=lambda name: name.lower().endswith(".mp4")):
        if _NAME.fullmatch(stem(name)) and (part := _part(name)):
            files.setdefault((part, stem(name).lower()), name)
    for part, names in tables.items():
        for where, row in read_table(tree, names[0], _COLUMNS) if names else ():
            utterance = f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
            if (emotion := emotion_word(row["Emotion"])) is None:
                notes.add("with an emotion that is not known", f"{where} ({row['Emotion']})")
            elif (part, utterance) not in files:
                notes.add("with labels, but without audio or film", f"{part} {utterance}")
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
    """The split that the folders of a file name, the nearest one first."""
    for folder in reversed(PurePosixPath(name).parts[:-1]):
        words = re.split(r"[^a-z]+", folder.lower())
        if found := next((part for part in _SPLITS if part in words), None):
            return found
    return None


PREPARER = Preparer(
    name="meld",
    title="Multimodal EmotionLines Dataset (Friends)",
    languages="English",
    licence="GPL-3.0 for the annotations; the films are for research",
    address="https://affective-meld.github.io",
    read=read,
    utterances=(13_708, 13_707, 13_706),
    own_rule=OFFICIAL,
    splits="its own, which share speakers; --split speakers draws speakers instead",
)
