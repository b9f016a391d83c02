"""JL-Corpus: ``Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/female1_angry_10a_1.wav`` and a .txt beside it.

The name encodes speaker, emotion, sentence with session (a, b) and repetition. Five primary emotions (neutral, happy,
sad, angry, excited) and five secondary ones (anxious, apologetic, assertive, concerned, encouraging).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.tree import Tree, stem
from sed.labels import normalise_emotion

_NAME = re.compile(r"((?:fe)?male\d)_([a-z]+)_\d+[ab]_\d", re.IGNORECASE)


def read(tree: Tree, problems: ProblemLog) -> Iterator[Entry]:
    """Yield the entries of a tree; see `CorpusReader.read`."""
    for name in tree.audio:
        match = _NAME.fullmatch(stem(name))
        if match is None or (emotion := normalise_emotion(match[2])) is None:
            problems.add("unexpected file name, expected one like female1_angry_10a_1", name)
            continue
        speaker = match[1].lower()
        transcript = str(PurePosixPath(name).with_suffix(".txt"))
        yield Entry(
            id=stem(name),
            file=name,
            speaker=speaker,
            emotion=emotion,
            gender="F" if speaker.startswith("f") else "M",
            language="en",
            text=tree.read_text(transcript).strip() or None if transcript in tree else None,
        )


READER = CorpusReader(
    name="jl",
    title="JL-Corpus (New Zealand English, primary and secondary emotions)",
    languages="English",
    licence="CC0 1.0",
    url="https://www.kaggle.com/datasets/tli725/jl-corpus",
    read=read,
    published_utterances=(2400,),
    published_speakers=4,
    example="female1_angry_10a_1.wav",
    signature=r"(fe)?male\d_[a-z]+_\d+[ab]_\d\.wav",
)
