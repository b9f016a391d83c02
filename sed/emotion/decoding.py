"""Posteriors -> one emotion per frame: argmax, median filter, total variation, or Viterbi with minimum duration.

In: ``(frames, labels)`` posteriors of a sequence of one speaker's speech, 50 per second. Out: ``(frames,)`` label
indices. `decode` is the entry point of all decoders; `DecoderOptions` has their options.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sed.emotion.priors import NEUTRAL
from sed.emotion.viterbi import ViterbiState, backtrace
from sed.errors import OptionError
from sed.grid import seconds_to_frames

FLOOR = 1e-5  # posteriors are clipped to this minimum, so that a single frame cannot rule out a label
_OVERLAP_ONLY_WEIGHT = 1e-3  # weight of overlapped frames if a sequence has no others; only breaks ties
_CHUNK = 4096  # frames processed at once; bounds memory


class Sliced(Protocol):
    """Rows that are read in slices: an array, or an object that stores a long recording elsewhere."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Any:
        """The rows of a slice as an array."""
        ...


@dataclass(frozen=True)
class DecoderOptions:
    """Options of the decoders. The defaults were tuned on validation speakers (benchmarks/tuning/decoder.py).

    method: ``viterbi`` (default), ``argmax``, ``median`` or ``tv``.
    switch_cost: viterbi; cost of a change of emotion, in nats of frame log-posterior.
    minimum_duration: viterbi; minimum duration of an emotion in seconds, unless the sequence is shorter.
    turn_discount: viterbi; factor on `switch_cost` at the start of a turn (0 = free, 1 = no discount), because
        emotions change between turns more often than within them.
    memory: seconds of silence of a speaker after which decoding starts afresh.
    overlap_weight: weight of frames in which another speaker is active too (0 = ignored, 1 = full weight). If a
        sequence has no other frames, they are used with a small weight even if this is 0.
    median_window: median; seconds.
    tv_weight: tv; a total variation of 1 (one full step) costs as much as this many frames of error.
    start_cost: viterbi; cost of starting a sequence with another label than ``neutral``, in nats of frame log-posterior
        like `switch_cost`; 0: every label may be the first one. Above `switch_cost` a sequence without any neutral
        speech would start with `minimum_duration` of it. None: `switch_cost`, as if neutral speech went before, if
        there is a label ``neutral``, and otherwise 0.
    """

    method: str = "viterbi"
    switch_cost: float = 48.0
    minimum_duration: float = 0.6
    turn_discount: float = 0.5
    memory: float = 20.0
    overlap_weight: float = 0.0
    median_window: float = 2.0
    tv_weight: float = 10.0
    start_cost: float | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise OptionError(f"decoder {self.method!r}: expected one of {', '.join(METHODS)}")
        for name in (
            "switch_cost",
            "start_cost",
            "minimum_duration",
            "turn_discount",
            "memory",
            "median_window",
            "tv_weight",
        ):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise OptionError(f"decoder option {name} is {value}: expected 0 or more")
        if not 0 <= self.overlap_weight <= 1:
            raise OptionError(f"decoder option overlap_weight is {self.overlap_weight}: expected 0 to 1")

    def start_costs(self, labels: Sequence[str]) -> np.ndarray | float:
        """The cost of each of `labels` as the first one of a sequence.

        Raises `OptionError` if a cost was given and none of the labels is ``neutral``.

        >>> DecoderOptions(start_cost=16.0).start_costs(("neutral", "sad")).tolist(), DecoderOptions().start_costs(())
        ([0.0, 16.0], 0.0)
        """
        cost = self.switch_cost if self.start_cost is None else self.start_cost
        if not cost or (self.start_cost is None and NEUTRAL not in labels):
            return 0.0
        if NEUTRAL not in labels:
            found = ", ".join(labels) or "without names"
            raise OptionError(f"decoder option start_cost for labels {found}: expected {NEUTRAL} among them")
        return np.array([0.0 if label == NEUTRAL else cost for label in labels])

    def weight_in_overlap(self, alone: bool) -> float:
        """Weight of overlapped frames in a sequence; `alone`: the speaker speaks alone in at least one frame of it.

        Only viterbi weights frames; the other methods treat all equally.

        >>> DecoderOptions().weight_in_overlap(alone=True), DecoderOptions().weight_in_overlap(alone=False)
        (0.0, 0.001)
        """
        if self.method != "viterbi":
            return 1.0
        return self.overlap_weight if alone else max(self.overlap_weight, _OVERLAP_ONLY_WEIGHT)


def decode(
    posteriors: Sliced,
    options: DecoderOptions | None = None,
    turn_starts: np.ndarray | None = None,
    weights: Sliced | None = None,
    labels: Sequence[str] = (),
) -> np.ndarray:
    """Label indices ``(frames,)`` int16 for `posteriors` ``(frames, labels)``.

    `turn_starts` are the first frames of turns, where viterbi discounts the switch cost; `weights` ``(frames,)`` from 0
    to 1 are the weights of the frames (viterbi only); `labels` are the names of the labels, which `start_cost` needs.
    Argmax and viterbi read both in chunks and need a few bytes of
    memory per frame.

    >>> p = np.full((100, 2), [0.9, 0.1]); p[40:45] = [0.2, 0.8]; p[70:] = [0.1, 0.9]
    >>> [int(decode(p, DecoderOptions(method)).sum()) for method in ("argmax", "viterbi")]
    [35, 30]
    """
    options = options or DecoderOptions()
    if 0 in posteriors.shape:  # no frames, or a tagger that estimates dimensions but no labels
        return np.zeros(len(posteriors), np.int16)
    starts = np.zeros(0, np.intp) if turn_starts is None else np.asarray(turn_starts, np.intp)
    found = METHODS[options.method](posteriors, options, starts, weights, labels)
    return found.astype(np.int16, copy=False)


