"""RAVDESS: ``Actor_01/03-01-06-01-02-01-12.wav``: modality, channel, emotion, intensity, statement, repetition, actor.

Speech only (channel 01): songs and silent film are passed over, and film with sound where there is the audio.
Actors with odd numbers are men.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sed.corpora.entries import Entry, Notes, Preparer
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


def read(tree: Tree, notes: Notes) -> Iterator[Entry]:
    """The entries of a tree; see `Preparer.read`."""
    for name in tree.audio:
        match = _NAME.fullmatch(stem(name))
        if match is None:
            notes.add("with a name that is not seven numbers of two digits", name)
            continue
        modality, channel, emotion, intensity, statement, _, actor = match.groups()
        if channel == "02" or modality != "03":
            continue
        if channel != "01" or emotion not in _EMOTIONS or intensity not in _INTENSITIES:
            notes.add("with a channel, emotion or intensity that is not known", name)
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


PREPARER = Preparer(
    name="ravdess",
    title="Ryerson Audio-Visual Database of Emotional Speech and Song (speech)",
    languages="English",
    licence="CC BY-NC-SA 4.0",
    address="https://zenodo.org/records/1188976",
    read=read,
    utterances=(1440,),
    speakers=24,
    fixed={"valid": ("19", "20"), "test": ("21", "22", "23", "24")},
    splits="actors 21-24 are test and 19-20 valid, as for this project's figures",
)
