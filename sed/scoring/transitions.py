"""How emotions follow each other in a conversation: within a speaker (inertia) and from speaker to speaker (contagion).

In: a `Diarization`. Out: counts of pairs of successive segments. A pair is *within* a speaker if both segments are
successive ones of that speaker, and *across* speakers if two segments that start one after the other have different
speakers. `cross_turn_score` is the share of the pairs across speakers that a system gets right, which a score by time
hides: a long neutral monologue outweighs every answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from sed.errors import OptionError
from sed.result import Diarization, Segment
from sed.scoring.events import DetectionScore


@dataclass(frozen=True, eq=False)
class Transitions:
    """Counts of pairs of emotions; can be added if the labels are the same.

    `labels` are the emotions; `within` and `across` are ``(labels, labels)`` int64, rows the earlier emotion.
    """

    labels: tuple[str, ...]
    within: np.ndarray
    across: np.ndarray

    @property
    def inertia(self) -> float:
        """How much more often a speaker keeps the emotion than by chance: 1 always, 0 by chance (Cohen's kappa)."""
        return _kappa(self.within)

    @property
    def contagion(self) -> float:
        """How much more often a speaker answers in the same emotion than by chance: 1 always, 0 by chance."""
        return _kappa(self.across)

    def shares(self, which: str = "across") -> np.ndarray:
        """``(labels, labels)`` shares of the later emotion for each earlier one; rows without a pair are NaN."""
        if which not in ("within", "across"):
            raise OptionError(f"found transitions {which!r}, expected within or across")
        counts = getattr(self, which)
        totals = counts.sum(1, keepdims=True)
        return np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)

    def __add__(self, other: Transitions) -> Transitions:
        if not isinstance(other, Transitions):
            return NotImplemented
        if self.labels != other.labels:
            raise OptionError(
                f"found transitions of {', '.join(other.labels)}, expected the labels {', '.join(self.labels)}"
            )
        return Transitions(self.labels, self.within + other.within, self.across + other.across)


def transitions(diarization: Diarization, labels: Sequence[str] = ()) -> Transitions:
    """The transitions of a conversation over `labels` (default: those that it states, or else that occur, sorted).

    Segments without an emotion are ignored. Raises `OptionError` on an emotion that is not among `labels`.

    >>> d = Diarization("x", 9, [Segment(0, 2, "a", "angry"), Segment(2, 4, "b", "sad"), Segment(4, 6, "a", "angry")])
    >>> found = transitions(d)
    >>> found.labels, found.within.tolist(), found.across.tolist()
    (('angry', 'sad'), [[1, 0], [0, 0]], [[0, 1], [1, 0]])
    """
    segments = _labelled(diarization)
    names = tuple(labels) or diarization.labels or tuple(sorted({s.emotion for s in segments if s.emotion}))
    if unknown := sorted({str(s.emotion) for s in segments} - set(names)):
        raise OptionError(f"{diarization.uri}: found {', '.join(unknown)}, expected only {', '.join(names)}")
    within, across = (np.zeros((len(names), len(names)), np.int64) for _ in range(2))
    by_speaker = sorted(segments, key=lambda s: (str(s.speaker), s.start))
    for _, own in groupby(by_speaker, key=lambda s: s.speaker):
        for one, next_one in pairwise(own):
            within[names.index(str(one.emotion)), names.index(str(next_one.emotion))] += 1
    for one, next_one in _answers(segments):
        across[names.index(str(one.emotion)), names.index(str(next_one.emotion))] += 1
    return Transitions(names, within, across)


def cross_turn_score(reference: Diarization, hypothesis: Diarization) -> DetectionScore:
    """How many pairs of answers of `reference` have both emotions right in `hypothesis`, by pair of emotions.

    The emotion of the hypothesis in a segment of the reference is the one that covers most of it, whatever the speaker
    is called there. `by_label` has the pairs, such as ``angry > sad``; `recall` of the whole is the share of pairs that
    is right.

    >>> ref = Diarization("x", 6, [Segment(0, 2, "a", "angry"), Segment(2, 4, "b", "sad"), Segment(4, 6, "a", "sad")])
    >>> hyp = Diarization("x", 6, [Segment(0, 2, "x", "angry"), Segment(2, 6, "y", "sad")])
    >>> score = cross_turn_score(ref, hyp)
    >>> score.recall, sorted(score.by_label)
    (1.0, ['angry > sad', 'sad > sad'])
    """
    counts: dict[str, list[int]] = {}
    for one, next_one in _answers(_labelled(reference)):
        true = f"{one.emotion} > {next_one.emotion}"
        guess = f"{_dominant(hypothesis, one)} > {_dominant(hypothesis, next_one)}"
        counts.setdefault(true, [0, 0, 0])[1] += 1
        counts.setdefault(guess, [0, 0, 0])[2] += 1
        counts[true][0] += true == guess
    by_label = {name: DetectionScore(hits, true, guesses) for name, (hits, true, guesses) in counts.items()}
    found, true_pairs, pairs = (sum(values[n] for values in counts.values()) for n in range(3))
    return DetectionScore(found, true_pairs, pairs, by_label)


def _labelled(diarization: Diarization) -> list[Segment]:
    return [segment for segment in diarization if segment.emotion]


def _answers(segments: Sequence[Segment]) -> list[tuple[Segment, Segment]]:
    """Successive segments of different speakers."""
    return [(one, other) for one, other in pairwise(segments) if one.speaker != other.speaker]


def _dominant(diarization: Diarization, span: Segment) -> str:
    """The emotion that covers most of `span`; empty if none does."""
    covered: dict[str, float] = {}
    for segment in diarization:
        seconds = min(segment.end, span.end) - max(segment.start, span.start)
        if seconds > 0 and segment.emotion:
            covered[segment.emotion] = covered.get(segment.emotion, 0.0) + seconds
    return max(covered, key=lambda emotion: covered[emotion]) if covered else ""


def _kappa(counts: np.ndarray) -> float:
    """Agreement of rows and columns beyond chance; NaN without pairs, or if only one emotion occurs."""
    total = counts.sum()
    if not total:
        return float("nan")
    observed = np.trace(counts) / total
    expected = float(counts.sum(0) @ counts.sum(1)) / total**2
    return float((observed - expected) / (1 - expected)) if expected < 1 else float("nan")
