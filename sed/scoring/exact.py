"""Exact (Clopper-Pearson) intervals of a proportion, for samples in which resampling shows no spread; without scipy.

C. J. Clopper and E. S. Pearson, *The use of confidence or fiducial limits illustrated in the case of the
binomial* (1934). A value between 0 and 1 has its largest variance if it is always 0 or 1, so the interval of `count`
binary outcomes also covers the mean of `count` independent values from 0 to 1.
"""

from __future__ import annotations

import math

import numpy as np

STEPS = 100_000  # maximum number of steps of the continued fraction
TINY = 1e-300  # replaces a denominator of 0


def share_interval(share: float, count: float, level: float = 0.95) -> tuple[float, float]:
    """The Clopper-Pearson interval of a `share` (0 to 1) of `count` independent units.

    `count` may be fractional: the effective number of unequally weighted units (`effective_count`).

    >>> [round(bound, 4) for bound in share_interval(1.0, 73)]
    [0.9507, 1.0]
    >>> [round(bound, 4) for bound in share_interval(0.2, 10)]
    [0.0252, 0.5561]
    """
    tail, hits = (1 - level) / 2, share * count
    low = 0.0 if hits <= 0 else beta_quantile(tail, hits, count - hits + 1)
    high = 1.0 if hits >= count else beta_quantile(1 - tail, hits + 1, count - hits)
    return low, high


def effective_count(weights: np.ndarray) -> float:
    """The effective number of units with these `weights` (Kish's formula).

    >>> effective_count(np.array([5.0, 5.0])), effective_count(np.array([9.0, 1.0])) < 1.3
    (2.0, True)
    """
    return float(weights.sum() ** 2 / (weights**2).sum())


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The quantile of Beta(a, b) at `probability`, by bisection.

    >>> round(beta_quantile(0.5, 2.0, 2.0), 12)
    0.5
    """
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if beta_cdf(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction.

    >>> round(beta_cdf(0.25, 1.0, 3.0), 12) == 1 - 0.75**3
    True
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the continued fraction converges fast on the other side
        return 1 - beta_cdf(1 - x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    # Lentz' method on 1/(1+ d1/(1+ d2/(1+ ...)))
    value, c, d = 1.0, 1.0, 0.0
    for step in range(STEPS):
        half = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        else:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        d = 1 / ((1 + term * d) or TINY)
        c = (1 + term / c) or TINY
        value *= c * d
        if step and abs(1 - c * d) < 1e-14:
            break
    return math.exp(front) * (value - 1) / a
