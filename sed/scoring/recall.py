"""Unweighted average recall with its interval, from label numbers; over several corpora the mean of theirs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from sed.scoring import counts
from sed.scoring.uncertainty import SPREAD, Interval, quantiles
from sed.scoring.utterances import exact_recall_interval


def recall_by(
    true: np.ndarray, predicted: np.ndarray, strata: Sequence[Hashable] | np.ndarray, labels: int
) -> dict[Hashable, float]:
    """UAR of each of `strata` ``(n,)``, such as the corpus, in order of appearance.

    >>> recall_by(np.array([0, 1, 1]), np.array([0, 1, 0]), ["a", "a", "b"], 2)
    {'a': 1.0, 'b': 0.0}
    """
    names = dict.fromkeys(np.asarray(strata).tolist())
    own = {name: np.flatnonzero(np.asarray(strata) == name) for name in names}
    return {
        name: float(counts.mean_recall(counts.confusion_counts(true[rows], predicted[rows], labels)))
        for name, rows in own.items()
    }


def mean_recall_by(
    true: np.ndarray, predicted: np.ndarray, strata: Sequence[Hashable] | np.ndarray, labels: int
) -> float:
    """The mean of `recall_by`."""
    return float(np.mean(list(recall_by(true, predicted, strata, labels).values())))


def recall_interval(
    true: np.ndarray,
    predicted: np.ndarray,
    labels: int,
    *,
    strata: Sequence[Hashable] | np.ndarray | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> tuple[float, Interval]:
    """UAR of label numbers ``(n,)`` and its 95 % interval from resampled utterances.

    With `strata`, such as corpora, the mean of their UAR, resampled within each. Where all samples of one stratum
    agree, its interval is the exact one (`exact_recall_interval`).

    >>> value, interval = recall_interval(np.array([0, 1] * 20), np.array([0, 1] * 20), 2)
    >>> value, round(interval.low, 3), interval.high
    (1.0, 0.912, 1.0)
    """
    names = np.asarray(["all"] * len(true) if strata is None else strata)
    drawn = []
    for number, name in enumerate(dict.fromkeys(names.tolist())):
        rows = np.flatnonzero(names == name)
        units = np.stack(
            [counts.confusion_counts(true[row : row + 1], predicted[row : row + 1], labels) for row in rows]
        )
        drawn.append(counts.mean_recall(counts.resample_sums(units, samples, seed + number)))
    interval = quantiles(np.mean(drawn, axis=0), 0.95)
    if len(drawn) == 1 and interval.high - interval.low < SPREAD:
        interval = exact_recall_interval(true.tolist(), predicted.tolist())
    return mean_recall_by(true, predicted, names, labels), interval
