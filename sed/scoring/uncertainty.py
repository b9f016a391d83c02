"""How sure a score is: errors and totals of each recording in, intervals and tests out.

Recordings are the unit, since errors inside one are not independent; or groups of recordings, such as those of
one speaker, where these are given. Where resampling shows no spread, since all units agree, it shows nothing about
the next one: the interval is then the exact one of `sed.scoring.exact`. Everything random is seeded: the same
numbers and seed give the same interval.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sed.errors import OptionError
from sed.scoring.exact import effective_count, share_interval

CHUNK = 4_000_000  # drawn numbers held at once
SPREAD = 1e-12  # what is drawn differs by less: rounding, so there is no spread to be seen
Method = Literal["bootstrap", "exact", "none"]


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class PairedTest:
    """Two systems on the same recordings: what `paired_test` returns.

    `difference` is the pooled rate of the second less that of the first, so below 0 where the second errs
    less; `interval` is its bootstrap interval, `p_value` two-sided, from exchanging the systems' results
    recording by recording, in all ways where `exact`. `recordings` is how many; `groups`, where recordings are
    grouped, how many groups were drawn and exchanged as wholes.
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
        raise OptionError(f"arrays of shapes {shapes}: expected one value a recording in each")
    return arrays


def _by_group(columns: list[np.ndarray], groups: Sequence[Hashable] | None) -> list[np.ndarray]:
    """The sums of `columns` over the recordings of each group; as they are without `groups`."""
    if groups is None:
        return columns
    if len(groups) != len(columns[0]):
        raise OptionError(f"{len(groups)} groups of {len(columns[0])} recordings: expected one per recording")
    number = {group: count for count, group in enumerate(dict.fromkeys(groups))}
    place = [number[group] for group in groups]
    return [np.bincount(place, weights=column, minlength=len(number)) for column in columns]


def _draws(recordings: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each sample draws each recording, ``(samples, recordings)``, in pieces."""
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK // max(recordings, 1))
    even = np.full(recordings, 1 / recordings)
    for start in range(0, samples, step):
        yield generator.multinomial(recordings, even, size=min(step, samples - start)).astype(np.float64)


def _quotients(numerator: np.ndarray, denominator: np.ndarray, rates: bool) -> np.ndarray:
    """With nothing below the line: of `rates` 0 without errors and 1 with some, of others nan."""
    with np.errstate(divide="ignore", invalid="ignore"):
        nothing = (numerator > 0) * 1.0 if rates else float("nan")
        return np.where(denominator == 0, nothing, numerator / denominator)


def _quantiles(drawn: np.ndarray, level: float) -> Interval:
    """The middle `level` of what was drawn and is defined; nan where nothing is."""
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

    Recordings are drawn with replacement, `samples` times as many as there are; with `groups`, one per
    recording (such as its speaker), whole groups are drawn, since recordings of one group are not independent.
    `errors` and `totals` are ``(recordings,)``; for a mean of rates, pass the rates and ones. With few recordings
    the interval is a little narrow: of 60 simulated utterances, 93 % of the 95 % intervals held the truth. One
    recording, or one group, does not show how recordings differ: the interval is nan then. A sample without totals
    counts 0 without errors and 1 with some; where these are no error `rates` (an F1, a mean distance), it is left out.

    Where all recordings agree, so that every sample gives the same, the interval is exact (Clopper-Pearson), for a
    `share`, a figure from 0 to 1 (default: as `rates`); else it is nan.

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
    """The interval of `bootstrap`, and how it was found: "bootstrap", "exact", or "none" where it is nan."""
    wrong, whole = _by_group(_columns(errors, totals), groups)
    _check(samples, level, seed)
    if len(wrong) < 2:
        return NO_INTERVAL, "none"
    drawn = np.concatenate(
        [_quotients(part @ wrong, part @ whole, rates) for part in _draws(len(wrong), samples, seed)]
    )
    interval = _quantiles(drawn, level)
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
    """Whether two systems' pooled rates on the same recordings differ.

    `first` and `second` are (errors, totals), ``(recordings,)`` each, in the same order. The p value is that
    of approximate randomisation: how often exchanging the systems on a random half of the recordings gives a
    difference at least as large; all exchanges are tried where there are no more than `samples`. `rates` is as for
    `bootstrap`; where one of the systems has no figure, difference, interval and p value are nan. With `groups`,
    whole groups are drawn and exchanged. One recording, or one group, gives no interval. Where the systems differ
    by the same in all of them, the interval is the exact one of a mean between -1 and 1.

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

    seen = float(difference(np.ones((1, count)))[0])
    exact = count < 30 and 2**count <= samples
    if np.isnan(seen):
        return PairedTest(seen, NO_INTERVAL, seen, recordings, exact, grouped)
    interval = NO_INTERVAL
    if count > 1:
        drawn = np.concatenate([difference(part) for part in _draws(count, samples, seed)])
        interval = _quantiles(drawn, level)
        same = np.array_equal(e1, e2) and np.array_equal(t1, t2)
        if interval.high - interval.low <= SPREAD and not same:
            interval = _exact_difference(seen, t1, t2, level) if rates else NO_INTERVAL
    at_least = tried = 0
    for kept in _exchanges(count, samples, seed, exact):
        away = _quotients(kept @ e2 + (1 - kept) @ e1, kept @ t2 + (1 - kept) @ t1, rates) - _quotients(
            kept @ e1 + (1 - kept) @ e2, kept @ t1 + (1 - kept) @ t2, rates
        )
        at_least += int((np.abs(away) >= abs(seen) - 1e-12).sum())
        tried += int((~np.isnan(away)).sum())
    p_value = at_least / tried if exact else (at_least + 1) / (tried + 1)
    return PairedTest(seen, interval, p_value, recordings, exact, grouped)


def _exact_difference(seen: float, first: np.ndarray, second: np.ndarray, level: float) -> Interval:
    """The interval of a difference `seen` between rates of 0 to 1, of which all units have the same."""
    if abs(seen) > 1 or not (first.any() and second.any()):
        return NO_INTERVAL
    count = min(effective_count(first), effective_count(second))
    low, high = share_interval((1 + seen) / 2, count, level)
    return Interval(2 * low - 1, 2 * high - 1)


def _exchanges(count: int, samples: int, seed: int, exact: bool) -> Iterator[np.ndarray]:
    """Which recordings keep their systems, ``(tries, recordings)`` of 0 and 1, in pieces."""
    if exact:
        yield (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(np.float64)
        return
    generator = np.random.default_rng([seed, 1])
    step = max(1, CHUNK // count)
    for start in range(0, samples, step):
        yield generator.integers(0, 2, (min(step, samples - start), count)).astype(np.float64)
