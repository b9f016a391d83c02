"""Agglomerative clustering of speaker embeddings, which determines the number of speakers.

In: unit vectors, one for each run of speech of one local speaker, the embedded seconds of each run, and which runs
overlap in time (these usually have different speakers). Out: one centroid for each speaker.

The similarity of two clusters is the mean cosine between their members, weighted by seconds (average linkage). It
only depends on each cluster's weighted sum of vectors, so the clustering can be hierarchical without changing the
similarities: a long recording is clustered in batches, whose clusters are clustered again. Time and memory therefore
grow linearly with the length of the recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Clusters:
    """`n` clusters of embeddings; initially each embedding is a cluster.

    `sums` is ``(n, dimension)`` float32: unit vectors times their seconds, summed over the members;
    `seconds` is ``(n,)`` float32; `overlapping` is ``(n, n)`` bool: whether two clusters have members that overlap in
    time.
    """

    sums: np.ndarray
    seconds: np.ndarray
    overlapping: np.ndarray

    def __len__(self) -> int:
        return len(self.seconds)

    @classmethod
    def from_embeddings(cls, vectors: np.ndarray, seconds: np.ndarray, overlapping: np.ndarray) -> Clusters:
        """One cluster for each of the unit `vectors` ``(n, dimension)`` with its `seconds` ``(n,)``.

        `overlapping` ``(m, 2)`` are index pairs of embeddings that overlap in time.

        >>> Clusters.from_embeddings(np.eye(3), np.ones(3), np.array([[0, 1]])).overlapping.astype(int)
        array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
        """
        matrix = np.zeros((len(vectors), len(vectors)), bool)
        first, second = overlapping.T
        matrix[first, second] = matrix[second, first] = True
        seconds = np.asarray(seconds, np.float32)
        return cls((vectors * seconds[:, None]).astype(np.float32), seconds, matrix)

    def merge(self, labels: np.ndarray) -> Clusters:
        """One cluster for each value of `labels` ``(n,)``, which are 0, 1, ... in any order."""
        members = (np.arange(labels.max() + 1)[:, None] == labels[None]).astype(np.float32)
        overlapping = members @ self.overlapping.astype(np.float32) @ members.T > 0
        np.fill_diagonal(overlapping, False)
        return Clusters(members @ self.sums, members @ self.seconds, overlapping)

    @classmethod
    def concatenate(cls, parts: Sequence[Clusters]) -> Clusters:
        """The clusters of successive batches; clusters of different batches do not overlap."""
        ends = np.cumsum([len(part) for part in parts])
        overlapping = np.zeros((ends[-1], ends[-1]), bool)
        for end, part in zip(ends, parts, strict=True):
            overlapping[end - len(part) : end, end - len(part) : end] = part.overlapping
        sums, seconds = ([getattr(p, name) for p in parts] for name in ("sums", "seconds"))
        return cls(np.concatenate(sums), np.concatenate(seconds), overlapping)

    @property
    def centroids(self) -> np.ndarray:
        """The unit vector of each cluster, ``(n, dimension)``."""
        return self.sums / np.maximum(np.linalg.norm(self.sums, axis=1, keepdims=True), 1e-9)


@dataclass(frozen=True, eq=False)
class MergeHistory:
    """The merges of an agglomerative clustering of `n` items, most similar first.

    `pairs` is ``(merges, 2)``: the second cluster was merged into the first; a cluster is identified by the index of
    its first member. `similarities` is ``(merges,)``: the mean cosine, less the overlap penalty.
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


