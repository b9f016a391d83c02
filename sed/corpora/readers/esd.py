"""ESD: ``0011/Angry/0011_000351.wav`` (or ``0011/Angry/train/...``) and ``0011/0011.txt`` with name, text, emotion.

Speakers 0001-0010 speak Chinese, 0011-0020 English. The emotion is taken from the folder, because the label files of
most Chinese speakers name it in Chinese. The folders train, evaluation and test are ignored: they share all speakers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.tree import Tree, stem
from sed.errors import FormatError
from sed.labels import normalise_emotion

_NAME = re.compile(r"(\d{4})_(\d{6})")
_LAST_CHINESE_SPEAKER = 10
_MEN = frozenset("0004 0005 0006 0008 0010 0011 0012 0013 0014 0020".split())


def read(tree: Tree, problems: ProblemLog) -> Iterator[Entry]:
    """Yield the entries of a tree; see `CorpusReader.read`."""
    if not (label_files := tree.matching(r"\d{4}\.txt")):
        raise FormatError(
            f"{tree.title}: found no label file such as 0011/0011.txt, expected one per speaker"
        )
    texts: dict[str, str] = {}
    for name in label_files:
        encoding = "gb18030" if int(stem(name)) <= _LAST_CHINESE_SPEAKER else "cp1252"
        texts |= dict(_texts(tree.read_text(name, encoding)))
    labelled = {stem(name) for name in label_files}
    for name in tree.audio:
        match = _NAME.fullmatch(stem(name))
        if match is None:
            problems.add("unexpected file name, expected one like 0011_000351", name)
            continue
        emotion = next(filter(None, map(normalise_emotion, reversed(PurePosixPath(name).parts[:-1]))), None)
        if emotion is None:
            problems.add("no emotion in the folder names", name)
            continue
        speaker = match[1]
        if speaker not in labelled:
            problems.add("speaker without a label file, text is empty", name)
        elif stem(name) not in texts:
            problems.add("missing in the label file, text is empty", name)
        yield Entry(
            id=stem(name),
            file=name,
            speaker=speaker,
            emotion=emotion,
            gender="M" if speaker in _MEN else "F",
            language="zh" if int(speaker) <= _LAST_CHINESE_SPEAKER else "en",
            text=texts.get(stem(name)),
        )


def _texts(content: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each line; columns are separated by tabs, in a few lines by blanks."""
    for line in content.splitlines():
        if match := re.match(r"\ufeff?(\d{4}_\d{6})\s+(.*)", line):
            yield match[1], match[2].split("\t")[0].strip()


READER = CorpusReader(
    name="esd",
    title="Emotional Speech Dataset",
    languages="English, Chinese",
    licence="research only",
    url="https://github.com/HLTSingapore/Emotional-Speech-Data",
    read=read,
    published_utterances=(35_000, 17_500),
    published_speakers=20,
    split_summary="speakers are drawn at random; the published train, evaluation and test folders share all speakers",
    example="0011/Angry/0011_000351.wav",
    signature=r"\d{4}/(Angry|Happy|Neutral|Sad|Surprise)/([a-z]+/)?\d{4}_\d{6}\.wav",
)
