"""RAVDESS: ``Actor_01/03-01-06-01-02-01-12.wav``: modality, channel, emotion, intensity, statement, repetition, actor.

Only audio files of speech (modality 03, channel 01) are read; songs and videos are ignored. Actors with odd numbers
are male.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.tree import Tree, stem

_EMOTIONS = dict(
    zip(
        ("01", "02", "03", "04", "05", "06", "07", "08"),
        ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
        strict=True,
    )
)
_INTENSITIES = {"01": "normal", "02": "strong"}
_TEXTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
_NAME = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")


def read(tree: Tree, problems: ProblemLog) -> Iterator[Entry]:
    """Yield the entries of a tree; see `CorpusReader.read`."""
    for name in tree.audio:
        match = _NAME.fullmatch(stem(name))
        if match is None:
            problems.add("unexpected file name, expected seven two-digit numbers", name)
            continue
        modality, channel, emotion, intensity, statement, _, actor = match.groups()
        if channel == "02" or modality != "03":
            continue
        if channel != "01" or emotion not in _EMOTIONS or intensity not in _INTENSITIES:
            problems.add("unknown channel, emotion or intensity", name)
            continue
        yield Entry(
            id=stem(name),
            file=name,
            speaker=actor,
            emotion=_EMOTIONS[emotion],
            gender="M" if int(actor) % 2 else "F",
            language="en",
            intensity=_INTENSITIES[intensity],
            text=_TEXTS.get(statement),
        )


READER = CorpusReader(
    name="ravdess",
    title="Ryerson Audio-Visual Database of Emotional Speech and Song (speech)",
    languages="English",
    licence="CC BY-NC-SA 4.0",
    url="https://zenodo.org/records/1188976",
    read=read,
    published_utterances=(1440,),
    published_speakers=24,
    fixed_splits={"valid": ("19", "20"), "test": ("21", "22", "23", "24")},
    split_summary="actors 21-24 are test and 19-20 valid, as in the scores of this project",
    example="Actor_01/03-01-05-01-01-01-01.wav",
    signature=r"Actor_\d\d/03-01(-\d\d){5}\.wav",
)
