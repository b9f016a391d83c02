"""Events and boundaries: two annotations in, counts of those found at the right time out.

An event is an uninterrupted interval of one emotion other than neutral, of any speaker. It is found if the
hypothesis has an event of the same emotion whose onset is within the collar and whose offset is within the
collar or a share of the event's length, as defined by sed_eval (Mesaros, Heittola, Virtanen, *Metrics for
Polyphonic Sound Event Detection*, 2016), with the largest one-to-one matching. A boundary is an instant
inside the recording at which the set of emotions changes; silence counts as neutral.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sed.errors import OptionError
from sed.scoring.assignment import most_pairs
from sed.scoring.confusion import label_order
from sed.scoring.intervals import EPSILON, Region, sweep, within
from sed.scoring.spans import Annotated, Spans, scored_region


@dataclass(frozen=True)
class DetectionScore:
    """Counts of found events or boundaries; scores can be added.

    `found` counts matched pairs, `reference` and `hypothesis` all of each side. Undefined quotients are nan.
    `by_label` has the scores of each emotion, for events.

    >>> score = DetectionScore(3, 4, 6)
    >>> score.precision, score.recall, score.f1
    (0.5, 0.75, 0.6)
    """

    found: int = 0
    reference: int = 0
    hypothesis: int = 0
    by_label: Mapping[str, DetectionScore] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.found <= min(self.reference, self.hypothesis):
            raise OptionError(
                f"{self.found} found of {self.reference} and {self.hypothesis}: expected no more than either"
            )

    @property
    def precision(self) -> float:
        """The share of the hypothesis that is correct."""
        return self.found / self.hypothesis if self.hypothesis else float("nan")

    @property
    def recall(self) -> float:
        """The share of the reference that was found."""
        return self.found / self.reference if self.reference else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.reference + self.hypothesis
        return 2 * self.found / both if both else float("nan")

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the labels that occur; nan if none do."""
        values = [s.f1 for s in self.by_label.values() if s.reference + s.hypothesis]
        return float(np.mean(values)) if values else float("nan")

    def __add__(self, other: DetectionScore) -> DetectionScore:
        if not isinstance(other, DetectionScore):
            return NotImplemented
        none = DetectionScore()
        names = [*self.by_label, *(name for name in other.by_label if name not in self.by_label)]
        return DetectionScore(
            self.found + other.found,
            self.reference + other.reference,
            self.hypothesis + other.hypothesis,
            {name: self.by_label.get(name, none) + other.by_label.get(name, none) for name in names},
        )

    def __radd__(self, other: object) -> DetectionScore:
        return self if other == 0 else NotImplemented

    def to_dict(self) -> dict[str, Any]:
        """Counts and quotients, for JSON."""
        row: dict[str, Any] = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        row |= {"found": self.found, "reference": self.reference, "hypothesis": self.hypothesis}
        if self.by_label:
            row["by_label"] = {name: score.to_dict() for name, score in self.by_label.items()}
        return row


@dataclass(frozen=True)
class BoundaryScore:
    """Boundaries found within each collar, and the distance of matched ones; scores can be added.

    `within` maps a collar in seconds to its `DetectionScore`. `offset` is the summed distance in seconds of
    the `matched` pairs of the largest collar.
    """

    within: Mapping[float, DetectionScore]
    offset: float = 0.0
    matched: int = 0

    @property
    def mean_error(self) -> float:
        """Mean distance in seconds of matched boundaries; nan without any."""
        return self.offset / self.matched if self.matched else float("nan")

    def __add__(self, other: BoundaryScore) -> BoundaryScore:
        if not isinstance(other, BoundaryScore):
            return NotImplemented
        within = {collar: score + other.within[collar] for collar, score in self.within.items()}
        return BoundaryScore(within, self.offset + other.offset, self.matched + other.matched)

    def __radd__(self, other: object) -> BoundaryScore:
        return self if other == 0 else NotImplemented

    def to_dict(self) -> dict[str, Any]:
        """Counts and quotients, for JSON."""
        return {
            "mean_error": self.mean_error,
            "matched": self.matched,
            "within": {f"{collar:g}": score.to_dict() for collar, score in self.within.items()},
        }


