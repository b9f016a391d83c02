"""JL-Corpus: ``Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/female1_angry_10a_1.wav`` and a .txt beside it.

Speaker, emotion, sentence with session (a, b), repetition. Five primary emotions (neutral, happy, sad, angry,
excited) and five secondary ones (anxious, apologetic, assertive, concerned, encouraging).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from sed.corpora.emotion_words import emotion_word
from sed.corpora.entries import Entry, Notes, Preparer
from sed.corpora.tree import Tree, stem

_NAME = re.compile(r"((?:fe)?male\d)_([a-z]+)_\d+[ab]_\d", re.IGNORECASE)


def read(tree: Tree, notes: Notes) -> Iterator[Entry]:
    """The entries of a tree; see `Preparer.read`."""
    for name in tree.audio:
        match = _NAME.fullmatch(stem(name))
        if match is None or (emotion := emotion_word(match[2])) is None:
            notes.add("with a name that is not like female1_angry_10a_1", name)
            continue
        speaker = match[1].lower()
        script = str(PurePosixPath(name).with_suffix(".txt"))
        yield Entry(
            id=stem(name),
            file=name,
            speaker=speaker,
            emotion=emotion,
            gender="F" if speaker.startswith("f") else "M",
            language="en",
            text=tree.text(script).strip() or None if script in tree else None,
        )


PREPARER = Preparer(
    name="jl",
    title="JL-Corpus (New Zealand English, primary and secondary emotions)",
    languages="English",
    licence="CC0 1.0",
    address="https://www.kaggle.com/datasets/tli725/jl-corpus",
    read=read,
    utterances=(2400,),
    speakers=4,
)
