"""IEMOCAP: ``Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav`` and ``Session1/dialog/...``.

``dialog/EmoEvaluation/Ses01F_impro01.txt`` has a block an utterance: times in the dialog, name, the label that most
raters gave (xxx: none), the means of valence, activation and dominance from 1 to 5; then a line for each rater,
``C-E2:`` with emotions, ``A-E3:`` with dimensions. ``C-F1`` and ``C-M1`` are the actors' own and are not counted. A
rater who named several emotions has one vote, in equal parts. ``dialog/transcriptions`` has the words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from sed.corpora.emotion_words import emotion_word
from sed.corpora.entries import Entry, Notes, Preparer
from sed.corpora.tree import Tree, stem
from sed.errors import FormatError

_NUMBER = r"\s*(-?[\d.]+)\s*"
_HEAD = re.compile(
    rf"\[{_NUMBER}-{_NUMBER}\]\s+(\w+)\s+(\w+)\s+\[{_NUMBER},{_NUMBER},{_NUMBER}\]", re.IGNORECASE
)
_VOTE = re.compile(r"C-E\d+:\s*([^()]*)", re.IGNORECASE)
_NAME = re.compile(r"Ses(\d\d)[FM]_\w+_([FM])[A-Z]*\d+\w*", re.IGNORECASE)
_TEXT = re.compile(r"(\w+)\s+\[[\d.\s-]+\]:\s*(.*)")


def read(tree: Tree, notes: Notes) -> Iterator[Entry]:
    """The entries of a tree; see `Preparer.read`."""
    labels = [n for n in tree.called(r"Ses\d\d.*\.txt") if PurePosixPath(n).parent.name == "EmoEvaluation"]
    if not labels:
        raise FormatError(
            f"{tree.title}: found no label file, expected Session1/dialog/EmoEvaluation/Ses01F_impro01.txt and others"
        )
    files = {stem(name): name for name in tree.audio if "sentences" in PurePosixPath(name).parts}
    texts: dict[str, str] = {}
    for name in tree.called(r"Ses\d\d.*\.txt"):
        if PurePosixPath(name).parent.name == "transcriptions":
            texts |= {m[1]: m[2].strip() for line in tree.text(name).splitlines() if (m := _TEXT.match(line))}
    labelled = {stem(name) for name in labels}
    for dialog in sorted({PurePosixPath(name).parent.name for name in files.values()} - labelled):
        notes.add("dialogs without a label file in EmoEvaluation", dialog)
    for label_file in labels:
        for block in re.split(r"\n(?=\[)", tree.text(label_file)):
            if block.lstrip().startswith("["):
                yield from _entry(block.strip(), label_file, files, texts, notes)


def _entry(
    block: str, label_file: str, files: dict[str, str], texts: dict[str, str], notes: Notes
) -> Iterator[Entry]:
    head = _HEAD.match(block)
    name = _NAME.fullmatch(head[3]) if head else None
    if head is None or name is None:
        notes.add(
            "blocks that cannot be read in EmoEvaluation", f"{label_file} ({block.splitlines()[0][:40]})"
        )
        return
    id_ = head[3]
    if (emotion := emotion_word(head[4])) is None:
        notes.add("with an emotion that is not known", f"{id_} ({head[4]})")
        return
    if id_ not in files:
        notes.add("with labels, but without audio", id_)
        return
    votes: dict[str, float] = {}
    for vote in _VOTE.finditer(block):
        named = [emotion_word(part.replace("state", "")) for part in vote[1].split(";") if part.strip()]
        known = [word for word in named if word]
        if len(known) < len(named):
            notes.add(
                "with a vote for an emotion that is not known (not counted)", f"{id_} ({vote[1].strip()})"
            )
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


PREPARER = Preparer(
    name="iemocap",
    title="Interactive Emotional Dyadic Motion Capture Database",
    languages="English",
    licence="on request, research only",
    address="https://sail.usc.edu/iemocap",
    read=read,
    utterances=(10_039,),
    speakers=10,
    folds=tuple(f"Session{number}" for number in range(1, 6)),
    splits="--fold N: session N is test, the one before it valid (the field's five folds; default 5)",
)
