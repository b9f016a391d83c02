"""Names of emotions that mean the same and are spelt otherwise: the labels of two sides in, a renaming out.

Compared as they stand, ``Happy``, ``hap`` and ``happy`` are three emotions, and a system that spells as another
does is wrong all the time. Spellings that can mean one thing only are therefore read as one: case and blanks
(``Happy``), the three letters of IEMOCAP (``hap``), nouns (``happiness``), and SpeechBrain's ``n h a s`` where one
label of that letter is there. What might be meant differently (``excited`` for happy, EMO-DB's ``A``, which is
fear) is never read as another emotion: it is suggested.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

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
"""Words by what is read as them, whatever the case."""
LETTERS = {"n": "neutral", "h": "happy", "a": "angry", "s": "sad"}
"""SpeechBrain's letters; in upper case they are EMO-DB's, which mean something else."""
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
"""What some corpora count as another emotion: suggested, never done."""
_WORDS = {spelling: word for word, own in SPELLINGS.items() for spelling in (word, *own)}


@dataclass(frozen=True)
class Spelling:
    """How the labels of a reference and a hypothesis go together; see `reconcile`.

    `renamed` maps labels to those as which they are read. `only_reference` and `only_hypothesis` are the emotions
    of one side that the other never names, neutral left out. `hints` maps some of these to a label of the other
    side that might be meant.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    only_reference: tuple[str, ...] = ()
    only_hypothesis: tuple[str, ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict)

    def warnings(self) -> list[str]:
        """One sentence for each kind of thing that a reader of the figures has to know."""
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
    """Which labels of the two sides are one emotion; `neutral` is on both, and `fixed` are read as they are.

    The spelling of the reference is kept, where it has only one.

    >>> found = reconcile({"happy", "sad"}, {"Happy", "joy", "neu"})
    >>> found.renamed, found.only_reference, found.only_hypothesis, found.hints
    ({'neu': 'neutral', 'Happy': 'happy'}, ('sad',), ('joy',), {'joy': 'happy'})
    """
    mine, theirs = set(reference), set(hypothesis)
    named = sorted((mine | theirs) - {neutral} - set(fixed))
    words = {word(label) for label in (*named, neutral) if len(label) > 1}
    alike: dict[str, list[str]] = {word(neutral): [neutral]}
    for label in named:
        alike.setdefault(_letter(label, words) or word(label), []).append(label)
    renamed: dict[str, str] = {}
    for meaning, labels in alike.items():
        kept = _kept(meaning, labels, mine, neutral) if len(labels) > 1 else labels[0]
        renamed |= {label: kept for label in labels if label != kept}
    mine, theirs = ({renamed.get(label, label) for label in side} - {neutral} for side in (mine, theirs))
    alone = mine - theirs, theirs - mine
    hints: dict[str, str] = {}
    for own, others in ((alone[1], mine), (alone[0], theirs)):
        for label in sorted(own):
            if label not in hints.values() and (meant := _meant(label, {*others, neutral} - own)):
                old, new = (
                    (meant, label) if meant in alone[1] else (label, meant)
                )  # as the reference spells it
                hints.setdefault(old, new)
    return Spelling(renamed, tuple(sorted(alone[0])), tuple(sorted(alone[1])), hints)


def word(label: str) -> str:
    """The meaning of `label`, as far as its spelling shows: its common word, or itself in lower case.

    >>> word("HAP"), word(" Sadness"), word("zeal")
    ('happy', 'sad', 'zeal')
    """
    plain = " ".join(label.split()).casefold()
    return _WORDS.get(plain, plain)


def _letter(label: str, words: Collection[str]) -> str | None:
    """The word of one of SpeechBrain's letters, where no other of `words` begins with it."""
    meant = LETTERS.get(label)
    return meant if meant and [w for w in words if w.startswith(label)] == [meant] else None


def _kept(meaning: str, labels: list[str], reference: Collection[str], neutral: str) -> str:
    """As what `labels`, which all are one emotion, are read."""
    own = [label for label in labels if label in reference]
    if neutral in labels:
        return neutral
    if len(own) == 1:
        return own[0]
    return meaning if meaning in labels or not own else own[0]


def _meant(label: str, others: Collection[str]) -> str | None:
    """Which of `others` the `label` might mean: a related emotion, one that begins alike, one typed alike."""
    by_word = {word(other): other for other in sorted(others)}
    if (related := RELATED.get(word(label))) in by_word:
        return by_word[str(related)]
    if back := [other for meant, other in by_word.items() if RELATED.get(meant) == word(label)]:
        return back[0]
    plain = word(label)
    begins = [other for meant, other in by_word.items() if meant.startswith(plain) or plain.startswith(meant)]
    if len(begins) == 1:
        return begins[0]
    close = get_close_matches(plain, by_word, 1, 0.75)
    return by_word[close[0]] if close else None