def event_score(
    reference: Annotated,
    hypothesis: Annotated,
    *,
    collar: float = 0.2,
    offset_share: float = 0.5,
    onset_only: bool = False,
    duration: float | None = None,
    uem: Region | None = None,
    labels: Mapping[str, str] | None = None,
    neutral: str | None = "neutral",
) -> DetectionScore:
    """Event precision, recall and F1, overall and by emotion.

    An onset may differ by `collar` seconds, an offset by `collar` or `offset_share` of the reference event's
    length, whichever is greater; `onset_only` ignores offsets. `neutral` is not an event (None: every label is).
    `labels` renames emotions on both sides. Events are cut to `uem` (regions in seconds) or `duration`, if given.

    >>> from sed.result import Segment as S
    >>> reference = [S(1, 3, None, "happy"), S(5, 7, None, "sad")]
    >>> hypothesis = [S(1.1, 3.5, None, "happy"), S(5.5, 7, None, "sad")]
    >>> event_score(reference, hypothesis).f1, event_score(reference, hypothesis, collar=0.5).f1
    (0.5, 1.0)
    """
    if not (collar >= 0 and offset_share >= 0):
        raise OptionError(f"collar {collar} s and offset share {offset_share}: expected 0 or more")
    sides = Spans.of(reference), Spans.of(hypothesis)
    truth, claimed = (side.by_emotion(labels) for side in sides)
    if duration is not None or uem is not None:
        region = scored_region(*sides, duration, uem)
        truth, claimed = (
            {label: cut for label, track in side.items() if len(cut := within(track, region))}
            for side in (truth, claimed)
        )
    by_label = {}
    nothing = np.empty((0, 2))
    for label in label_order([*truth, *claimed], neutral or "neutral"):
        if label == neutral or not (label in truth or label in claimed):
            continue
        here, there = truth.get(label, nothing), claimed.get(label, nothing)
        left, right = _near(here[:, 0], there[:, 0], collar)
        close = np.abs(here[left, 0] - there[right, 0]) <= collar
        if not onset_only:
            tolerance = np.maximum(collar, offset_share * (here[:, 1] - here[:, 0]))
            close &= np.abs(here[left, 1] - there[right, 1]) <= tolerance[left]
        by_label[label] = DetectionScore(_largest(left[close], right[close]), len(here), len(there))
    total = sum(by_label.values(), DetectionScore())
    return DetectionScore(total.found, total.reference, total.hypothesis, by_label)


def boundary_score(
    reference: Annotated,
    hypothesis: Annotated,
    *,
    collars: tuple[float, ...] = (0.2, 0.5),
    duration: float | None = None,
    uem: Region | None = None,
    labels: Mapping[str, str] | None = None,
    neutral: str = "neutral",
) -> BoundaryScore:
    """Precision and recall of emotion boundaries within each of `collars` seconds, and their mean error.

    As many boundaries as possible are matched one to one. The mean error is that of the pairs at the largest
    collar, matched for the smallest total distance. Options are as for `sed.scoring.eder`.

    >>> from sed.result import Segment as S
    >>> score = boundary_score([S(1, 3, None, "sad")], [S(1.1, 3.4, None, "sad")], duration=5)
    >>> [s.recall for s in score.within.values()], round(score.mean_error, 6)
    ([0.5, 1.0], 0.25)
    """
    if not collars or not all(collar >= 0 for collar in collars):
        raise OptionError(f"collars {collars}: expected at least one, each 0 or more seconds")
    reference, hypothesis = Spans.of(reference), Spans.of(hypothesis)
    region = scored_region(reference, hypothesis, duration, uem)
    here, there = (_boundaries(s.by_emotion(labels), region, neutral) for s in (reference, hypothesis))
    within, offset, matched = {}, 0.0, 0
    for collar in sorted(collars):
        matched, offset = _match(here, there, collar)
        within[collar] = DetectionScore(matched, len(here), len(there))
    return BoundaryScore(within, offset, matched)


