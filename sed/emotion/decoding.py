"""Posteriors -> one emotion a frame: argmax, median, total variation, and Viterbi with a minimum duration.

In: ``(frames, labels)`` posteriors of one stretch of one speaker's speech, 50 a second. Out: ``(frames,)``
label numbers. All decoders stand behind `decode`; their knobs are in `DecoderOptions`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sed.emotion.viterbi import ViterbiState, backtrace
from sed.errors import OptionError
from sed.grid import seconds_to_frames

FLOOR = 1e-5  # a posterior below this counts as this: one frame cannot forbid a label
_ALL_THERE_IS = 1e-3  # weight of overlapped frames where a stretch has no others: they break a tie, no more
_AT_ONCE = 4096  # frames that are looked at together: bounds the memory


class Sliced(Protocol):
    """Rows that are read piece by piece: an array, or what holds a long recording's elsewhere."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array's."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Any:
        """The rows from `start` to `stop` as an array."""
        ...


@dataclass(frozen=True)
class DecoderOptions:
    """What the decoders can be told. The defaults were tuned on validation speakers
    (benchmarks/tuning/decoder.py).

    method: ``viterbi`` (default), ``argmax``, ``median`` or ``tv``.
    switch_cost: viterbi; what a change of emotion costs, in nats of frame log-posterior.
    minimum_duration: viterbi; seconds that an emotion lasts at least, unless the stretch is shorter.
    turn_discount: viterbi; factor on `switch_cost` where a new turn of the speaker begins (0 = free, 1 = as
        anywhere): emotions tend to change between turns rather than within them.
    memory: seconds of silence of a speaker after which his emotion is decoded afresh.
    overlap_weight: weight of frames in which somebody else speaks too (0 = ignored, 1 = like any other). Where a
        stretch has no other frames they decide, at whatever weight.
    median_window: median; seconds.
    tv_weight: tv; the total variation of 1 (one full step) costs as much as this many frames of error.
    """

    method: str = "viterbi"
    switch_cost: float = 32.0
    minimum_duration: float = 0.6
    turn_discount: float = 0.5
    memory: float = 20.0
    overlap_weight: float = 0.0
    median_window: float = 2.0
    tv_weight: float = 10.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise OptionError(f"decoder {self.method!r}: expected one of {', '.join(METHODS)}")
        for name in (
            "switch_cost",
            "minimum_duration",
            "turn_discount",
            "memory",
            "median_window",
            "tv_weight",
        ):
            if not getattr(self, name) >= 0:
                raise OptionError(f"decoder option {name} is {getattr(self, name)}: expected 0 or more")
        if not 0 <= self.overlap_weight <= 1:
            raise OptionError(f"decoder option overlap_weight is {self.overlap_weight}: expected 0 to 1")

    def weight_in_overlap(self, alone: bool) -> float:
        """The weight of overlapped frames in a stretch in some frames of which its speaker is `alone`, or in none.

        Only viterbi weighs frames; for the others all are alike.

        >>> DecoderOptions().weight_in_overlap(alone=True), DecoderOptions().weight_in_overlap(alone=False)
        (0.0, 0.001)
        """
        if self.method != "viterbi":
            return 1.0
        return self.overlap_weight if alone else max(self.overlap_weight, _ALL_THERE_IS)


def decode(
    posteriors: Sliced,
    options: DecoderOptions | None = None,
    turn_starts: np.ndarray | None = None,
    weights: Sliced | None = None,
) -> np.ndarray:
    """Label numbers ``(frames,)`` int16 for `posteriors` ``(frames, labels)``.

    `turn_starts` are the frames at which a new turn begins (viterbi makes a change cheaper there); `weights`
    ``(frames,)`` from 0 to 1 says how much each frame counts (viterbi). Argmax and viterbi read both piece by piece
    and keep a few bytes a frame.

    >>> p = np.full((100, 2), [0.9, 0.1]); p[40:45] = [0.2, 0.8]; p[70:] = [0.1, 0.9]
    >>> [int(decode(p, DecoderOptions(method)).sum()) for method in ("argmax", "viterbi")]
    [35, 30]
    """
    options = options or DecoderOptions()
    if len(posteriors) == 0:
        return np.zeros(0, np.int16)
    starts = np.zeros(0, np.intp) if turn_starts is None else np.asarray(turn_starts, np.intp)
    return METHODS[options.method](posteriors, options, starts, weights).astype(np.int16, copy=False)