def agglomerate(clusters: Clusters, overlap_penalty: float = 0.2) -> MergeHistory:
    """Merge the two most similar clusters until one is left, in about ``n ** 2`` time and memory.

    `overlap_penalty` is subtracted from the similarity of clusters whose members overlap in time. Ties go to the
    lowest index.

    >>> vectors = np.array([[1, 0], [0, 1], [0.8, 0.6]])
    >>> clusters = Clusters.from_embeddings(vectors, np.ones(3), np.zeros((0, 2), int))
    >>> history = agglomerate(clusters)
    >>> history.pairs.tolist(), history.similarities.round(2).tolist(), history.labels(1).tolist()
    ([[0, 2], [0, 1]], [0.8, 0.3], [0, 1, 0])
    """
    n = len(clusters)
    seconds = clusters.seconds.astype(np.float64).copy()
    sums = clusters.sums.astype(np.float64)
    similarity = sums @ sums.T
    overlapping = clusters.overlapping.copy()
    for i in range(n):  # row by row, to avoid a second array of this size
        similarity[i] /= np.maximum(seconds[i] * seconds, 1e-9)
        similarity[i] -= overlap_penalty * overlapping[i]
    np.fill_diagonal(similarity, -np.inf)
    active = np.ones(n, bool)
    best = similarity.argmax(1) if n else np.zeros(0, np.int64)
    value = similarity[np.arange(n), best]
    pairs, similarities = [], []
    for _ in range(n - 1):
        first = int(value.argmax())
        i, j = sorted((first, int(best[first])))
        pairs.append((i, j))
        similarities.append(value[first])
        total = seconds[i] + seconds[j]
        cosine_i, cosine_j = (similarity[k] + overlap_penalty * overlapping[k] for k in (i, j))
        row = (seconds[i] * cosine_i + seconds[j] * cosine_j) / total
        seconds[i] = total
        overlapping[i] |= overlapping[j]
        overlapping[:, i] = overlapping[i]
        row = np.where(active, row - overlap_penalty * overlapping[i], -np.inf)
        row[[i, j]] = -np.inf
        active[j] = False
        similarity[i], similarity[:, i] = row, row
        similarity[j], similarity[:, j] = -np.inf, -np.inf
        value[j] = -np.inf
        stale = np.flatnonzero(active & ((best == i) | (best == j)))
        best[stale] = similarity[stale].argmax(1)
        value[stale] = similarity[stale, best[stale]]
        best[i] = row.argmax()
        value[i] = row[best[i]]
        closer = active & (row > value)
        best[closer], value[closer] = i, row[closer]
    return MergeHistory(n, np.array(pairs, np.int64).reshape(-1, 2), np.array(similarities))


@dataclass(frozen=True)
class ClusteringOptions:
    """How embeddings are grouped into speakers.

    threshold: minimum mean cosine at which two clusters are merged.
    overlap_penalty: subtracted from that cosine if the clusters have members that overlap in time. Not a hard
        constraint, because the segmentation network sometimes splits one speaker into two.
    min_speaker_seconds: clusters with less speech are not speakers; their embeddings are assigned to the most
        similar speakers.
    min_speaker_share, min_speaker_limit: in long recordings the minimum is this share of all speech, but at most
        `min_speaker_limit` seconds.
    batch_size: number of embeddings clustered at once; bounds memory (``batch_size ** 2``) and time.
    """

    threshold: float = 0.41
    overlap_penalty: float = 0.2
    min_speaker_seconds: float = 1.0
    min_speaker_share: float = 0.04
    min_speaker_limit: float = 10.0
    batch_size: int = 1000

    def min_seconds(self, total: float) -> float:
        """Minimum seconds of speech of a speaker in a recording with `total` seconds of speech.

        >>> [ClusteringOptions().min_seconds(total) for total in (20, 200, 3600)]
        [1.0, 8.0, 10.0]
        """
        return max(self.min_speaker_seconds, min(self.min_speaker_share * total, self.min_speaker_limit))


_BLOCK = 1024  # embeddings compared with the centroids at once; bounds memory
_FAN_IN = 4  # batches whose clusters are clustered together; each leaves at most a quarter of a batch