def _boundaries(found: Mapping[str, np.ndarray], region: np.ndarray, neutral: str) -> np.ndarray:
    """Instants, in order, inside `region` at which the set of emotions changes."""
    labelled = [found.get(label, np.empty((0, 2))) for label in label_order(found, neutral)]
    edges, active = sweep([*labelled, region])
    scored = active[:, -1] & (np.diff(edges) > EPSILON)  # shorter cells come from rounding
    starts, ends, state = edges[:-1][scored], edges[1:][scored], active[scored, :-1]
    state[:, 0] |= ~state.any(1)
    touching = starts[1:] - ends[:-1] <= 2 * EPSILON  # not across a gap of the region
    return starts[1:][touching & (state[1:] != state[:-1]).any(1)]


def _near(here: np.ndarray, there: np.ndarray, collar: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the pairs of sorted instants at most `collar` apart, or slightly more due to rounding."""
    first = np.searchsorted(there, here - collar - EPSILON)
    count = np.searchsorted(there, here + collar + EPSILON, side="right") - first
    left = np.repeat(np.arange(len(here)), count)
    return left, np.arange(len(left)) + np.repeat(first - np.cumsum(count) + count, count)


def _largest(left: np.ndarray, right: np.ndarray) -> int:
    """The size of the largest one-to-one matching of the pairs (left, right)."""
    if len(np.unique(left)) == len(left) == len(np.unique(right)):
        return len(left)
    candidates: dict[int, list[int]] = {}
    for first, second in zip(left.tolist(), right.tolist(), strict=True):
        candidates.setdefault(first, []).append(second)
    return len(most_pairs(candidates))


def _match(here: np.ndarray, there: np.ndarray, collar: float) -> tuple[int, float]:
    """The number of pairs within `collar` in the largest one-to-one matching, and their minimal total distance."""
    limit = collar + EPSILON
    low = np.searchsorted(there, here - limit)
    high = np.searchsorted(there, here + limit, side="right")
    has_candidates = high > low
    here, low, high = here[has_candidates], low[has_candidates], high[has_candidates]
    # Most boundaries have a single candidate that no other boundary has.
    unique = high - low == 1
    unique[1:] &= low[1:] >= np.maximum.accumulate(high)[:-1]
    unique[:-1] &= low[1:] >= high[:-1]
    pairs, distance = _ordered_match(here[~unique], there, low[~unique], high[~unique])
    return pairs + int(unique.sum()), distance + float(np.abs(here[unique] - there[low[unique]]).sum())


def _ordered_match(
    here: np.ndarray, there: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[int, float]:
    """`_match` by dynamic programming; `here[i]` can be matched to ``there[low[i]:high[i]]``, which is not empty.

    All are sorted, so an optimal matching without crossings exists: it is found in a table over prefixes of
    `here` and `there`, filled only near its diagonal.
    """
    others = there.tolist()
    offset = 0  # `frontier[j - offset]`: best (-pairs, distance) that uses only the first j of `there`
    frontier: list[tuple[int, float]] = [(0, 0.0)]
    for time, first, last in zip(here.tolist(), low.tolist(), high.tolist(), strict=True):
        if first > offset:  # earlier instants cannot be matched any more
            drop = min(first - offset, len(frontier) - 1)
            frontier, offset = frontier[drop:], first
        frontier += [frontier[-1]] * (last - offset + 1 - len(frontier))
        updated = frontier[:1]
        for j in range(offset, last):
            used, distance = frontier[j - offset]
            best = min(updated[-1], frontier[j + 1 - offset])
            if j >= first:
                best = min(best, (used - 1, distance + abs(others[j] - time)))
            updated.append(best)
        frontier = updated
    pairs, distance = frontier[-1]
    return -pairs, distance
