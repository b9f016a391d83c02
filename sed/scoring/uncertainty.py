"""Uncertainty of scores: errors and totals of each recording in, confidence intervals and paired tests out.

The units of resampling are recordings, since errors within one are not independent, or groups of recordings (such as
those of one speaker) if these are given. If all units agree, resampling shows no spread, and the interval is the exact
one of `sed.scoring.exact`. Everything random is seeded: the same numbers and seed give the same interval.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sed.errors import OptionError
from sed.scoring.exact import effective_count, share_interval

CHUNK = 4_000_000  # random numbers held at once
SPREAD = 1e-12  # samples that differ by less are equal up to rounding
Method = Literal["bootstrap", "exact", "none"]


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class PairedTest:
    """Comparison of two systems on the same recordings, returned by `paired_test`.

    `difference` is the pooled rate of the second minus that of the first, negative if the second has fewer
    errors; `interval` is its bootstrap interval, `p_value` the two-sided p value from exchanging the systems'
    results recording by recording, in all possible ways if `exact`. `recordings` is their number; `groups` the
    number of groups that were resampled and exchanged, or None.
    """

    difference: float
    interval: Interval
    p_value: float
    recordings: int
    exact: bool
    groups: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        row = {**asdict(self), "interval": list(self.interval)}
        if self.groups is None:
            del row["groups"]
        return row


def _columns(*columns: ArrayLike) -> list[np.ndarray]:
    arrays = [np.asarray(column, np.float64) for column in columns]
    if len({array.shape for array in arrays}) > 1 or arrays[0].ndim != 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise OptionError(f"arrays of shapes {shapes}: expected one value per recording in each")
    return arrays


def _by_group(columns: list[np.ndarray], groups: Sequence[Hashable] | None) -> list[np.ndarray]:
    """The sums of `columns` over the recordings of each group; `columns` unchanged without `groups`."""
    if groups is None:
        return columns
    if len(groups) != len(columns[0]):
        raise OptionError(f"{len(groups)} groups of {len(columns[0])} recordings: expected one per recording")
    number = {group: count for count, group in enumerate(dict.fromkeys(groups))}
    place = [number[group] for group in groups]
    return [np.bincount(place, weights=column, minlength=len(number)) for column in columns]


def draws(recordings: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each sample draws each recording, ``(samples, recordings)``, in chunks."""
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK // max(recordings, 1))
    uniform = np.full(recordings, 1 / recordings)
    for start in range(0, samples, step):
        yield generator.multinomial(recordings, uniform, size=min(step, samples - start)).astype(np.float64)


def _quotients(numerator: np.ndarray, denominator: np.ndarray, rates: bool) -> np.ndarray:
    """Quotients; if the denominator is 0, `rates` are 0 without errors and 1 with some, and others are nan."""
    with np.errstate(divide="ignore", invalid="ignore"):
        undefined = (numerator > 0) * 1.0 if rates else float("nan")
        return np.where(denominator == 0, undefined, numerator / denominator)


def quantiles(drawn: np.ndarray, level: float) -> Interval:
    """The central interval of the defined values with probability `level`; nan if there are none."""
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return NO_INTERVAL
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(high))


NO_INTERVAL = Interval(float("nan"), float("nan"))


def _check(samples: int, level: float, seed: int) -> None:
    if samples < 1 or not 0 < level < 1:
        raise OptionError(f"{samples} samples at level {level}: expected 1 or more, between 0 and 1")
    if seed < 0:
        raise OptionError(f"seed {seed}: expected 0 or more")


def bootstrap(
    errors: ArrayLike,
    totals: ArrayLike,
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    rates: bool = True,
    groups: Sequence[Hashable] | None = None,
    share: bool | None = None,
) -> Interval:
    """Percentile interval of the pooled rate ``sum(errors) / sum(totals)``, from resampled recordings.

    `samples` samples of all recordings are drawn with replacement; with `groups`, one per recording (such as its
    speaker), whole groups are drawn, since recordings of one group are not independent. `errors` and `totals` are
    ``(recordings,)``; for a mean of rates, pass the rates and ones. With few recordings the interval is slightly too
    narrow: for 60 simulated utterances, 93 % of the 95 % intervals contained the true value. With a single recording
    or group the interval is nan. A sample without totals counts as 0 without errors and 1 with some; it is omitted if
    the values are not error `rates` (an F1, a mean distance).

    If all recordings agree, so that every sample gives the same value, the interval is exact (Clopper-Pearson) for a
    `share`, a value from 0 to 1 (default: as `rates`), and nan otherwise.

    >>> bootstrap([1., 0, 2, 0], [10., 10, 10, 10])
    Interval(low=0.0, high=0.15)
    >>> low, high = bootstrap(np.zeros(73), np.ones(73))
    >>> low, round(high, 4)
    (0.0, 0.0493)
    """
    return estimate(
        errors, totals, samples=samples, level=level, seed=seed, rates=rates, groups=groups, share=share
    )[0]


