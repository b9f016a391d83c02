"""Which speech runs a window of the segmentation takes for one local speaker, and which for two.

In: the windows, and the speech runs in them. Out: `SharedWindows`: for pairs of runs, in how many windows both are the
same local speaker, and in how many they are not. The network compares two voices in one recording and at one time, so
this is evidence beside the cosine of their embeddings, above all where a voice changes with emotion.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MIN_FRAMES = 20  # a window with less speech of a run does not count
_FULL_FRAMES = 50  # from here on it counts in full


class RecentWindows:
    """The windows that may still see a new run.

    >>> windows = RecentWindows()
    >>> windows.push(0, np.repeat([[0.9, 0.0]], 100, axis=0))
    >>> windows.views(10, np.ones(40, bool)).round(2).tolist()
    [[0.0, 0.8, 0.9, 0.0]]
    """

    def __init__(self) -> None:
        self._windows: list[tuple[int, np.ndarray]] = []

    def push(self, start: int, activities: np.ndarray) -> None:
        """Add the window with the activity ``(frames, local speakers)`` from frame `start` on."""
        self._windows.append((start, activities))

    def drop(self, first: int) -> None:
        """Forget the windows that end before frame `first`."""
        self._windows = [(start, own) for start, own in self._windows if start + len(own) > first]

    def views(self, start: int, active: np.ndarray) -> np.ndarray:
        """How the windows see a run from frame `start`, `active` ``(frames,)`` bool: ``(windows, 2 + local speakers)``.

        Each row is the first frame of a window, its weight from 0 to 1, and the mean activity of its local speakers.
        """
        return self.views_at(np.flatnonzero(active) + start)

    def views_at(self, frames: np.ndarray) -> np.ndarray:
        """As `views`, for a run that is active in the frames with these numbers ``(n,)``."""
        found = []
        for first, activities in self._windows:
            inside = frames[(frames >= first) & (frames < first + len(activities))] - first
            if len(inside) >= _MIN_FRAMES:
                found.append([first, min(1.0, len(inside) / _FULL_FRAMES), *activities[inside].mean(0)])
        return np.array(found, np.float64) if found else np.zeros((0, 2))


@dataclass(frozen=True, eq=False)
class SharedWindows:
    """Pairs of items that windows see both of.

    `pairs` is ``(m, 2)``, the smaller index first; `together` and `apart` ``(m,)`` are the weighted numbers of windows
    in which the two are the same local speaker, and different ones.
    """

    pairs: np.ndarray
    together: np.ndarray
    apart: np.ndarray

    @classmethod
    def from_views(cls, views: Sequence[np.ndarray]) -> SharedWindows:
        """The pairs of the runs with those `RecentWindows.views`.

        >>> shared = SharedWindows.from_views([np.array([[0.0, 1.0, 1.0, 0.0]]), np.array([[0.0, 0.5, 0.8, 0.2]])])
        >>> shared.pairs.tolist(), shared.together.tolist(), shared.apart.round(2).tolist()
        ([[0, 1]], [0.4], [0.1])
        """
        members: dict[float, list[tuple[int, np.ndarray]]] = defaultdict(list)
        for number, rows in enumerate(views):
            for row in rows:
                members[row[0]].append((number, row[1:]))
        parts = [np.zeros((4, 0))]
        for seen in members.values():
            numbers = np.array([number for number, _ in seen])
            rows = np.stack([row for _, row in seen])
            weight, activity = rows[:, 0], rows[:, 1:]
            one, other = np.triu_indices(len(seen), 1)
            share = np.minimum(weight[one], weight[other])
            same = (activity[one] * activity[other]).sum(1)
            both = activity[one].sum(1) * activity[other].sum(1)
            parts.append(np.stack([numbers[one], numbers[other], share * same, share * (both - same)]))
        first, second, together, apart = np.concatenate(parts, 1)
        pairs = np.sort(np.stack([first, second], 1).astype(np.int64), 1)
        unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
        sums = [np.bincount(inverse.reshape(-1), values, len(unique)) for values in (together, apart)]
        return cls(unique, *sums)

    def among(self, kept: np.ndarray) -> SharedWindows:
        """The pairs of the items that are `kept` ``(n,)`` bool, renumbered.

        >>> shared = SharedWindows(np.array([[0, 1], [1, 2]]), np.array([1.0, 2.0]), np.zeros(2))
        >>> kept = shared.among(np.array([False, True, True]))
        >>> kept.pairs.tolist(), kept.together.tolist()
        ([[0, 1]], [2.0])
        """
        inside = kept[self.pairs].all(1)
        numbers = np.cumsum(kept) - 1
        return SharedWindows(numbers[self.pairs[inside]], self.together[inside], self.apart[inside])

    def matrices(self, n: int) -> np.ndarray:
        """`together` and `apart` as symmetric matrices of `n` items, ``(2, n, n)`` float32."""
        found = np.zeros((2, n, n), np.float32)
        first, second = self.pairs.T
        for matrix, values in zip(found, (self.together, self.apart), strict=True):
            matrix[first, second] = matrix[second, first] = values
        return found

    def by_label(self, labels: np.ndarray, count: int) -> np.ndarray:
        """Windows that each item shares with the items of each label: ``(2, n, count)``, together and apart.

        `labels` ``(n,)`` are from 0 to `count` - 1.

        >>> shared = SharedWindows(np.array([[0, 1]]), np.array([1.0]), np.array([0.5]))
        >>> shared.by_label(np.array([0, 1]), 2)[0].tolist()
        [[0.0, 1.0], [1.0, 0.0]]
        """
        found = np.zeros((2, len(labels), count))
        for one, other in (self.pairs.T, self.pairs.T[::-1]):
            for matrix, values in zip(found, (self.together, self.apart), strict=True):
                np.add.at(matrix, (one, labels[other]), values)
        return found


def together_share(windows: np.ndarray) -> np.ndarray:
    """The share of the shared `windows` ``(2, ...)`` in which two are one local speaker, near 0 if there are few.

    >>> together_share(np.array([[0.0, 2.0, 18.0], [0.0, 0.0, 0.0]])).tolist()
    [0.0, 0.5, 0.9]
    """
    return windows[0] / (windows.sum(0) + 2)
