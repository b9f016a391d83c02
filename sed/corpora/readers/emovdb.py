"""EmoV-DB: ``bea_Amused/amused_1-15_0001.wav`` (OpenSLR) or ``bea/Amused/...`` (the sorted edition).

OpenSLR publishes one archive per speaker and emotion, such as ``bea_Amused.tar.gz``; a folder with these archives can
be read directly. Do not extract them into one folder: they contain no folders, and speakers share file names. The
first word of a file name is the emotion, its last number the CMU ARCTIC sentence. Texts are read from
``cmuarctic.data`` if it is in the tree; the corpus itself has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.tree import Tree, stem
from sed.labels import normalise_emotion

_SPEAKERS = {"bea": "F", "jenie": "F", "josh": "M", "sam": "M"}
_NAME = re.compile(r"([a-z]+)_\d+-\d+_(\d{4})", re.IGNORECASE)


def read(tree: Tree, problems: ProblemLog) -> Iterator[Entry]:
    """Yield the entries of a tree; see `CorpusReader.read`."""
    texts: dict[str, str] = {}
    for name in tree.matching(r"cmuarctic\.data"):
        texts |= dict(re.findall(r'arctic_a(\d{4}) "(.*)" ?\)', tree.read_text(name)))
    for name in tree.audio:
        match = _NAME.fullmatch(stem(name))
        if match is None or (emotion := normalise_emotion(match[1])) is None:
            problems.add("unexpected file name, expected one like anger_1-28_0011", name)
            continue
        folders = [part.lower() for part in PurePosixPath(name).parts[:-1]]
        speaker = next((s for part in reversed(folders) for s in _SPEAKERS if part.split("_")[0] == s), None)
        if speaker is None:
            problems.add("no speaker in the folder names, expected bea, jenie, josh or sam", name)
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


READER = CorpusReader(
    name="emovdb",
    title="Emotional Voices Database (EmoV-DB)",
    languages="English",
    licence="non-commercial purposes",
    url="https://www.openslr.org/115",
    read=read,
    published_speakers=4,
    example="bea_Amused/amused_1-15_0001.wav",
    signature=r"(bea|jenie|josh|sam)[_/][a-z]+/[a-z]+_\d+-\d+_\d{4}\.wav",
)