def estimate(
    errors: ArrayLike,
    totals: ArrayLike,
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    rates: bool = True,
    groups: Sequence[Hashable] | None = None,
    share: bool | None = None,
) -> tuple[Interval, Method]:
    """The interval of `bootstrap` and its method: "bootstrap", "exact", or "none" if it is nan."""
    wrong, whole = _by_group(_columns(errors, totals), groups)
    _check(samples, level, seed)
    if len(wrong) < 2:
        return NO_INTERVAL, "none"
    drawn = np.concatenate(
        [_quotients(part @ wrong, part @ whole, rates) for part in draws(len(wrong), samples, seed)]
    )
    interval = quantiles(drawn, level)
    if interval.high - interval.low > SPREAD:
        return interval, "bootstrap"
    if not np.isnan(interval.low) and whole.sum() > 0 and (rates if share is None else share):
        pooled = float(wrong.sum() / whole.sum())
        if 0 <= pooled <= 1 + SPREAD:
            return Interval(*share_interval(min(pooled, 1.0), effective_count(whole), level)), "exact"
    return NO_INTERVAL, "none"


def paired_test(
    first: tuple[ArrayLike, ArrayLike],
    second: tuple[ArrayLike, ArrayLike],
    *,
    samples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
    rates: bool = True,
    groups: Sequence[Hashable] | None = None,
) -> PairedTest:
    """Test whether the pooled rates of two systems on the same recordings differ.

    `first` and `second` are (errors, totals), ``(recordings,)`` each, in the same order. The p value is that
    of approximate randomisation: how often exchanging the systems on a random half of the recordings gives a
    difference at least as large; all exchanges are tried if there are at most `samples`. `rates` is as for
    `bootstrap`; if one of the systems has no value, difference, interval and p value are nan. With `groups`, whole
    groups are resampled and exchanged. A single recording or group gives no interval. If the difference is the same
    in all of them, the interval is the exact one of a mean between -1 and 1.

    >>> test = paired_test(([2., 3, 4], [10., 10, 10]), ([1., 1, 1], [10., 10, 10]))
    >>> round(test.difference, 3), test.p_value, test.exact
    (-0.2, 0.25, True)
    """
    columns = _columns(*first, *second)
    recordings = len(columns[0])
    e1, t1, e2, t2 = _by_group(columns, groups)
    _check(samples, level, seed)
    count = len(e1)
    grouped = None if groups is None else count
    if not count:
        raise OptionError("two systems on 0 recordings: expected at least one")

    def difference(drawn: np.ndarray) -> np.ndarray:
        return _quotients(drawn @ e2, drawn @ t2, rates) - _quotients(drawn @ e1, drawn @ t1, rates)

    observed = float(difference(np.ones((1, count)))[0])
    exact = count < 30 and 2**count <= samples
    if np.isnan(observed):
        return PairedTest(observed, NO_INTERVAL, observed, recordings, exact, grouped)
    interval = NO_INTERVAL
    if count > 1:
        drawn = np.concatenate([difference(part) for part in draws(count, samples, seed)])
        interval = quantiles(drawn, level)
        same = np.array_equal(e1, e2) and np.array_equal(t1, t2)
        if interval.high - interval.low <= SPREAD and not same:
            interval = _exact_difference(observed, t1, t2, level) if rates else NO_INTERVAL
    at_least = tried = 0
    for kept in _exchanges(count, samples, seed, exact):
        exchanged = _quotients(kept @ e2 + (1 - kept) @ e1, kept @ t2 + (1 - kept) @ t1, rates) - _quotients(
            kept @ e1 + (1 - kept) @ e2, kept @ t1 + (1 - kept) @ t2, rates
        )
        at_least += int((np.abs(exchanged) >= abs(observed) - 1e-12).sum())
        tried += int((~np.isnan(exchanged)).sum())
    p_value = at_least / tried if exact else (at_least + 1) / (tried + 1)
    return PairedTest(observed, interval, p_value, recordings, exact, grouped)


def _exact_difference(observed: float, first: np.ndarray, second: np.ndarray, level: float) -> Interval:
    """The exact interval of a difference `observed` between rates from 0 to 1 that is the same in all units."""
    if abs(observed) > 1 or not (first.any() and second.any()):
        return NO_INTERVAL
    count = min(effective_count(first), effective_count(second))
    low, high = share_interval((1 + observed) / 2, count, level)
    return Interval(2 * low - 1, 2 * high - 1)


def _exchanges(count: int, samples: int, seed: int, exact: bool) -> Iterator[np.ndarray]:
    """The recordings whose systems are not exchanged, ``(trials, recordings)`` of 0 and 1, in chunks."""
    if exact:
        yield (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(np.float64)
        return
    generator = np.random.default_rng([seed, 1])
    step = max(1, CHUNK // count)
    for start in range(0, samples, step):
        yield generator.integers(0, 2, (min(step, samples - start), count)).astype(np.float64)