def find_speakers(
    vectors: Sequence[np.ndarray] | np.ndarray,
    seconds: np.ndarray,
    overlapping: np.ndarray,
    options: ClusteringOptions,
    min_speakers: int = 1,
    max_speakers: int | None = None,
) -> np.ndarray:
    """The centroid of each speaker, ``(speakers, dimension)`` unit vectors.

    `vectors` are `n` unit embeddings ``(dimension,)`` in chronological order, a list or an array; `seconds` ``(n,)``
    the durations of embedded speech; `overlapping` ``(m, 2)`` index pairs of those that overlap in time. The number of
    speakers follows from the similarities, within `min_speakers` and `max_speakers`; it is never larger than `n`.

    >>> rng = np.random.default_rng(0)
    >>> vectors = np.repeat(np.eye(8)[:3], 20, 0) + 0.1 * rng.normal(size=(60, 8))
    >>> vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    >>> data = vectors, np.ones(60), np.zeros((0, 2), int)
    >>> len(find_speakers(*data, ClusteringOptions())), len(find_speakers(*data, ClusteringOptions(), 1, 2))
    (3, 2)
    """
    if len(vectors) == 0:
        return np.zeros((0, *np.shape(vectors)[1:]), np.float32)
    level: list[Clusters] = []
    size = options.batch_size
    for start in range(0, len(vectors), size):
        batch = slice(start, start + size)
        inside = overlapping[(overlapping >= start).all(1) & (overlapping < start + size).all(1)] - start
        clusters = Clusters.from_embeddings(np.asarray(vectors[batch]), seconds[batch], inside)
        level.append(_reduce(clusters, options) if len(vectors) > size else clusters)
    while len(level) > 1:
        level = [Clusters.concatenate(level[i : i + _FAN_IN]) for i in range(0, len(level), _FAN_IN)]
        if len(level) > 1:
            level = [_reduce(clusters, options) for clusters in level]
    clusters = level[0]
    history = agglomerate(clusters, options.overlap_penalty)
    min_seconds = options.min_seconds(float(clusters.seconds.sum()))
    merges = _count_merges(
        clusters,
        history,
        history.count_above(options.threshold),
        min_seconds,
        min_speakers,
        max_speakers or len(clusters),
    )
    found = clusters.merge(history.labels(merges))
    large = found.seconds >= min_seconds
    required = min(max(min_speakers, 1), len(found))
    if large.sum() < required:  # too little speech: ignore the minimum duration
        large[np.argsort(-found.seconds, kind="stable")[:required]] = True
    return found.centroids[large]


def _reduce(clusters: Clusters, options: ClusteringOptions) -> Clusters:
    """Merge the clusters of a batch above the threshold, and further to at most a quarter of the batch size."""
    history = agglomerate(clusters, options.overlap_penalty)
    merges = max(history.count_above(options.threshold), len(clusters) - options.batch_size // _FAN_IN)
    return clusters.merge(history.labels(merges))


def _count_merges(
    clusters: Clusters,
    history: MergeHistory,
    preferred: int,
    min_seconds: float,
    min_speakers: int,
    max_speakers: int,
) -> int:
    """Number of merges to apply: `preferred`, unless the bounds on the number of speakers require another one."""
    seconds = clusters.seconds.astype(np.float64).copy()
    large = [int((seconds >= min_seconds).sum())]  # number of speakers after 0, 1, ... merges
    for kept, merged in history.pairs:
        before = int(seconds[kept] >= min_seconds) + int(seconds[merged] >= min_seconds)
        seconds[kept] += seconds[merged]
        seconds[merged] = 0
        large.append(large[-1] + int(seconds[kept] >= min_seconds) - before)
    speakers = np.array(large)
    if speakers[preferred] > max_speakers:
        return preferred + int(np.flatnonzero(speakers[preferred:] <= max_speakers)[0])
    if speakers[preferred] < min_speakers:
        enough = np.flatnonzero(speakers[: preferred + 1] >= min_speakers)
        return int(enough[-1]) if len(enough) else min(preferred, max(0, history.n - min_speakers))
    return preferred


def cosine_similarities(vectors: Sequence[np.ndarray] | np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The cosine of each of `n` unit `vectors`, a list or an array, and each centroid, ``(n, speakers)``."""
    parts = [np.asarray(vectors[i : i + _BLOCK]) @ centroids.T for i in range(0, len(vectors), _BLOCK)]
    return np.concatenate(parts) if parts else np.zeros((0, len(centroids)), np.float32)


def assign_speakers(
    vectors: Sequence[np.ndarray] | np.ndarray, overlapping: np.ndarray, centroids: np.ndarray
) -> np.ndarray:
    """The most similar speaker of each embedding ``(n,)``, but different ones for embeddings that overlap in time.

    `vectors`, a list or an array of `n`, and `centroids` ``(speakers, dimension)`` are unit vectors; `overlapping`
    ``(m, 2)`` are index pairs of embeddings that overlap in time.

    >>> vectors = np.array([[1.0, 0.0], [0.9, 0.4], [0.8, 0.6]])
    >>> assign_speakers(vectors, np.array([[0, 1]]), np.eye(2)).tolist()
    [0, 1, 0]
    """
    similarities = cosine_similarities(vectors, centroids)
    speakers = similarities.argmax(1)
    if len(centroids) < 2:
        return speakers
    for pair in overlapping:
        if speakers[pair[0]] == speakers[pair[1]]:
            speaker = speakers[pair[0]]
            others = similarities[pair].copy()
            others[:, speaker] = -np.inf
            moved = int((similarities[pair, speaker] - others.max(1)).argmin())
            speakers[pair[moved]] = others[moved].argmax()
    return speakers