def _chunks(rows: Sliced) -> Iterator[np.ndarray]:
    """The rows in successive chunks, as float64."""
    for start in range(0, len(rows), _CHUNK):
        yield np.asarray(rows[start : start + _CHUNK], np.float64)


def _argmax(posteriors: Sliced, *_: object) -> np.ndarray:
    return np.concatenate([chunk.argmax(1).astype(np.int16) for chunk in _chunks(posteriors)])


def _median(posteriors: Sliced, options: DecoderOptions, *_: object) -> np.ndarray:
    half = seconds_to_frames(options.median_window) // 2
    whole = np.asarray(posteriors[0 : len(posteriors)], np.float64)
    padded = np.pad(whole, ((half, half), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    medians = [np.median(windows[i : i + _CHUNK], axis=-1) for i in range(0, len(windows), _CHUNK)]
    return np.concatenate(medians).argmax(1)


def _total_variation(posteriors: Sliced, options: DecoderOptions, *_: object) -> np.ndarray:
    whole = np.asarray(posteriors[0 : len(posteriors)], np.float64)
    smooth = [total_variation(column, options.tv_weight) for column in whole.T]
    return np.stack(smooth, 1).argmax(1)


def total_variation(signal: np.ndarray, weight: float) -> np.ndarray:
    """The exact minimiser of ``sum((x - signal)**2) / 2 + weight * sum(abs(diff(x)))``, in linear time.

    Taut string algorithm (Davies & Kovac, 2001): the slope of the shortest path between ``cumsum(signal) - weight``
    and ``cumsum(signal) + weight`` is the solution. The hulls of the two bounds are kept as queues that start at the
    last fixed knot.

    >>> total_variation(np.array([0., 0., 0., 1., 1., 1.]), 0.3).round(3)
    array([0.1, 0.1, 0.1, 0.9, 0.9, 0.9])
    """
    n = len(signal)
    heights = np.concatenate([[0.0], np.cumsum(signal)])
    low, high = heights - weight, heights + weight
    low[0] = high[0] = heights[0]
    low[n] = high[n] = heights[n]
    low, high = low.tolist(), high.tolist()
    upper: list[tuple[int, float]] = [(0, 0.0)]  # greatest convex minorant of the upper bound
    lower: list[tuple[int, float]] = [(0, 0.0)]  # least concave majorant of the lower bound
    knots: list[tuple[int, float]] = [(0, 0.0)]

    for i in range(1, n + 1):
        _extend(upper, (i, high[i]), convex=True)
        _extend(lower, (i, low[i]), convex=False)
        # The hulls cross: the string touches one of them, and the path up to there is fixed.
        while len(upper) > 1 and len(lower) > 1 and _slope(lower[0], lower[1]) > _slope(upper[0], upper[1]):
            knot = upper[1] if upper[1][0] < lower[1][0] else lower[1]
            knots.append(knot)
            if knot is upper[1]:
                del upper[0]
                lower = _rebuild(knot, low, i, convex=False)
            else:
                del lower[0]
                upper = _rebuild(knot, high, i, convex=True)
    knots += upper[1:]
    solution = np.empty(n)
    for left, right in itertools.pairwise(knots):
        solution[left[0] : right[0]] = _slope(left, right)
    return solution


def _slope(a: tuple[int, float], b: tuple[int, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])


def _extend(hull: list[tuple[int, float]], point: tuple[int, float], convex: bool) -> None:
    while len(hull) > 1:
        before, new = _slope(hull[-2], hull[-1]), _slope(hull[-1], point)
        if (new > before) if convex else (new < before):
            break
        hull.pop()
    hull.append(point)


def _rebuild(knot: tuple[int, float], bound: list[float], end: int, convex: bool) -> list[tuple[int, float]]:
    hull = [knot]
    for i in range(knot[0] + 1, end + 1):
        _extend(hull, (i, bound[i]), convex)
    return hull


def _viterbi(
    posteriors: Sliced,
    options: DecoderOptions,
    turn_starts: np.ndarray,
    weights: Sliced | None,
    names: Sequence[str],
) -> np.ndarray:
    """The best labelling under a cost for each change and a minimum duration (`sed.emotion.viterbi`)."""
    frames, labels = posteriors.shape
    min_frames = max(1, seconds_to_frames(options.minimum_duration))
    costs = options.switch_cost, options.turn_discount, options.start_costs(names)
    state = ViterbiState(labels, min_frames, *costs)
    jumps, best_labels = state.backpointers(frames)
    starts = np.unique(turn_starts)
    for evidence in _evidence(posteriors, weights):
        first, end = state.time, state.time + len(evidence)
        low, high = np.searchsorted(starts, [first, end])
        own = (starts[low:high] - first).tolist()
        state.extend(evidence, own, jumps[first : end + 1], best_labels[first : end + 1])
    state.end_turn(jumps[-1], best_labels[-1:])
    return backtrace(jumps, best_labels)


def _evidence(posteriors: Sliced, weights: Sliced | None) -> Iterator[np.ndarray]:
    """The weighted log-posteriors in successive chunks."""
    for number, chunk in enumerate(_chunks(posteriors)):
        evidence = np.log(np.maximum(chunk, FLOOR))
        if weights is not None:
            start = number * _CHUNK
            evidence *= np.asarray(weights[start : start + len(chunk)], np.float64)[:, None]
        yield evidence


METHODS: dict[str, Callable[..., np.ndarray]] = {
    "viterbi": _viterbi,
    "argmax": _argmax,
    "median": _median,
    "tv": _total_variation,
}
