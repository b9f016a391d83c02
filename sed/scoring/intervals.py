"""Interval arithmetic for scoring: segments in, weighted cells of constant labels out.

Everything is exact on intervals in seconds, without frames. A *track* is a ``(n, 2)`` float64 array of
disjoint, sorted ``[start, end)`` rows. A *cell* is an interval in which no label starts or ends.

`EPSILON` is the only tolerance: a gap that short between two segments of one label is a rounding error (20 ms
frames give 794 of them in 4,999), not a boundary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from sed.errors import OptionError

EPSILON = 1e-6  # seconds

Track = np.ndarray
Region = Iterable[tuple[float, float]]


class Cells(NamedTuple):
    """The scored time, divided at every change of labels."""

    widths: np.ndarray
    """Duration of each cell in seconds, ``(cells,)``."""
    reference: np.ndarray
    """The labels of the reference in each cell, ``(cells, labels)`` bool."""
    hypothesis: np.ndarray
    """The labels of the hypothesis in each cell, ``(cells, labels)`` bool; its labels may differ."""


def support(intervals: np.ndarray | Sequence[tuple[float, float]], closing: float = EPSILON) -> Track:
    """The union of `intervals` ``(n, 2)`` as a track; gaps of up to `closing` seconds are closed.

    >>> support([(3, 4), (0, 2), (1, 2.5), (2.5, 2.9)]).tolist()
    [[0.0, 2.9], [3.0, 4.0]]
    """
    rows = np.asarray(intervals, np.float64).reshape(-1, 2)
    if len(rows) < 2:
        return rows
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    ends = np.maximum.accumulate(rows[:, 1])
    new = np.flatnonzero(rows[1:, 0] > ends[:-1] + closing) + 1
    return np.stack([rows[np.r_[0, new], 0], ends[np.r_[new - 1, len(rows) - 1]]], 1)


def gaps(track: Track, start: float, end: float) -> Track:
    """The parts of ``[start, end)`` that `track` does not cover.

    >>> gaps(support([(1, 2), (4, 9)]), 0, 6).tolist()
    [[0.0, 1.0], [2.0, 4.0]]
    """
    inner = np.clip(track, start, end)
    bounds = np.concatenate([[start], inner.ravel(), [end]]).reshape(-1, 2)
    return bounds[bounds[:, 1] - bounds[:, 0] > EPSILON]


def within(track: Track, region: Track) -> Track:
    """The parts of `track` inside `region`.

    >>> within(support([(0, 3), (5, 9)]), support([(2, 6), (7, 8)])).tolist()
    [[2.0, 3.0], [5.0, 6.0], [7.0, 8.0]]
    """
    if len(track) and len(region) == 1 and region[0, 0] <= track[0, 0] and track[-1, 1] <= region[0, 1]:
        return track
    edges, active = sweep([track, region])
    kept = active.all(1) & (np.diff(edges) > EPSILON)  # shorter cells come from rounding
    return support(np.stack([edges[:-1][kept], edges[1:][kept]], 1))


def around(boundaries: np.ndarray, collar: float) -> Track:
    """The time within `collar` seconds before or after any of `boundaries`."""
    if not (np.isfinite(collar) and collar >= 0):
        raise OptionError(f"a collar of {collar} s: expected 0 or more seconds")
    if collar == 0:
        return np.empty((0, 2))
    flat = np.unique(boundaries)
    return support(np.stack([flat - collar, flat + collar], 1))


def sweep(tracks: Sequence[Track]) -> tuple[np.ndarray, np.ndarray]:
    """Edges ``(n + 1,)`` in seconds, and the tracks active between them, ``(n, tracks)`` bool.

    >>> edges, active = sweep([support([(0, 2)]), support([(1, 3)])])
    >>> edges.tolist(), active.astype(int).tolist()
    ([0.0, 1.0, 2.0, 3.0], [[1, 0], [1, 1], [0, 1]])
    """
    count = len(tracks)
    column = np.repeat(np.arange(count), [len(track) for track in tracks])
    rows = np.concatenate([*tracks, np.empty((0, 2))])
    edges, place = np.unique(rows, return_inverse=True)
    place = place.reshape(-1, 2)
    size = len(edges) * count
    change = np.bincount(place[:, 0] * count + column, minlength=size)
    change -= np.bincount(place[:, 1] * count + column, minlength=size)
    return edges, (change.reshape(-1, count).cumsum(0)[:-1] > 0)


def cells(reference: Sequence[Track], hypothesis: Sequence[Track], region: Track, ignored: Track) -> Cells:
    """Cells of the time in `region` that is not in `ignored`."""
    edges, active = sweep([*reference, *hypothesis, region, ignored])
    scored = active[:, -2] & ~active[:, -1]
    active, split = active[scored], len(reference)
    return Cells(np.diff(edges)[scored], active[:, :split], active[:, split:-2])
