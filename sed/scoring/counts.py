"""Measures of classification from sums over utterances: counts of labels, bins of confidence, moments of two numbers.

Everything here is additive: the sums of two sets of utterances give the sums of both. So one function serves a corpus
and, on the sums of all samples of a bootstrap at once, its interval (`bootstrap_sums`). Confusion counts are
``(..., labels, labels)``, rows by reference; reliability sums ``(..., bins, 3)``; moments ``(..., 6)``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from sed.scoring.exact import effective_count, share_interval
from sed.scoring.uncertainty import NO_INTERVAL, SPREAD, Interval, draws, quantiles

BINS = 15  # of confidence, as in Guo et al. (2017)
Measure = Callable[[np.ndarray], np.ndarray]


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b > 0, a / b, np.nan)


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    defined = ~np.isnan(values)
    return _quotient(np.where(defined, values, 0.0).sum(-1), defined.sum(-1))


def _diagonal(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def confusion_counts(true: np.ndarray, predicted: np.ndarray, labels: int) -> np.ndarray:
    """Counts ``(labels, labels)`` of pairs of label numbers ``(n,)``.

    >>> confusion_counts(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    counts = np.zeros((labels, labels), int)
    np.add.at(counts, (true, predicted), 1)
    return counts


def recalls(counts: np.ndarray) -> np.ndarray:
    """Recall of each label, ``(..., labels)``; nan for labels that the reference lacks."""
    return _quotient(_diagonal(counts), counts.sum(-1))


def mean_recall(counts: np.ndarray) -> np.ndarray:
    """UAR: the mean recall over the labels of the reference, ``(...)``.

    >>> float(mean_recall(np.array([[9, 1], [5, 5]])))
    0.7
    """
    return _mean_of_defined(recalls(counts))


def accuracy(counts: np.ndarray) -> np.ndarray:
    """WA: the share of correct utterances, ``(...)``.

    >>> float(accuracy(np.array([[9, 1], [15, 15]])))
    0.6
    """
    return _quotient(_diagonal(counts).sum(-1), counts.sum((-2, -1)))


def f1_scores(counts: np.ndarray) -> np.ndarray:
    """F1 of each label, ``(..., labels)``; nan for labels that neither side has."""
    return _quotient(2 * _diagonal(counts), counts.sum(-1) + counts.sum(-2))


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """The mean F1 over the labels of either side, ``(...)``."""
    return _mean_of_defined(f1_scores(counts))


def weighted_f1(counts: np.ndarray) -> np.ndarray:
    """The mean F1 over labels, weighted by their frequency in the reference, ``(...)``: the figure of MELD.

    >>> round(float(weighted_f1(np.array([[3, 0], [1, 0]]))), 4)
    0.6429
    """
    weights = counts.sum(-1)
    return _quotient((np.nan_to_num(f1_scores(counts)) * weights).sum(-1), weights.sum(-1))


def reliability_sums(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Number of utterances, sum of their confidence and number of correct ones in each of `bins` equal bins of
    confidence, ``(bins, 3)``.

    A bin includes its upper edge. `confidence` ``(n,)`` is from 0 to 1, `right` ``(n,)`` bool.

    >>> reliability_sums(np.array([0.5, 0.9, 0.8]), np.array([True, True, False]), 2).round(3).tolist()
    [[1.0, 0.5, 1.0], [2.0, 1.7, 1.0]]
    """
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, "left")
    columns = (np.ones(len(place)), confidence, right)
    return np.stack([np.bincount(place, weights=column, minlength=bins) for column in columns], -1)


def calibration_error(sums: np.ndarray) -> np.ndarray:
    """ECE, the expected calibration error, ``(...)``, from `reliability_sums`: the mean difference of confidence and
    accuracy over the bins, weighted by their utterances.

    >>> round(float(calibration_error(np.array([[2, 1.6, 2], [2, 1.8, 1]]))), 3)
    0.3
    """
    return _quotient(np.abs(sums[..., 1] - sums[..., 2]).sum(-1), sums[..., 0].sum(-1))


def moments(reference: np.ndarray, hypothesis: np.ndarray) -> np.ndarray:
    """Number, sums and sums of squares and products of two series ``(n,)``, ``(6,)``."""
    a, b = np.asarray(reference, float), np.asarray(hypothesis, float)
    return np.array([len(a), a.sum(), b.sum(), (a * a).sum(), (b * b).sum(), (a * b).sum()])


def concordance_of(sums: np.ndarray) -> np.ndarray:
    """CCC from `moments`, ``(...)``; nan if both series are the same constant."""
    n = np.maximum(sums[..., 0], 1)
    mean_a, mean_b, aa, bb, ab = (sums[..., k] / n for k in range(1, 6))
    spread = (aa - mean_a**2) + (bb - mean_b**2) + (mean_a - mean_b) ** 2
    return _quotient(2 * (ab - mean_a * mean_b), np.where(spread > 1e-12 * (aa + bb), spread, 0.0))


def units_of(groups: Sequence[Hashable] | None, count: int) -> list[np.ndarray]:
    """The utterances of each group, as arrays of numbers below `count`; without `groups`, one utterance each."""
    if groups is None:
        return list(np.arange(count)[:, None])
    members: dict[Hashable, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    return [np.array(own) for own in members.values()]


def resample_sums(units: np.ndarray, samples: int = 1000, seed: int = 0) -> np.ndarray:
    """The sums ``(samples, ...)`` of as many units as there are, drawn from `units` ``(units, ...)`` with
    replacement."""
    flat = units.reshape(len(units), -1).astype(np.float64)
    drawn = np.concatenate([times @ flat for times in draws(len(units), samples, seed)])
    return drawn.reshape(samples, *units.shape[1:])


def bootstrap_sums(
    units: np.ndarray,
    measure: Measure,
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    weights: np.ndarray | None = None,
) -> Interval:
    """Percentile interval of `measure` of the sum of `units` ``(units, ...)``, such as the counts of each speaker.

    With one unit the interval is nan. If no resample differs and `weights`, the size of each unit, are given, the
    interval is the exact one of a share.

    >>> counts = np.stack([np.diag([5, 5])] * 8)
    >>> low, high = bootstrap_sums(counts, mean_recall, weights=np.full(8, 10.0))
    >>> round(low, 3), high
    (0.631, 1.0)
    """
    if len(units) < 2:
        return NO_INTERVAL
    interval = quantiles(measure(resample_sums(units, samples, seed)), level)
    if weights is None or not interval.high - interval.low <= SPREAD:
        return interval
    share = min(max(float(measure(units.sum(0))), 0.0), 1.0)
    return Interval(*share_interval(share, effective_count(weights), level))
