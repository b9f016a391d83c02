"""KAIST and Selvas AI, emotional part: ``plain-to-emotional/ema/wav/ema00001.wav``, ``emotional-to-emotional/nea/...``.

Three letters are the speaker; the five digits encode the emotion, in another order than the README of the release
states (see `sed.corpora.corrections`). Texts are read from ``transcript/ema00001.txt``, or else from ``script/``. The
other parts of the release (Main, Personality and the songs of CSD) have no emotions and are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from sed.corpora.corrections import KAIST_NAME, kaist_emotion
from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.tree import Tree, stem

_WOMEN = frozenset("ema emb nea neb nec ned nee".split())
_MEN = frozenset("emf emg emh nek nel nem nen neo".split())


def read(tree: Tree, problems: ProblemLog) -> Iterator[Entry]:
    """Yield the entries of a tree; see `CorpusReader.read`."""
    texts: dict[str, str] = {}
    for folder in ("script", "transcript"):  # a transcript replaces the script
        for name in tree.matching(r"(em|ne)[a-z]\d{5}\.txt"):
            if PurePosixPath(name).parent.name.lower() == folder:
                texts[stem(name).lower()] = name
    for name in tree.audio:
        match = KAIST_NAME.fullmatch(stem(name))
        if match is None:
            if re.fullmatch("em[a-z]|ne[a-z]", PurePosixPath(name).parent.parent.name):
                problems.add("unexpected file name, expected one like ema00001", name)
            continue
        speaker, number = match[1].lower(), int(match[2])
        try:
            emotion = kaist_emotion(number)
        except ValueError:
            problems.add("number outside 1 to 400", name)
            continue
        script = texts.get(f"{speaker}{match[2]}")
        yield Entry(
            id=stem(name),
            file=name,
            speaker=speaker,
            emotion=emotion,
            gender="F" if speaker in _WOMEN else "M" if speaker in _MEN else None,
            language="ko",
            text=tree.read_text(script).strip() or None if script else None,
        )


READER = CorpusReader(
    name="kaist",
    title="Emotional speech of KAIST and Selvas AI (emotiontts_open_db)",
    languages="Korean",
    licence="CC BY-NC-SA 4.0",
    url="https://github.com/emotiontts/emotiontts_open_db",
    read=read,
    published_utterances=(300, 6000),
    published_speakers=15,
    fixed_splits={"valid": ("emg", "nem"), "test": ("emh", "nen", "neo")},
    split_summary="speakers emh, nen and neo are test, emg and nem valid, as in the scores of this project",
)
