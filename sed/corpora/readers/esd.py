"""ESD: ``0011/Angry/0011_000351.wav`` (or ``0011/Angry/train/...``) and ``0011/0011.txt``: name, text, emotion.

Speakers 0001-0010 speak Chinese, 0011-0020 English. The label file's third column is Chinese for most Chinese
speakers, so the folder tells the emotion. The folders train, evaluation and test share all speakers, so they are
not taken over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from sed.corpora.emotion_words import emotion_word
from sed.corpora.entries import Entry, Notes, Preparer
from sed.corpora.tree import Tree, stem
from sed.errors import FormatError

_NAME = re.compile(r"(\d{4})_(\d{6})")
_CHINESE = 10  # up to this number
_MEN = frozenset("0004 0005 0006 0008 0010 0011 0012 0013 0014 0020".split())


def read(tree: Tree, notes: Notes) -> Iterator[Entry]:
    """The entries of a tree; see `Preparer.read`."""
    if not (label_files := tree.called(r"\d{4}\.txt")):
        raise FormatError(f"{tree.title}: found no label file such as 0011/0011.txt, expected one a speaker")
    texts = {
        id_: text
        for name in label_files  # written on several systems
        for id_, text in _texts(tree.text(name, "gb18030" if int(stem(name)) <= _CHINESE else "cp1252"))
    }
    labelled = {stem(name) for name in label_files}
    for name in tree.audio:
        match = _NAME.fullmatch(stem(name))
        if match is None:
            notes.add("with a name that is not like 0011_000351", name)
            continue
        emotion = next(filter(None, map(emotion_word, reversed(PurePosixPath(name).parts[:-1]))), None)
        if emotion is None:
            notes.add("in a folder that names no emotion", name)
            continue
        speaker = match[1]
        if speaker not in labelled:
            notes.add("of a speaker without a label file (text left empty)", name)
        elif stem(name) not in texts:
            notes.add("that the label file doesn't name (text left empty)", name)
        yield Entry(
            id=stem(name),
            file=name,
            speaker=speaker,
            emotion=emotion,
            gender="M" if speaker in _MEN else "F",
            language="zh" if int(speaker) <= _CHINESE else "en",
            text=texts.get(stem(name)),
        )


def _texts(content: str) -> Iterator[tuple[str, str]]:
    """Name and text of each line; the columns are kept apart by tabs, in a few lines by blanks."""
    for line in content.splitlines():
        if match := re.match(r"\ufeff?(\d{4}_\d{6})\s+(.*)", line):
            yield match[1], match[2].split("\t")[0].strip()


PREPARER = Preparer(
    name="esd",
    title="Emotional Speech Dataset",
    languages="English, Chinese",
    licence="research only",
    address="https://github.com/HLTSingapore/Emotional-Speech-Data",
    read=read,
    utterances=(35_000, 17_500),
    speakers=20,
    splits="speakers are drawn by the seed; its own folders train, evaluation and test share all speakers",
)
