"""Which voices are the same person: agglomerative clustering of speaker embeddings.

In: unit vectors, one for each stretch of speech of one voice, how many seconds of speech each rests on, and
when it was (voices that sound at once are different people). Out: a centroid for each person found.

The likeness of two clusters is the mean cosine between their members, weighted by their seconds (average
linkage), which needs no more than each cluster's weighted sum of vectors. That makes the method hierarchical
at no loss: a long recording is first clustered in portions, whose clusters are then clustered again, so time
and memory grow with the length of the recording and not with its square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Voices:
    """What clustering works on: `n` embeddings, or clusters of them.

    `sums` is ``(n, dimension)`` float32, unit vectors times their seconds, summed over the members;
    `seconds` is ``(n,)`` float32; `apart` is ``(n, n)`` bool, true where two cannot be the same person.
    """

    sums: np.ndarray
    seconds: np.ndarray
    apart: np.ndarray

    def __len__(self) -> int:
        return len(self.seconds)

    @classmethod
    def from_embeddings(cls, vectors: np.ndarray, seconds: np.ndarray, pairs: np.ndarray) -> Voices:
        """From unit `vectors` ``(n, dimension)``, their `seconds` ``(n,)`` and the `pairs` ``(m, 2)`` of
        numbers of those that sound at once.

        >>> Voices.from_embeddings(np.eye(3), np.ones(3), np.array([[0, 1]])).apart.astype(int)
        array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
        """
        apart = np.zeros((len(vectors), len(vectors)), bool)
        apart[pairs[:, 0], pairs[:, 1]] = apart[pairs[:, 1], pairs[:, 0]] = True
        seconds = np.asarray(seconds, np.float32)
        return cls((vectors * seconds[:, None]).astype(np.float32), seconds, apart)

    def merge(self, labels: np.ndarray) -> Voices:
        """One voice for each value of `labels` ``(n,)``, which are 0, 1, ... in any order."""
        members = (np.arange(labels.max() + 1)[:, None] == labels[None]).astype(np.float32)
        apart = members @ self.apart.astype(np.float32) @ members.T > 0
        np.fill_diagonal(apart, False)
        return Voices(members @ self.sums, members @ self.seconds, apart)

    @classmethod
    def concatenate(cls, parts: Sequence[Voices]) -> Voices:
        """Voices of different portions of a recording, in order; none of two portions are kept apart."""
        ends = np.cumsum([len(part) for part in parts])
        apart = np.zeros((ends[-1], ends[-1]), bool)
        for end, part in zip(ends, parts, strict=True):
            apart[end - len(part) : end, end - len(part) : end] = part.apart
        sums, seconds = ([getattr(p, name) for p in parts] for name in ("sums", "seconds"))
        return cls(np.concatenate(sums), np.concatenate(seconds), apart)

    @property
    def centroids(self) -> np.ndarray:
        """The unit vector of each, ``(n, dimension)``."""
        return self.sums / np.maximum(np.linalg.norm(self.sums, axis=1, keepdims=True), 1e-9)


@dataclass(frozen=True, eq=False)
class Merges:
    """The history of an agglomerative clustering of `n` voices, most alike first.

    `pairs` is ``(merges, 2)``: the second cluster was joined to the first, where a cluster goes by the number
    of its first member; `likeness` is ``(merges,)``, the mean cosine at which that happened (4
    lower where the two cannot be the same person).
    """

    n: int
    pairs: np.ndarray
    likeness: np.ndarray

    def labels(self, merges: int) -> np.ndarray:
        """Cluster of each voice ``(n,)`` after the first `merges` merges, numbered by first member."""
        parent = np.arange(self.n)
        for kept, gone in self.pairs[:merges]:
            parent[parent == gone] = kept
        return np.unique(parent, return_inverse=True)[1].reshape(-1)

    def above(self, threshold: float) -> int:
        """How many merges happen before the likeness first falls below `threshold`."""
        below = np.flatnonzero(self.likeness < threshold)
        return int(below[0]) if len(below) else len(self.likeness)


def agglomerate(voices: Voices, apart_costs: float = 0.2) -> Merges:
    """Join the two most alike clusters until one is left. Time about ``n ** 2``, memory ``n ** 2``.

    `apart_costs` is taken off the likeness of clusters that hold voices which sound at once. Ties go to the first.

    >>> vectors = np.array([[1, 0], [0, 1], [0.8, 0.6]])
    >>> voices = Voices.from_embeddings(vectors, np.ones(3), np.zeros((0, 2), int))
    >>> merges = agglomerate(voices)
    >>> merges.pairs.tolist(), merges.likeness.round(2).tolist(), merges.labels(1).tolist()
    ([[0, 2], [0, 1]], [0.8, 0.3], [0, 1, 0])
    """
    n = len(voices)
    seconds = voices.seconds.astype(np.float64).copy()
    sums = voices.sums.astype(np.float64)
    alike = sums @ sums.T
    apart = voices.apart.copy()
    for i in range(n):  # row by row: no second array of this size
        alike[i] /= np.maximum(seconds[i] * seconds, 1e-9)
        alike[i] -= apart_costs * apart[i]
    np.fill_diagonal(alike, -np.inf)
    alive = np.ones(n, bool)
    best = alike.argmax(1) if n else np.zeros(0, np.int64)
    value = alike[np.arange(n), best]
    pairs, likeness = [], []
    for _ in range(n - 1):
        one = int(value.argmax())
        i, j = sorted((one, int(best[one])))
        pairs.append((i, j))
        likeness.append(value[one])
        total = seconds[i] + seconds[j]
        plain_i, plain_j = alike[i] + apart_costs * apart[i], alike[j] + apart_costs * apart[j]
        row = (seconds[i] * plain_i + seconds[j] * plain_j) / total
        seconds[i] = total
        apart[i] |= apart[j]
        apart[:, i] = apart[i]
        row = np.where(alive, row - apart_costs * apart[i], -np.inf)
        row[[i, j]] = -np.inf
        alive[j] = False
        alike[i], alike[:, i] = row, row
        alike[j], alike[:, j] = -np.inf, -np.inf
        value[j] = -np.inf
        stale = np.flatnonzero(alive & ((best == i) | (best == j)))
        best[stale] = alike[stale].argmax(1)
        value[stale] = alike[stale, best[stale]]
        best[i] = row.argmax()
        value[i] = row[best[i]]
        closer = alive & (row > value)
        best[closer], value[closer] = i, row[closer]
    return Merges(n, np.array(pairs, np.int64).reshape(-1, 2), np.array(likeness))


@dataclass(frozen=True)
class ClusteringOptions:
    """How voices are grouped into people.

    threshold: mean cosine from which two clusters are the same person.
    apart: taken off that cosine where the clusters hold voices that sound at once. Not a ban: the network at times
        takes one person for two.
    smallest: seconds of speech from which a cluster counts as a person of its own; the voices of smaller ones
        go to the people they are most like.
    smallest_share, smallest_limit: in long recordings more is asked for: this share of all speech, but never
        more than so many seconds.
    portion: how many voices are clustered at once; bounds memory (``portion ** 2``) and time.
    """

    threshold: float = 0.41
    apart: float = 0.2
    smallest: float = 1.0
    smallest_share: float = 0.04
    smallest_limit: float = 10.0
    portion: int = 1000

    def smallest_of(self, seconds: float) -> float:
        """Seconds of speech that make a person, where there are `seconds` of speech in all.

        >>> [ClusteringOptions().smallest_of(seconds) for seconds in (20, 200, 3600)]
        [1.0, 8.0, 10.0]
        """
        return max(self.smallest, min(self.smallest_share * seconds, self.smallest_limit))


_AT_ONCE = 1024  # embeddings compared with the people together: bounds the memory
_FAN_IN = 4  # portions whose clusters are clustered together; each gives at most a quarter of a portion


def find_people(
    vectors: Sequence[np.ndarray] | np.ndarray,
    seconds: np.ndarray,
    pairs: np.ndarray,
    options: ClusteringOptions,
    at_least: int = 1,
    at_most: int | None = None,
) -> np.ndarray:
    """The centroid of each person, ``(people, dimension)`` unit vectors.

    `vectors` are `n` unit embeddings ``(dimension,)`` in order of time, a list or an array, `seconds` ``(n,)`` how much
    speech each rests on, `pairs` ``(m, 2)`` which sound at once. The number of people follows from the likeness of the
    voices, within `at_least` and `at_most`; where there are fewer voices than `at_least`, there are as many
    people as voices.

    >>> rng = np.random.default_rng(0)
    >>> vectors = np.repeat(np.eye(8)[:3], 20, 0) + 0.1 * rng.normal(size=(60, 8))
    >>> vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    >>> voices = vectors, np.ones(60), np.zeros((0, 2), int)
    >>> len(find_people(*voices, ClusteringOptions())), len(find_people(*voices, ClusteringOptions(), 1, 2))
    (3, 2)
    """
    if len(vectors) == 0:
        return np.zeros((0, *np.shape(vectors)[1:]), np.float32)
    level: list[Voices] = []
    several = len(vectors) > options.portion
    for start in range(0, len(vectors), options.portion):
        part = slice(start, start + options.portion)
        inside = pairs[(pairs >= start).all(1) & (pairs < start + options.portion).all(1)] - start
        voices = Voices.from_embeddings(np.asarray(vectors[part]), seconds[part], inside)
        level.append(_reduce(voices, options) if several else voices)
    while len(level) > 1:
        level = [Voices.concatenate(level[i : i + _FAN_IN]) for i in range(0, len(level), _FAN_IN)]
        if len(level) > 1:
            level = [_reduce(voices, options) for voices in level]
    voices = level[0]
    merges = agglomerate(voices, options.apart)
    smallest = options.smallest_of(float(voices.seconds.sum()))
    natural = merges.above(options.threshold)
    cut = _cut(voices, merges, natural, smallest, at_least, at_most or len(voices))
    people = voices.merge(merges.labels(cut))
    large = people.seconds >= smallest
    wanted = min(max(at_least, 1), len(people))
    if large.sum() < wanted:  # too little speech to be choosy
        large[np.argsort(-people.seconds, kind="stable")[:wanted]] = True
    return people.centroids[large]


def _reduce(voices: Voices, options: ClusteringOptions) -> Voices:
    """The clusters of a portion: what is alike beyond doubt, and at most a quarter of a portion."""
    merges = agglomerate(voices, options.apart)
    cut = max(merges.above(options.threshold), len(voices) - options.portion // _FAN_IN)
    return voices.merge(merges.labels(cut))


def _cut(voices: Voices, merges: Merges, natural: int, smallest: float, at_least: int, at_most: int) -> int:
    """How many merges to follow: `natural`, or as many as the bounds on people ask for."""
    seconds = voices.seconds.astype(np.float64).copy()
    large = [int((seconds >= smallest).sum())]  # people after 0, 1, ... merges
    for kept, gone in merges.pairs:
        before = int(seconds[kept] >= smallest) + int(seconds[gone] >= smallest)
        seconds[kept] += seconds[gone]
        seconds[gone] = 0
        large.append(large[-1] + int(seconds[kept] >= smallest) - before)
    people = np.array(large)
    if people[natural] > at_most:
        return natural + int(np.flatnonzero(people[natural:] <= at_most)[0])
    if people[natural] < at_least:
        enough = np.flatnonzero(people[: natural + 1] >= at_least)
        return int(enough[-1]) if len(enough) else min(natural, max(0, merges.n - at_least))
    return natural


def likeness_of(vectors: Sequence[np.ndarray] | np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The cosine of each of `n` unit `vectors`, a list or an array, with each of `centroids`, ``(n, people)``."""
    parts = [np.asarray(vectors[i : i + _AT_ONCE]) @ centroids.T for i in range(0, len(vectors), _AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros((0, len(centroids)), np.float32)


def assign(
    vectors: Sequence[np.ndarray] | np.ndarray, pairs: np.ndarray, centroids: np.ndarray
) -> np.ndarray:
    """The person ``(n,)`` whom each embedding belongs to: the likeliest, but two people for two voices that
    sound at once, where there are two.

    `vectors`, a list or an array of `n`, and `centroids` ``(people, dimension)`` are unit vectors; `pairs` ``(m, 2)``
    are the numbers of those that sound at once.

    >>> vectors = np.array([[1.0, 0.0], [0.9, 0.4], [0.8, 0.6]])
    >>> assign(vectors, np.array([[0, 1]]), np.eye(2)).tolist()
    [0, 1, 0]
    """
    likeness = likeness_of(vectors, centroids)
    people = likeness.argmax(1)
    if len(centroids) < 2:
        return people
    for pair in pairs:
        if people[pair[0]] == people[pair[1]]:
            person = people[pair[0]]
            others = likeness[pair].copy()
            others[:, person] = -np.inf
            moved = int((likeness[pair, person] - others.max(1)).argmin())
            people[pair[moved]] = others[moved].argmax()
    return people