def _pieces(rows: Sliced) -> Iterator[np.ndarray]:
    """Some rows after the other, as float64."""
    for start in range(0, len(rows), _AT_ONCE):
        yield np.asarray(rows[start : start + _AT_ONCE], np.float64)


def _argmax(posteriors: Sliced, *_: object) -> np.ndarray:
    return np.concatenate([piece.argmax(1).astype(np.int16) for piece in _pieces(posteriors)])


def _median(posteriors: Sliced, options: DecoderOptions, *_: object) -> np.ndarray:
    half = seconds_to_frames(options.median_window) // 2
    whole = np.asarray(posteriors[0 : len(posteriors)], np.float64)
    padded = np.pad(whole, ((half, half), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    medians = [np.median(windows[i : i + _AT_ONCE], axis=-1) for i in range(0, len(windows), _AT_ONCE)]
    return np.concatenate(medians).argmax(1)


def _total_variation(posteriors: Sliced, options: DecoderOptions, *_: object) -> np.ndarray:
    whole = np.asarray(posteriors[0 : len(posteriors)], np.float64)
    smooth = [total_variation(column, options.tv_weight) for column in whole.T]
    return np.stack(smooth, 1).argmax(1)


def total_variation(signal: np.ndarray, weight: float) -> np.ndarray:
    """The exact minimiser of ``sum((x - signal)**2) / 2 + weight * sum(abs(diff(x)))``, in linear time.

    The taut string: between the tubes ``cumsum(signal) - weight`` and ``+ weight`` the shortest path has the
    wanted signal as its slope (Davies & Kovac, 2001). Its lower and upper hulls are kept as two queues that
    start at the last fixed knot.

    >>> total_variation(np.array([0., 0., 0., 1., 1., 1.]), 0.3).round(3)
    array([0.1, 0.1, 0.1, 0.9, 0.9, 0.9])
    """
    n = len(signal)
    heights = np.concatenate([[0.0], np.cumsum(signal)])
    low, high = heights - weight, heights + weight
    low[0] = high[0] = heights[0]
    low[n] = high[n] = heights[n]
    low, high = low.tolist(), high.tolist()
    upper: list[tuple[int, float]] = [(0, 0.0)]  # greatest convex minorant of the upper tube from the knot
    lower: list[tuple[int, float]] = [(0, 0.0)]  # least concave majorant of the lower tube from the knot
    knots: list[tuple[int, float]] = [(0, 0.0)]

    for i in range(1, n + 1):
        _extend(upper, (i, high[i]), convex=True)
        _extend(lower, (i, low[i]), convex=False)
        # The hulls cross: the string must touch one of them, and what lies before is settled.
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
    out = np.empty(n)
    for left, right in itertools.pairwise(knots):
        out[left[0] : right[0]] = _slope(left, right)
    return out


def _slope(a: tuple[int, float], b: tuple[int, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])


def _extend(hull: list[tuple[int, float]], point: tuple[int, float], convex: bool) -> None:
    while len(hull) > 1:
        before, new = _slope(hull[-2], hull[-1]), _slope(hull[-1], point)
        if (new > before) if convex else (new < before):
            break
        hull.pop()
    hull.append(point)


def _rebuild(knot: tuple[int, float], tube: list[float], end: int, convex: bool) -> list[tuple[int, float]]:
    hull = [knot]
    for i in range(knot[0] + 1, end + 1):
        _extend(hull, (i, tube[i]), convex)
    return hull


def _viterbi(
    posteriors: Sliced, options: DecoderOptions, turn_starts: np.ndarray, weights: Sliced | None
) -> np.ndarray:
    """The best labelling under a cost for each change and a minimum duration (`sed.emotion.viterbi`)."""
    frames, labels = posteriors.shape
    min_frames = max(1, seconds_to_frames(options.minimum_duration))
    state = ViterbiState(labels, min_frames, options.switch_cost, options.turn_discount)
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
    """The logarithms of some frames' posteriors after the other, weighted."""
    for number, piece in enumerate(_pieces(posteriors)):
        evidence = np.log(np.maximum(piece, FLOOR))
        if weights is not None:
            start = number * _AT_ONCE
            evidence *= np.asarray(weights[start : start + len(piece)], np.float64)[:, None]
        yield evidence


METHODS: dict[str, Callable[..., np.ndarray]] = {
    "viterbi": _viterbi,
    "argmax": _argmax,
    "median": _median,
    "tv": _total_variation,
}
