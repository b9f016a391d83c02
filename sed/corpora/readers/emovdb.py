"""EmoV-DB: ``bea_Amused/amused_1-15_0001.wav`` (as on OpenSLR) or ``bea/Amused/...`` (the sorted edition).

OpenSLR has an archive for each speaker and emotion, ``bea_Amused.tar.gz`` and so on; a folder that holds them will
do. Their files have no folder inside, and speakers share names: to unpack them in one place would lose some.
The file's first word is the emotion, its last number the sentence of CMU ARCTIC. The corpus doesn't bring the
sentences; where ``cmuarctic.data`` lies in the tree, the texts come from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from sed.corpora.emotion_words import emotion_word
from sed.corpora.entries import Entry, Notes, Preparer
from sed.corpora.tree import Tree, stem

_SPEAKERS = {"bea": "F", "jenie": "F", "josh": "M", "sam": "M"}
_NAME = re.compile(r"([a-z]+)_\d+-\d+_(\d{4})", re.IGNORECASE)


def read(tree: Tree, notes: Notes) -> Iterator[Entry]:
    """The entries of a tree; see `Preparer.read`."""
    texts: dict[str, str] = {}
    for name in tree.called(r"cmuarctic\.data"):
        texts |= dict(re.findall(r'arctic_a(\d{4}) "(.*)" ?\)', tree.text(name)))
    for name in tree.audio:
        match = _NAME.fullmatch(stem(name))
        if match is None or (emotion := emotion_word(match[1])) is None:
            notes.add("with a name that is not like anger_1-28_0011", name)
            continue
        folders = [part.lower() for part in PurePosixPath(name).parts[:-1]]
        speaker = next((s for part in reversed(folders) for s in _SPEAKERS if part.split("_")[0] == s), None)
        if speaker is None:
            notes.add("in a folder that names none of bea, jenie, josh and sam", name)
            continue
        yield Entry(
            id=f"{speaker}_{stem(name)}",
            file=name,
            speaker=speaker,
            emotion=emotion,
            gender=_SPEAKERS[speaker],
            language="en",
            text=texts.get(match[2]),
        )


PREPARER = Preparer(
    name="emovdb",
    title="Emotional Voices Database (EmoV-DB)",
    languages="English",
    licence="non-commercial purposes",
    address="https://www.openslr.org/115",
    read=read,
    speakers=4,
)
