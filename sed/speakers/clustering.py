"""Agglomerative clustering of speaker embeddings, which determines the number of speakers.

In: unit vectors, one for each run of speech of one local speaker, the embedded seconds of each run, and which runs
overlap in time (these usually have different speakers). Out: one centroid for each speaker.

The similarity of two clusters (`sed.speakers.agglomeration`) only depends on the weighted sum of their vectors and
their seconds, so the clustering can be hierarchical without changing the similarities: a long recording is clustered
in batches, whose clusters are clustered again. Time and memory therefore grow linearly with the length of the
recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sed.speakers.agglomeration import Clusters, Linkage, MergeHistory, agglomerate
from sed.speakers.shared_windows import SharedWindows, together_share


@dataclass(frozen=True)
class ClusteringOptions:
    """How embeddings are grouped into speakers.

    threshold, mean_share: minimum similarity at which two clusters are merged: `threshold` plus this share of the mean
        cosine of all embeddings of the recording. Two voices on one telephone line, or in one room, are more alike than
        two in one studio after another.
    linkage: how similar two clusters are.
    window_bonus: added to the cosine of a run and a speaker, times the share of windows in which the run and the
        speaker's other runs are one local speaker.
    min_run_seconds: embeddings of less clean speech join a speaker, but take no part in the clustering.
    min_speaker_seconds: clusters with less speech are not speakers; their embeddings are assigned to the most
        similar speakers.
    min_speaker_share, min_speaker_limit: in long recordings the minimum is this share of all speech, but at most
        `min_speaker_limit` seconds.
    batch_size: number of embeddings clustered at once; bounds memory (``batch_size ** 2``) and time.
    """

    threshold: float = 0.21
    mean_share: float = 0.35
    linkage: Linkage = field(default_factory=lambda: Linkage(0.6, 0.11, 0.03, window_bonus=0.22))
    window_bonus: float = 0.3
    min_run_seconds: float = 0.8
    min_speaker_seconds: float = 1.0
    split_margin: float = 0.25
    min_speaker_share: float = 0.05
    min_speaker_limit: float = 10.0
    batch_size: int = 1000

    def min_seconds(self, total: float) -> float:
        """Minimum seconds of speech of a speaker in a recording with `total` seconds of speech.

        >>> [ClusteringOptions().min_seconds(total) for total in (20, 200, 3600)]
        [1.0, 10.0, 10.0]
        """
        return max(self.min_speaker_seconds, min(self.min_speaker_share * total, self.min_speaker_limit))


_BLOCK = 1024  # embeddings compared with the centroids at once; bounds memory
_ROUNDS = 5  # of assignment by the windows that runs share; more change nothing
_FAN_IN = 4  # batches whose clusters are clustered together; each leaves at most a quarter of a batch


def find_speakers(
    vectors: Sequence[np.ndarray] | np.ndarray,
    seconds: np.ndarray,
    overlapping: np.ndarray,
    options: ClusteringOptions,
    min_speakers: int = 1,
    max_speakers: int | None = None,
    shared: SharedWindows | None = None,
) -> np.ndarray:
    """The centroid of each speaker, ``(speakers, dimension)`` unit vectors.

    `vectors` are `n` unit embeddings ``(dimension,)`` in chronological order, a list or an array; `seconds` ``(n,)``
    the durations of embedded speech; `overlapping` ``(m, 2)`` index pairs of those that overlap in time, `shared` those
    that are in one window. The number of speakers follows from the similarities, within `min_speakers` and
    `max_speakers`; it is never larger than `n`.

    >>> rng = np.random.default_rng(0)
    >>> vectors = np.repeat(np.eye(8)[:3], 20, 0) + 0.1 * rng.normal(size=(60, 8))
    >>> vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    >>> data = vectors, np.ones(60), np.zeros((0, 2), int)
    >>> len(find_speakers(*data, ClusteringOptions())), len(find_speakers(*data, ClusteringOptions(), 1, 2))
    (3, 2)
    """
    if len(vectors) == 0:
        return np.zeros((0, *np.shape(vectors)[1:]), np.float32)
    threshold = merge_threshold(vectors, seconds, options.threshold, options.mean_share)
    level: list[Clusters] = []
    size = options.batch_size
    for start in range(0, len(vectors), size):
        batch = slice(start, start + size)
        inside = overlapping[(overlapping >= start).all(1) & (overlapping < start + size).all(1)] - start
        near = None
        if shared is not None:
            own = np.arange(len(vectors)) // size == start // size
            near = shared.among(own)
        clusters = Clusters.from_embeddings(np.asarray(vectors[batch]), seconds[batch], inside, near)
        level.append(_reduce(clusters, options, threshold) if len(vectors) > size else clusters)
    while len(level) > 1:
        level = [Clusters.concatenate(level[i : i + _FAN_IN]) for i in range(0, len(level), _FAN_IN)]
        if len(level) > 1:
            level = [_reduce(clusters, options, threshold) for clusters in level]
    clusters = level[0]
    history = agglomerate(clusters, options.linkage)
    min_seconds = options.min_seconds(float(clusters.seconds.sum()))
    merges = merges_within_bounds(
        clusters,
        history,
        history.count_above(threshold),
        min_seconds,
        min_speakers,
        max_speakers or len(clusters),
        certain=history.count_above(threshold + options.split_margin),
    )
    found = clusters.merge(history.labels(merges))
    large = found.seconds >= min_seconds
    required = min(max(min_speakers, 1), len(found))
    if large.sum() < required:  # too little speech: ignore the minimum duration
        large[np.argsort(-found.seconds, kind="stable")[:required]] = True
    return found.centroids[large]


def merge_threshold(
    vectors: Sequence[np.ndarray] | np.ndarray, seconds: np.ndarray, threshold: float, mean_share: float
) -> float:
    """`threshold` plus `mean_share` times the `mean_similarity` of the `vectors`.

    >>> round(merge_threshold(np.eye(3)[[0, 0, 1]], np.ones(3), 0.2, 0.3), 3)
    0.3
    """
    return threshold + mean_share * mean_similarity(vectors, seconds) if mean_share else threshold


def mean_similarity(vectors: Sequence[np.ndarray] | np.ndarray, seconds: np.ndarray) -> float:
    """The mean product of two of the `vectors` ``(n, dimension)``, weighted by `seconds` ``(n,)``; 0 if n < 2.

    For unit vectors this is the mean cosine; vectors of clusters are the weighted means of their members.

    >>> round(mean_similarity(np.eye(3)[[0, 0, 1]], np.ones(3)), 3)
    0.333
    """
    weights = np.asarray(seconds, np.float64)
    total, alone = np.zeros(1), 0.0
    for start in range(0, len(weights), _BLOCK):
        block = slice(start, start + _BLOCK)
        sums = weights[block, None] * np.asarray(vectors[block], np.float64)
        total = total + sums.sum(0)
        alone += float((sums**2).sum())
    pairs = float(weights.sum()) ** 2 - float(weights @ weights)
    return (float(total @ total) - alone) / pairs if pairs > 1e-9 else 0.0


def _reduce(clusters: Clusters, options: ClusteringOptions, threshold: float) -> Clusters:
    """Merge the clusters of a batch above the threshold, and further to at most a quarter of the batch size."""
    history = agglomerate(clusters, options.linkage)
    merges = max(history.count_above(threshold), len(clusters) - options.batch_size // _FAN_IN)
    return clusters.merge(history.labels(merges))


def merges_within_bounds(
    clusters: Clusters,
    history: MergeHistory,
    preferred: int,
    min_seconds: float,
    min_speakers: int,
    max_speakers: int,
    certain: int,
) -> int:
    """Number of merges to apply: `preferred`, unless the bounds on the number of speakers require another one.

    The first `certain` merges are applied in any case.
    """
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
        merges = int(enough[-1]) if len(enough) else min(preferred, max(0, history.n - min_speakers))
        return max(merges, min(certain, preferred))
    return preferred


def cosine_similarities(vectors: Sequence[np.ndarray] | np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The cosine of each of `n` unit `vectors`, a list or an array, and each centroid, ``(n, speakers)``."""
    parts = [np.asarray(vectors[i : i + _BLOCK]) @ centroids.T for i in range(0, len(vectors), _BLOCK)]
    return np.concatenate(parts) if parts else np.zeros((0, len(centroids)), np.float32)


