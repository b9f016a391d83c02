"""CREMA-D: ``AudioWAV/1001_DFA_ANG_XX.wav``: actor, sentence, emotion, level; VideoDemographics.csv; votes.

The emotion is the acted one. ``processedResults/tabulatedVotes.csv`` has what listeners and viewers chose; the rows
numbered from 100001 on are of voice alone, and become `raters`. Wave files are taken before the MP3 ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sed.corpora.emotion_words import emotion_word, gender_letter
from sed.corpora.entries import Entry, Notes, Preparer
from sed.corpora.tables import read_table
from sed.corpora.tree import Tree, stem

_NAME = re.compile(r"(\d{4})_([a-z]{3})_([a-z]{3})_([a-z]{2}|x)", re.IGNORECASE)
_EMOTIONS = {"A": "angry", "D": "disgust", "F": "fearful", "H": "happy", "N": "neutral", "S": "sad"}
_LEVELS = {"LO": "low", "MD": "medium", "HI": "high"}
_VOICE = range(100_001, 200_001)
_TEXTS = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}


def read(tree: Tree, notes: Notes) -> Iterator[Entry]:
    """The entries of a tree; see `Preparer.read`."""
    genders: dict[str, str | None] = {}
    for name in tree.called(r"VideoDemographics\.csv")[:1]:
        for _, row in read_table(tree, name, ("ActorID", "Sex")):
            genders[row["ActorID"]] = gender_letter(row["Sex"])
    if not genders:
        notes.say("VideoDemographics.csv is missing: genders are left empty")
    votes = _votes(tree, notes)
    waves: set[str] = set()
    for name in sorted(tree.audio, key=lambda name: not name.lower().endswith(".wav")):
        match = _NAME.fullmatch(stem(name))
        if match is None:
            notes.add("with a name that is not like 1001_DFA_ANG_XX", name)
            continue
        if name.lower().endswith(".wav"):
            waves.add(stem(name).upper())
        elif stem(name).upper() in waves:
            continue  # the same clip, as it was played to the raters
        actor, sentence, label, level = (part.upper() for part in match.groups())
        if (emotion := emotion_word(label)) is None:
            notes.add("with an emotion that is not known", name)
            continue
        yield Entry(
            id=stem(name),
            file=name,
            speaker=actor,
            emotion=emotion,
            gender=genders.get(actor),
            language="en",
            intensity=_LEVELS.get(level),
            text=_TEXTS.get(sentence),
            raters=votes.get(stem(name).upper(), {}),
        )


def _votes(tree: Tree, notes: Notes) -> dict[str, dict[str, float]]:
    names = tree.called(r"tabulatedVotes\.csv")
    if not names:
        notes.say("processedResults/tabulatedVotes.csv is missing: raters are left empty")
        return {}
    found: dict[str, dict[str, float]] = {}
    for where, row in read_table(tree, names[0], ("", *_EMOTIONS, "fileName")):
        if not row[""].isdigit() or not all(row[letter].isdigit() for letter in _EMOTIONS):
            notes.add("rows of votes that cannot be read", where)
        elif int(row[""]) in _VOICE:
            counts = {word: float(row[letter]) for letter, word in _EMOTIONS.items() if row[letter] != "0"}
            found[row["fileName"].upper()] = counts
    return found


PREPARER = Preparer(
    name="cremad",
    title="Crowd-sourced Emotional Multimodal Actors Dataset (CREMA-D)",
    languages="English",
    licence="ODbL 1.0",
    address="https://github.com/CheyneyComputerScience/CREMA-D",
    read=read,
    utterances=(7442,),
    speakers=91,
)
