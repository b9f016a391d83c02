"""IEMOCAP: ``Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav`` and ``Session1/dialog/...``.

``dialog/EmoEvaluation/Ses01F_impro01.txt`` has one block per utterance: times in the dialogue, name, majority label
(xxx: no majority), means of valence, activation and dominance from 1 to 5; then one line per rater, ``C-E2:`` with
emotions, ``A-E3:`` with dimensions. ``C-F1`` and ``C-M1``, the self-reports of the actors, are ignored. If a rater
names several emotions, the vote is divided equally. ``dialog/transcriptions`` has the texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.tree import Tree, stem
from sed.errors import FormatError
from sed.labels import normalise_emotion

_NUMBER = r"\s*(-?[\d.]+)\s*"
_HEAD = re.compile(
    rf"\[{_NUMBER}-{_NUMBER}\]\s+(\w+)\s+(\w+)\s+\[{_NUMBER},{_NUMBER},{_NUMBER}\]", re.IGNORECASE
)
_VOTE = re.compile(r"C-E\d+:\s*([^()]*)", re.IGNORECASE)
_NAME = re.compile(r"Ses(\d\d)[FM]_\w+_([FM])[A-Z]*\d+\w*", re.IGNORECASE)
_TEXT = re.compile(r"(\w+)\s+\[[\d.\s-]+\]:\s*(.*)")


def read(tree: Tree, problems: ProblemLog) -> Iterator[Entry]:
    """Yield the entries of a tree; see `CorpusReader.read`."""
    labels = [n for n in tree.matching(r"Ses\d\d.*\.txt") if PurePosixPath(n).parent.name == "EmoEvaluation"]
    if not labels:
        raise FormatError(
            f"{tree.title}: found no label file such as Session1/dialog/EmoEvaluation/Ses01F_impro01.txt, expected some"
        )
    files = {stem(name): name for name in tree.audio if "sentences" in PurePosixPath(name).parts}
    texts: dict[str, str] = {}
    for name in tree.matching(r"Ses\d\d.*\.txt"):
        if PurePosixPath(name).parent.name == "transcriptions":
            texts |= {
                m[1]: m[2].strip() for line in tree.read_text(name).splitlines() if (m := _TEXT.match(line))
            }
    labelled = {stem(name) for name in labels}
    for dialog in sorted({PurePosixPath(name).parent.name for name in files.values()} - labelled):
        problems.add("dialogue without a label file in EmoEvaluation", dialog)
    for label_file in labels:
        for block in re.split(r"\n(?=\[)", tree.read_text(label_file)):
            if block.lstrip().startswith("["):
                yield from _entry(block.strip(), label_file, files, texts, problems)


def _entry(
    block: str, label_file: str, files: dict[str, str], texts: dict[str, str], problems: ProblemLog
) -> Iterator[Entry]:
    head = _HEAD.match(block)
    name = _NAME.fullmatch(head[3]) if head else None
    if head is None or name is None:
        problems.add("unreadable block in EmoEvaluation", f"{label_file} ({block.splitlines()[0][:40]})")
        return
    id_ = head[3]
    if (emotion := normalise_emotion(head[4])) is None:
        problems.add("unknown emotion", f"{id_} ({head[4]})")
        return
    if id_ not in files:
        problems.add("labels without audio", id_)
        return
    votes: dict[str, float] = {}
    for vote in _VOTE.finditer(block):
        named = [normalise_emotion(part.replace("state", "")) for part in vote[1].split(";") if part.strip()]
        known = [word for word in named if word]
        if len(known) < len(named):
            problems.add("vote for an unknown emotion, not counted", f"{id_} ({vote[1].strip()})")
        for word in known:
            votes[word] = votes.get(word, 0.0) + 1 / len(known)
    valence, arousal, dominance = ((float(head[n]) - 3) / 2 for n in (5, 6, 7))
    session, gender = name[1], name[2].upper()
    yield Entry(
        id=id_,
        file=files[id_],
        speaker=f"Ses{session}{gender}",
        emotion=emotion,
        gender=gender,
        language="en",
        text=texts.get(id_),
        group=f"Session{int(session)}",
        raters={label: round(share, 6) for label, share in sorted(votes.items())},
        dimensions={
            "arousal": round(arousal, 6),
            "valence": round(valence, 6),
            "dominance": round(dominance, 6),
        },
    )


READER = CorpusReader(
    name="iemocap",
    title="Interactive Emotional Dyadic Motion Capture Database",
    languages="English",
    licence="on request, research only",
    url="https://sail.usc.edu/iemocap",
    read=read,
    published_utterances=(10_039,),
    published_speakers=10,
    folds=tuple(f"Session{number}" for number in range(1, 6)),
    split_summary="--fold N: session N is test and the session before it valid (the usual five folds; default 5)",
    example="Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
    signature=r"Session\d/dialog/EmoEvaluation/Ses\d\d[FM]_\w+\.txt",
)
