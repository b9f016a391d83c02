"""Speaker verification: equal error rates of pairs of embeddings, with intervals by bootstrap over speakers.

In: unit vectors ``(n, d)``, speakers, and what each is a sample of (a corpus or a recording, an emotion). Pairs are
made within one corpus or recording only, as channels differ more than speakers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REPLICATES = 300


@dataclass(frozen=True, eq=False)
class Samples:
    """`vectors` ``(n, d)`` of length 1, and ``(n,)`` arrays of names."""

    vectors: np.ndarray
    speakers: np.ndarray
    groups: np.ndarray
    emotions: np.ndarray

    @classmethod
    def of(
        cls, vectors: np.ndarray, speakers: Sequence[str], groups: Sequence[str], emotions: Sequence[str] = ()
    ) -> Samples:
        """Samples from sequences; without `emotions` all have the same."""
        emotions = emotions or [""] * len(speakers)
        return cls(vectors, *(np.array(list(names)) for names in (speakers, groups, emotions)))


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of samples: `similarity`, whether they are of the `same` speaker, and `first` and `second`, the numbers of
    their speakers out of `speakers`; each ``(pairs,)``."""

    similarity: np.ndarray
    same: np.ndarray
    first: np.ndarray
    second: np.ndarray
    speakers: int

    def equal_error_rate(self, weights: np.ndarray | None = None) -> float:
        """Share of pairs of one speaker below the threshold where it equals that of pairs of two speakers above it; NaN
        without one of the two kinds. `weights` ``(pairs,)`` count each pair so many times."""
        weights = np.ones(len(self.same)) if weights is None else weights
        order = np.argsort(self.similarity, kind="stable")
        targets = np.where(self.same, weights, 0)[order]
        others = np.where(self.same, 0, weights)[order]
        if targets.sum() == 0 or others.sum() == 0:
            return float("nan")
        missed = np.concatenate([[0.0], np.cumsum(targets) / targets.sum()])
        accepted = 1 - np.concatenate([[0.0], np.cumsum(others) / others.sum()])
        best = np.abs(missed - accepted).argmin()
        return float((missed[best] + accepted[best]) / 2)

    def interval(self, seed: int = 0) -> tuple[float, float]:
        """The 95 % interval of the rate, by bootstrap over speakers."""
        rng = np.random.default_rng(seed)
        rates = []
        for _ in range(REPLICATES):
            drawn = np.bincount(rng.integers(self.speakers, size=self.speakers), minlength=self.speakers)
            weights = np.where(self.same, drawn[self.first], drawn[self.first] * drawn[self.second])
            rates.append(self.equal_error_rate(weights))
        low, high = np.nanpercentile(rates, [2.5, 97.5])
        return float(low), float(high)


def pairs(samples: Samples, across: bool | None = None) -> Pairs:
    """All pairs within a group; with `across` only those of two emotions (True) or of one emotion (False).

    >>> vectors = np.array([[1.0, 0], [0.8, 0.6], [0, 1.0], [-0.6, 0.8]])
    >>> found = pairs(Samples.of(vectors, "aabb", "xxxx", ["sad", "angry", "sad", "angry"]))
    >>> found.similarity.round(2).tolist(), found.same.tolist()
    ([0.8, 0.0, -0.6, 0.6, 0.0, 0.8], [True, False, False, False, False, True])
    >>> found.equal_error_rate()
    0.0
    """
    first, second = np.triu_indices(len(samples.speakers), 1)
    kept = samples.groups[first] == samples.groups[second]
    if across is not None:
        kept &= (samples.emotions[first] != samples.emotions[second]) == across
    first, second = first[kept], second[kept]
    names, number = np.unique(samples.speakers, return_inverse=True)
    similarity = (samples.vectors @ samples.vectors.T)[first, second]
    return Pairs(
        similarity, number[first] == number[second], number[first], number[second], speakers=len(names)
    )