def assign_speakers(
    vectors: Sequence[np.ndarray] | np.ndarray,
    overlapping: np.ndarray,
    centroids: np.ndarray,
    shared: SharedWindows | None = None,
    window_bonus: float = 0.0,
) -> np.ndarray:
    """The most similar speaker of each embedding ``(n,)``, but different ones for embeddings that overlap in time.

    `vectors`, a list or an array of `n`, and `centroids` ``(speakers, dimension)`` are unit vectors; `overlapping`
    ``(m, 2)`` are index pairs of embeddings that overlap in time. A speaker whose embeddings are the same local speaker
    as this one in the windows that they share is more similar by up to `window_bonus`.

    >>> vectors = np.array([[1.0, 0.0], [0.9, 0.4], [0.8, 0.6]])
    >>> assign_speakers(vectors, np.array([[0, 1]]), np.eye(2)).tolist()
    [0, 1, 0]
    """
    similarities = cosine_similarities(vectors, centroids)
    speakers = _separate_overlapping(similarities, overlapping)
    if len(centroids) < 2 or shared is None or not window_bonus:
        return speakers
    for _ in range(_ROUNDS):
        share = together_share(shared.by_label(speakers, len(centroids)))
        found = _separate_overlapping(similarities + window_bonus * share, overlapping)
        if (found == speakers).all():
            break
        speakers = found
    return speakers


def _separate_overlapping(similarities: np.ndarray, overlapping: np.ndarray) -> np.ndarray:
    """The best column of each row ``(n,)``, but different ones for `overlapping` pairs ``(m, 2)`` of rows."""
    speakers = similarities.argmax(1)
    if similarities.shape[1] < 2:
        return speakers
    for pair in overlapping:
        if speakers[pair[0]] == speakers[pair[1]]:
            speaker = speakers[pair[0]]
            others = similarities[pair].copy()
            others[:, speaker] = -np.inf
            moved = int((similarities[pair, speaker] - others.max(1)).argmin())
            speakers[pair[moved]] = others[moved].argmax()
    return speakers
