"""Metrics of emotion recognition with one label or one number per utterance.

Both sides are labels, or continuous dimensions such as arousal, of the same utterances in the same order.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from sed.errors import OptionError
from sed.scoring import counts
from sed.scoring.exact import effective_count, share_interval
from sed.scoring.uncertainty import Interval


def _counts(
    reference: Sequence[Hashable], hypothesis: Sequence[Hashable]
) -> tuple[list[Hashable], np.ndarray]:
    """Labels in order of appearance, and ``(labels, labels)`` counts, rows by reference."""
    if len(reference) != len(hypothesis) or not len(reference):
        raise OptionError(
            f"{len(reference)} reference and {len(hypothesis)} hypothesis labels: expected as many, 1 or more"
        )
    place = {label: number for number, label in enumerate(dict.fromkeys([*reference, *hypothesis]))}
    sides = [np.array([place[label] for label in side]) for side in (reference, hypothesis)]
    return list(place), counts.confusion_counts(sides[0], sides[1], len(place))


def unweighted_average_recall(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> float:
    """UAR: the mean recall over the labels of the reference.

    >>> unweighted_average_recall(["sad", "sad", "sad", "happy"], ["sad", "sad", "sad", "sad"])
    0.5
    """
    return float(counts.mean_recall(_counts(reference, hypothesis)[1]))


def exact_recall_interval(
    reference: Sequence[Hashable], hypothesis: Sequence[Hashable], level: float = 0.95
) -> Interval:
    """The exact interval of the `unweighted_average_recall`, if resampling utterances shows no spread.

    Clopper-Pearson with the effective number of utterances, since labels are unequally frequent.

    >>> low, high = exact_recall_interval(["sad"] * 13 + ["happy"] * 17, ["sad"] * 13 + ["happy"] * 17)
    >>> round(low, 3), high
    (0.882, 1.0)
    """
    _, table = _counts(reference, hypothesis)
    sizes = table.sum(1)[table.sum(1) > 0]
    weights = np.repeat(1 / sizes, sizes)
    share = min(unweighted_average_recall(reference, hypothesis), 1.0)
    return Interval(*share_interval(share, effective_count(weights), level))


def weighted_accuracy(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> float:
    """WA: the share of correctly recognised utterances, which weights each label by its frequency.

    >>> weighted_accuracy(["sad", "sad", "sad", "happy"], ["sad", "sad", "sad", "sad"])
    0.75
    """
    return float(counts.accuracy(_counts(reference, hypothesis)[1]))


def macro_f1(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> float:
    """The mean F1 over the labels of both sides.

    >>> round(macro_f1(["sad", "sad", "sad", "happy"], ["sad", "sad", "sad", "sad"]), 4)
    0.4286
    """
    return float(counts.macro_f1(_counts(reference, hypothesis)[1]))


def weighted_f1(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> float:
    """The mean F1 over labels, weighted by their frequency in the reference (MELD's figure).

    >>> round(weighted_f1(["sad", "sad", "sad", "happy"], ["sad", "sad", "sad", "sad"]), 4)
    0.6429
    """
    return float(counts.weighted_f1(_counts(reference, hypothesis)[1]))


def expected_calibration_error(
    confidence: ArrayLike, correct: Sequence[bool] | np.ndarray, bins: int = counts.BINS
) -> float:
    """ECE: the mean difference of confidence (0 to 1) and accuracy over `bins` equal bins, weighted by utterances.

    >>> round(expected_calibration_error([0.9, 0.9, 0.6, 0.6], [True, True, True, False]), 3)
    0.1
    """
    sure, right = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    if sure.shape != right.shape or sure.ndim != 1 or not len(sure):
        raise OptionError(
            f"values of shapes {sure.shape} and {right.shape}: expected (n,) twice, n at least 1"
        )
    if not ((sure >= 0) & (sure <= 1)).all():
        raise OptionError("found a confidence that is not from 0 to 1, expected probabilities")
    return float(counts.calibration_error(counts.reliability_sums(sure, right, bins)))


def concordance(reference: ArrayLike, hypothesis: ArrayLike) -> float:
    """CCC, Lin's concordance correlation coefficient of two series of numbers, -1 to 1.

    Variances are those of the population (divided by n). Nan if both are the same constant.

    >>> round(concordance([1, 2, 3], [2, 3, 4]), 4)
    0.5714
    """
    a, b = (np.asarray(side, np.float64) for side in (reference, hypothesis))
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise OptionError(f"values of shapes {a.shape} and {b.shape}: expected (n,) twice, n at least 1")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise OptionError("found values that are not finite, expected finite numbers")
    shift = (a.mean() + b.mean()) / 2  # keeps the sums of squares small
    return float(counts.concordance_of(counts.moments(a - shift, b - shift)))
