"""Agglomerative clustering: repeatedly merges the two most similar of a set of clusters of embeddings.

In: `Clusters`, initially one for each embedding, and the `Linkage`, which says how similar two clusters are. Out: the
history of all merges. A cluster is represented by the weighted sum of its vectors, so the clusters of one clustering
can be the items of the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sed.speakers.shared_windows import SharedWindows, together_share

_LARGE = (20.0, 60.0)  # seconds; the smaller and the larger of two clusters count as no larger than this


@dataclass(frozen=True)
class Linkage:
    """Similarity of two clusters: a mean of two cosines, less corrections.

    centroid_share: weight of the cosine of the centroids; the rest is the mean cosine of the members (average linkage).
    smaller_slope, larger_slope: subtracted for every factor of e in the seconds of the smaller cluster beyond 2.5 s
        and of the larger one beyond 6 s, up to 20 and 60 s; added below. The more speech two clusters have, the more
        alike they must be: little speech is unlike everything, a lot of speech is unlike for a reason.
    overlap_penalty: subtracted if the clusters have members that overlap in time. Not a hard constraint, because the
        segmentation network sometimes splits one speaker into two.
    window_bonus: added, times the share of the windows with members of both in which they are one local speaker
        (`sed.speakers.shared_windows`).
    """

    centroid_share: float = 0.0
    smaller_slope: float = 0.0
    larger_slope: float = 0.0
    overlap_penalty: float = 0.2
    window_bonus: float = 0.0

    def size_term(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """What is subtracted for clusters with `one` and `other` seconds of speech (arrays that broadcast)."""
        smaller = np.minimum(np.minimum(one, other), _LARGE[0])
        larger = np.minimum(np.maximum(one, other), _LARGE[1])
        return self.smaller_slope * np.log(smaller / 2.5) + self.larger_slope * np.log(larger / 6)


@dataclass(frozen=True, eq=False)
class Clusters:
    """`n` clusters of embeddings; initially each embedding is a cluster.

    `sums` is ``(n, dimension)`` float32: unit vectors times their seconds, summed over the members;
    `seconds` is ``(n,)`` float32; `overlapping` is ``(n, n)`` bool: whether two clusters have members that overlap in
    time; `windows`, if known, is ``(2, n, n)`` float32: the numbers of windows in which members of both are the same
    local speaker, and different ones.
    """

    sums: np.ndarray
    seconds: np.ndarray
    overlapping: np.ndarray
    windows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.seconds)

    @classmethod
    def from_embeddings(
        cls,
        vectors: np.ndarray,
        seconds: np.ndarray,
        overlapping: np.ndarray,
        shared: SharedWindows | None = None,
    ) -> Clusters:
        """One cluster for each of the unit `vectors` ``(n, dimension)`` with its `seconds` ``(n,)``.

        `overlapping` ``(m, 2)`` are index pairs of embeddings that overlap in time, `shared` those in one window.

        >>> Clusters.from_embeddings(np.eye(3), np.ones(3), np.array([[0, 1]])).overlapping.astype(int)
        array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
        """
        matrix = np.zeros((len(vectors), len(vectors)), bool)
        first, second = overlapping.T
        matrix[first, second] = matrix[second, first] = True
        seconds = np.asarray(seconds, np.float32)
        windows = None if shared is None else shared.matrices(len(vectors))
        return cls((vectors * seconds[:, None]).astype(np.float32), seconds, matrix, windows)

    def merge(self, labels: np.ndarray) -> Clusters:
        """One cluster for each value of `labels` ``(n,)``, which are 0, 1, ... in any order."""
        members = (np.arange(labels.max() + 1)[:, None] == labels[None]).astype(np.float32)
        overlapping = members @ self.overlapping.astype(np.float32) @ members.T > 0
        np.fill_diagonal(overlapping, False)
        windows = None
        if self.windows is not None:
            windows = members @ self.windows @ members.T
            windows[:, range(len(members)), range(len(members))] = 0
        return Clusters(members @ self.sums, members @ self.seconds, overlapping, windows)

    @classmethod
    def concatenate(cls, parts: Sequence[Clusters]) -> Clusters:
        """The clusters of successive batches; clusters of different batches do not overlap and share no window."""
        ends = np.cumsum([len(part) for part in parts])
        overlapping = np.zeros((ends[-1], ends[-1]), bool)
        windows = None
        if any(part.windows is not None for part in parts):
            windows = np.zeros((2, ends[-1], ends[-1]), np.float32)
        for end, part in zip(ends, parts, strict=True):
            own = slice(end - len(part), end)
            overlapping[own, own] = part.overlapping
            if windows is not None and part.windows is not None:
                windows[:, own, own] = part.windows
        sums, seconds = ([getattr(p, name) for p in parts] for name in ("sums", "seconds"))
        return cls(np.concatenate(sums), np.concatenate(seconds), overlapping, windows)

    @property
    def centroids(self) -> np.ndarray:
        """The unit vector of each cluster, ``(n, dimension)``."""
        return self.sums / np.maximum(np.linalg.norm(self.sums, axis=1, keepdims=True), 1e-9)


@dataclass(frozen=True, eq=False)
class MergeHistory:
    """The merges of an agglomerative clustering of `n` items, most similar first.

    `pairs` is ``(merges, 2)``: the second cluster was merged into the first; a cluster is identified by the index of
    its first member. `similarities` is ``(merges,)``: their similarity, with the corrections of `Linkage`.
    """

    n: int
    pairs: np.ndarray
    similarities: np.ndarray

    def labels(self, merges: int) -> np.ndarray:
        """Cluster of each item ``(n,)`` after the first `merges` merges, numbered by first member."""
        parent = np.arange(self.n)
        for kept, merged in self.pairs[:merges]:
            parent[parent == merged] = kept
        return np.unique(parent, return_inverse=True)[1].reshape(-1)

    def count_above(self, threshold: float) -> int:
        """Number of merges before the similarity first falls below `threshold`."""
        below = np.flatnonzero(self.similarities < threshold)
        return int(below[0]) if len(below) else len(self.similarities)


def agglomerate(clusters: Clusters, linkage: Linkage | None = None) -> MergeHistory:
    """Merge the two most similar clusters until one is left, in about ``n ** 2`` time and memory.

    Ties go to the lowest index.

    >>> vectors = np.array([[1, 0], [0, 1], [0.8, 0.6]])
    >>> clusters = Clusters.from_embeddings(vectors, np.ones(3), np.zeros((0, 2), int))
    >>> history = agglomerate(clusters)
    >>> history.pairs.tolist(), history.similarities.round(2).tolist(), history.labels(1).tolist()
    ([[0, 2], [0, 1]], [0.8, 0.3], [0, 1, 0])
    """
    state = _State(clusters, linkage or Linkage())
    n = len(clusters)
    similarity = np.stack([state.similarities(i) for i in range(n)]) if n else np.zeros((0, 0))
    best = similarity.argmax(1) if n else np.zeros(0, np.int64)
    value = similarity[np.arange(n), best]
    pairs, similarities = [], []
    for _ in range(n - 1):
        first = int(value.argmax())
        i, j = sorted((first, int(best[first])))
        pairs.append((i, j))
        similarities.append(value[first])
        state.merge(i, j)
        row = state.similarities(i)
        similarity[i], similarity[:, i] = row, row
        similarity[j], similarity[:, j] = -np.inf, -np.inf
        value[j] = -np.inf
        stale = np.flatnonzero(state.active & ((best == i) | (best == j)))
        best[stale] = similarity[stale].argmax(1)
        value[stale] = similarity[stale, best[stale]]
        best[i] = row.argmax()
        value[i] = row[best[i]]
        closer = state.active & (row > value)
        best[closer], value[closer] = i, row[closer]
    return MergeHistory(n, np.array(pairs, np.int64).reshape(-1, 2), np.array(similarities))


class _State:
    """The clusters left; a merged cluster keeps the index of its first member."""

    def __init__(self, clusters: Clusters, linkage: Linkage) -> None:
        self.linkage = linkage
        self.active = np.ones(len(clusters), bool)
        self.seconds = np.maximum(clusters.seconds.astype(np.float64), 1e-9)
        self.overlapping = clusters.overlapping.copy()
        known = linkage.window_bonus and clusters.windows is not None
        self.windows = clusters.windows.astype(np.float64) if known else None  # type: ignore[union-attr]
        sums = clusters.sums.astype(np.float64)
        self.products = sums @ sums.T

    def similarities(self, i: int) -> np.ndarray:
        """The similarity of cluster `i` and every other, ``(n,)``; minus infinity for itself and those merged."""
        link, products = self.linkage, self.products[i]
        row = (1 - link.centroid_share) * products / (self.seconds[i] * self.seconds)
        if link.centroid_share:
            norms = np.sqrt(np.maximum(self.products.diagonal(), 1e-18))
            row += link.centroid_share * products / (norms[i] * norms)
        row -= link.size_term(self.seconds[i], self.seconds) + link.overlap_penalty * self.overlapping[i]
        if self.windows is not None:
            row += link.window_bonus * together_share(self.windows[:, i])
        row[~self.active] = -np.inf
        row[i] = -np.inf
        return row

    def merge(self, i: int, j: int) -> None:
        """Merge cluster `j` into `i`."""
        self.products[i] += self.products[j]
        self.products[:, i] += self.products[:, j]
        self.seconds[i] += self.seconds[j]
        self.overlapping[i] |= self.overlapping[j]
        self.overlapping[:, i] = self.overlapping[i]
        if self.windows is not None:
            self.windows[:, i] += self.windows[:, j]
            self.windows[:, :, i] += self.windows[:, :, j]
        self.active[j] = False
