"""EMO-DB: ``wav/03a01Fa.wav`` encodes speaker, text, emotion (first letter of its German name) and version."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.tree import Tree, stem

_EMOTIONS = {
    "W": "angry",  # Wut
    "L": "bored",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "fearful",  # Angst
    "F": "happy",  # Freude
    "T": "sad",  # Trauer
    "N": "neutral",
}
_MEN = ("03", "10", "11", "12", "15")
_TEXTS = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
_NAME = re.compile(r"(\d\d)([ab]\d\d)([a-z])([a-z]?)", re.IGNORECASE)


def read(tree: Tree, problems: ProblemLog) -> Iterator[Entry]:
    """Yield the entries of a tree; see `CorpusReader.read`."""
    for name in tree.audio:
        match = _NAME.fullmatch(stem(name))
        if match is None:
            problems.add("unexpected file name, expected one like 03a01Fa", name)
            continue
        speaker, text, letter, _ = match.groups()
        if (emotion := _EMOTIONS.get(letter.upper())) is None:
            problems.add("unknown emotion", name)
            continue
        yield Entry(
            id=stem(name),
            file=name,
            speaker=speaker,
            emotion=emotion,
            gender="M" if speaker in _MEN else "F",
            language="de",
            text=_TEXTS.get(text.lower()),
        )


READER = CorpusReader(
    name="emodb",
    title="Berlin Database of Emotional Speech",
    languages="German",
    licence="CC0 1.0",
    url="http://emodb.bilderbar.info",
    read=read,
    published_utterances=(535,),
    published_speakers=10,
    fixed_splits={"valid": ("12", "14"), "test": ("15", "16")},
    split_summary="speakers 15 and 16 are test, 12 and 14 valid, as in the scores of this project",
)
