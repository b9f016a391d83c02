"""Different spellings of the same emotion: the labels of two sides in, a renaming out.

Compared literally, ``Happy``, ``hap`` and ``happy`` are three emotions, and a system with another spelling would
always be wrong. Unambiguous spellings are therefore read as one: case and blanks (``Happy``), IEMOCAP's three letters
(``hap``), nouns (``happiness``), and SpeechBrain's ``n h a s`` if exactly one label starts with that letter. Ambiguous
labels (``excited`` for happy, EMO-DB's ``A``, which is fear) are never renamed, only suggested.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from sed.labels import LETTERS

SPELLINGS: dict[str, tuple[str, ...]] = {
    "neutral": ("neu", "neutrality"),
    "happy": ("hap", "happiness"),
    "angry": ("ang", "anger"),
    "sad": ("sadness",),
    "fearful": ("fear", "fea"),
    "disgust": ("dis", "disgusted"),
    "surprised": ("sur", "surprise"),
    "frustrated": ("fru", "frustration"),
    "excited": ("exc", "excitement"),
    "bored": ("boredom",),
    "calm": ("calmness",),
}
"""Alternative spellings of each word, in any case."""
RELATED = {
    "excited": "happy",
    "joy": "happy",
    "joyful": "happy",
    "amused": "happy",
    "amusement": "happy",
    "frustrated": "angry",
    "rage": "angry",
    "sorrow": "sad",
    "depressed": "sad",
    "afraid": "fearful",
    "scared": "fearful",
    "anxious": "fearful",
    "calm": "neutral",
    "normal": "neutral",
}
"""Emotions that some corpora merge with another one: suggested, never applied."""
_WORDS = {spelling: word for word, spellings in SPELLINGS.items() for spelling in (word, *spellings)}


@dataclass(frozen=True)
class Spelling:
    """The relation between the labels of a reference and a hypothesis; see `reconcile`.

    `renamed` maps labels to the ones as which they are read. `only_reference` and `only_hypothesis` are the emotions
    that only one side has, except neutral. `hints` maps some of these to a label of the other side with a similar
    meaning.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    only_reference: tuple[str, ...] = ()
    only_hypothesis: tuple[str, ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict)

    def warnings(self) -> list[str]:
        """Warnings about renamed labels and labels of one side only, one sentence each."""
        lines = []
        if self.renamed:
            pairs = ", ".join(f"{old!r} as {new!r}" for old, new in self.renamed.items())
            option = ",".join(f"{old}={new}" for old, new in self.renamed.items())
            apart = ",".join(f"{old}={old}" for old in self.renamed)
            lines.append(
                f"labels read as others: {pairs} (--labels {option}; --labels {apart} keeps them apart)"
            )
        for labels, side in ((self.only_reference, "references"), (self.only_hypothesis, "hypotheses")):
            if labels:
                lines.append(f"labels in the {side} only: {', '.join(labels)}")
        if self.hints:
            option = ",".join(f"{old}={new}" for old, new in self.hints.items())
            lines[-1] += f" (if they mean the same: --labels {option})"
        return lines


def reconcile(
    reference: Iterable[str],
    hypothesis: Iterable[str],
    neutral: str = "neutral",
    fixed: Collection[str] = (),
) -> Spelling:
    """Find labels that are the same emotion; `neutral` is on both sides, and `fixed` labels are never renamed.

    The reference's spelling is kept if it has a single one.

    >>> found = reconcile({"happy", "sad"}, {"Happy", "joy", "neu"})
    >>> found.renamed, found.only_reference, found.only_hypothesis, found.hints
    ({'neu': 'neutral', 'Happy': 'happy'}, ('sad',), ('joy',), {'joy': 'happy'})
    """
    mine, theirs = set(reference), set(hypothesis)
    named = sorted((mine | theirs) - {neutral} - set(fixed))
    words = {word(label) for label in (*named, neutral) if len(label) > 1}
    by_meaning: dict[str, list[str]] = {word(neutral): [neutral]}
    for label in named:
        by_meaning.setdefault(_letter(label, words) or word(label), []).append(label)
    renamed: dict[str, str] = {}
    for meaning, labels in by_meaning.items():
        kept = _kept(meaning, labels, mine, neutral) if len(labels) > 1 else labels[0]
        renamed |= {label: kept for label in labels if label != kept}
    mine, theirs = ({renamed.get(label, label) for label in side} - {neutral} for side in (mine, theirs))
    unmatched = mine - theirs, theirs - mine
    hints: dict[str, str] = {}
    for side, others in ((unmatched[1], mine), (unmatched[0], theirs)):
        for label in sorted(side):
            if label not in hints.values() and (meant := _suggestion(label, {*others, neutral} - side)):
                # The reference's spelling is the new one.
                old, new = (meant, label) if meant in unmatched[1] else (label, meant)
                hints.setdefault(old, new)
    return Spelling(renamed, tuple(sorted(unmatched[0])), tuple(sorted(unmatched[1])), hints)


def word(label: str) -> str:
    """The standard spelling of `label`, or `label` in lower case if it has none.

    >>> word("HAP"), word(" Sadness"), word("zeal")
    ('happy', 'sad', 'zeal')
    """
    plain = " ".join(label.split()).casefold()
    return _WORDS.get(plain, plain)


def _letter(label: str, words: Collection[str]) -> str | None:
    """The word of one of SpeechBrain's letters, unless another of `words` starts with it."""
    meant = LETTERS.get(label)
    return meant if meant and [w for w in words if w.startswith(label)] == [meant] else None


def _kept(meaning: str, labels: list[str], reference: Collection[str], neutral: str) -> str:
    """The label as which `labels`, all of one emotion, are read."""
    known = [label for label in labels if label in reference]
    if neutral in labels:
        return neutral
    if len(known) == 1:
        return known[0]
    return meaning if meaning in labels or not known else known[0]


def _suggestion(label: str, others: Collection[str]) -> str | None:
    """The label of `others` that `label` might mean: a related emotion, a common prefix, or a similar spelling."""
    by_word = {word(other): other for other in sorted(others)}
    if (related := RELATED.get(word(label))) in by_word:
        return by_word[str(related)]
    if back := [other for meant, other in by_word.items() if RELATED.get(meant) == word(label)]:
        return back[0]
    plain = word(label)
    prefixed = [
        other for meant, other in by_word.items() if meant.startswith(plain) or plain.startswith(meant)
    ]
    if len(prefixed) == 1:
        return prefixed[0]
    close = get_close_matches(plain, by_word, 1, 0.75)
    return by_word[close[0]] if close else None
