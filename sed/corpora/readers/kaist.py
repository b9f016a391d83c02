"""KAIST and Selvas AI, emotional part: ``plain-to-emotional/ema/wav/ema00001.wav``, ``emotional-to-emotional/nea/...``.

Three letters name the speaker; the five digits tell the emotion, in another order than the release's README has it
(see `sed.corpora.corrections`). What was said is in ``transcript/ema00001.txt`` or else ``script/``. The other parts
of the release (Main, Personality, and CSD, which is song) have no emotions and are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from sed.corpora.corrections import KAIST_NAME, kaist_emotion
from sed.corpora.entries import Entry, Notes, Preparer
from sed.corpora.tree import Tree, stem

_WOMEN = frozenset("ema emb nea neb nec ned nee".split())
_MEN = frozenset("emf emg emh nek nel nem nen neo".split())


def read(tree: Tree, notes: Notes) -> Iterator[Entry]:
    """The entries of a tree; see `Preparer.read`."""
    texts: dict[str, str] = {}
    for folder in ("script", "transcript"):  # what was said counts more than what was to be said
        for name in tree.called(r"(em|ne)[a-z]\d{5}\.txt"):
            if PurePosixPath(name).parent.name.lower() == folder:
                texts[stem(name).lower()] = name
    for name in tree.audio:
        match = KAIST_NAME.fullmatch(stem(name))
        if match is None:
            if re.fullmatch("em[a-z]|ne[a-z]", PurePosixPath(name).parent.parent.name):
                notes.add("with a name that is not like ema00001", name)
            continue
        speaker, number = match[1].lower(), int(match[2])
        try:
            emotion = kaist_emotion(number)
        except ValueError:
            notes.add("with a number that is not from 1 to 400", name)
            continue
        script = texts.get(f"{speaker}{match[2]}")
        yield Entry(
            id=stem(name),
            file=name,
            speaker=speaker,
            emotion=emotion,
            gender="F" if speaker in _WOMEN else "M" if speaker in _MEN else None,
            language="ko",
            text=tree.text(script).strip() or None if script else None,
        )


PREPARER = Preparer(
    name="kaist",
    title="Emotional speech of KAIST and Selvas AI (emotiontts_open_db)",
    languages="Korean",
    licence="CC BY-NC-SA 4.0",
    address="https://github.com/emotiontts/emotiontts_open_db",
    read=read,
    utterances=(300, 6000),
    speakers=15,
    fixed={"valid": ("emg", "nem"), "test": ("emh", "nen", "neo")},
    splits="speakers emh, nen and neo are test, emg and nem valid, as for this project's figures",
)
