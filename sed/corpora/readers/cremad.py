"""CREMA-D: ``AudioWAV/1001_DFA_ANG_XX.wav`` encodes actor, sentence, emotion and intensity.

The emotion is the acted one. Genders are read from ``VideoDemographics.csv``. ``processedResults/tabulatedVotes.csv``
has the votes of raters; rows numbered from 100001 to 200000 are votes on the audio alone, and become `raters`. WAV
files are preferred to MP3 files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.tables import read_table
from sed.corpora.tree import Tree, stem
from sed.labels import normalise_emotion, normalise_gender

_NAME = re.compile(r"(\d{4})_([a-z]{3})_([a-z]{3})_([a-z]{2}|x)", re.IGNORECASE)
_EMOTIONS = {"A": "angry", "D": "disgust", "F": "fearful", "H": "happy", "N": "neutral", "S": "sad"}
_LEVELS = {"LO": "low", "MD": "medium", "HI": "high"}
_AUDIO_ONLY_ROWS = range(100_001, 200_001)
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


def read(tree: Tree, problems: ProblemLog) -> Iterator[Entry]:
    """Yield the entries of a tree; see `CorpusReader.read`."""
    genders: dict[str, str | None] = {}
    for name in tree.matching(r"VideoDemographics\.csv")[:1]:
        for _, row in read_table(tree, name, ("ActorID", "Sex")):
            genders[row["ActorID"]] = normalise_gender(row["Sex"])
    if not genders:
        problems.add_message("VideoDemographics.csv is missing, so genders are empty")
    votes = _votes(tree, problems)
    waves: set[str] = set()
    for name in sorted(tree.audio, key=lambda name: not name.lower().endswith(".wav")):
        match = _NAME.fullmatch(stem(name))
        if match is None:
            problems.add("unexpected file name, expected one like 1001_DFA_ANG_XX", name)
            continue
        if name.lower().endswith(".wav"):
            waves.add(stem(name).upper())
        elif stem(name).upper() in waves:
            continue  # an MP3 copy of a WAV file
        actor, sentence, label, level = (part.upper() for part in match.groups())
        if (emotion := normalise_emotion(label)) is None:
            problems.add("unknown emotion", name)
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


def _votes(tree: Tree, problems: ProblemLog) -> dict[str, dict[str, float]]:
    names = tree.matching(r"tabulatedVotes\.csv")
    if not names:
        problems.add_message("processedResults/tabulatedVotes.csv is missing, so raters are empty")
        return {}
    votes: dict[str, dict[str, float]] = {}
    for where, row in read_table(tree, names[0], ("", *_EMOTIONS, "fileName")):
        if not row[""].isdigit() or not all(row[letter].isdigit() for letter in _EMOTIONS):
            problems.add("unreadable row of votes", where)
        elif int(row[""]) in _AUDIO_ONLY_ROWS:
            counts = {word: float(row[letter]) for letter, word in _EMOTIONS.items() if row[letter] != "0"}
            votes[row["fileName"].upper()] = counts
    return votes


READER = CorpusReader(
    name="cremad",
    title="Crowd-sourced Emotional Multimodal Actors Dataset (CREMA-D)",
    languages="English",
    licence="ODbL 1.0",
    url="https://github.com/CheyneyComputerScience/CREMA-D",
    read=read,
    published_utterances=(7442,),
    published_speakers=91,
)
