"""Metrics of emotion recognition with one label or one number per utterance.

Both sides are labels, or continuous dimensions such as arousal, of the same utterances in the same order.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from sed.errors import OptionError
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
    table = np.zeros((len(place), len(place)), int)
    np.add.at(table, ([place[label] for label in reference], [place[label] for label in hypothesis]), 1)
    return list(place), table


def unweighted_average_recall(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> float:
    """UAR: the mean recall over the labels of the reference.

    >>> unweighted_average_recall(["sad", "sad", "sad", "happy"], ["sad", "sad", "sad", "sad"])
    0.5
    """
    _, table = _counts(reference, hypothesis)
    present = table.sum(1) > 0
    return float((np.diag(table)[present] / table.sum(1)[present]).mean())


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
    counts = table.sum(1)[table.sum(1) > 0]
    weights = np.repeat(1 / counts, counts)
    share = min(unweighted_average_recall(reference, hypothesis), 1.0)
    return Interval(*share_interval(share, effective_count(weights), level))


def weighted_accuracy(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> float:
    """WA: the share of correctly recognised utterances, which weights each label by its frequency.

    >>> weighted_accuracy(["sad", "sad", "sad", "happy"], ["sad", "sad", "sad", "sad"])
    0.75
    """
    _, table = _counts(reference, hypothesis)
    return float(np.trace(table) / table.sum())


def macro_f1(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> float:
    """The mean F1 over the labels of both sides.

    >>> round(macro_f1(["sad", "sad", "sad", "happy"], ["sad", "sad", "sad", "sad"]), 4)
    0.4286
    """
    _, table = _counts(reference, hypothesis)
    return float((2 * np.diag(table) / (table.sum(0) + table.sum(1))).mean())


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
    spread = a.var() + b.var() + (a.mean() - b.mean()) ** 2
    if spread == 0:
        return float("nan")
    return float(2 * ((a - a.mean()) * (b - b.mean())).mean() / spread)
