"""Coverage of bootstrap intervals, level of the paired test, and reproducibility."""

from __future__ import annotations

import numpy as np
import pytest

from sed.errors import OptionError
from sed.scoring.uncertainty import bootstrap, paired_test


def corpus(rng, size, rate):
    """Errors and totals of recordings whose pooled rate is `rate` on average."""
    totals = rng.uniform(1, 15, size)
    return totals * rng.beta(2, 2 / rate - 2, size), totals


def test_coverage_of_the_interval():
    """With 60 recordings, about 93 % of the 95 % intervals contain the true rate."""
    rng = np.random.default_rng(8)
    hits = 0
    for number in range(200):
        low, high = bootstrap(*corpus(rng, 60, 0.3), samples=300, seed=number)
        hits += low <= 0.3 <= high
    assert 174 <= hits <= 198


def test_the_interval_of_a_mean_matches_the_formula():
    values = np.random.default_rng(9).normal(5, 2, 400) ** 2
    low, high = bootstrap(values, np.ones(400), samples=4000)
    error = values.std() / 20
    assert (low, high) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.15 * error * 2
    )


def test_seeds():
    errors, totals = corpus(np.random.default_rng(10), 30, 0.3)
    assert bootstrap(errors, totals, seed=3) == bootstrap(errors, totals, seed=3)
    assert bootstrap(errors, totals, seed=3) != bootstrap(errors, totals, seed=4)
    narrow, wide = bootstrap(errors, totals, level=0.5), bootstrap(errors, totals, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_small_corpora():
    assert np.isnan(bootstrap([2.0], [10.0])).all()  # one recording has no spread
    low, high = bootstrap([2.0, 2.0], [10.0, 10.0])  # two that agree: a wide exact interval
    assert low < 0.01 and high > 0.85
    assert np.isnan(bootstrap([], [])).all()
    assert np.isnan(bootstrap([0.0, 0.0], [0.0, 0.0])).all()


def test_samples_without_totals_are_omitted_unless_rates():
    """Samples without a matched boundary have no mean distance and do not count as 0.0 s."""
    low, high = bootstrap([0.2, 0.0, 0.6], [1, 0, 2], rates=False)
    assert (low, high) == (pytest.approx(0.2), pytest.approx(0.3))
    assert np.isnan(bootstrap([0.0, 0.0], [0.0, 0.0], rates=False)).all()
    test = paired_test(([0.2, 0.4], [1, 1]), ([0.0, 0.0], [0, 0]), rates=False)
    assert np.isnan([test.difference, test.p_value, *test.interval]).all()
    half = paired_test(([0.2, 0.4], [1, 1]), ([0.0, 0.5], [0, 1]), rates=False)
    assert half.difference == pytest.approx(0.2) and half.interval.high == pytest.approx(0.2)


@pytest.mark.parametrize("options", [{"seed": -1}, {"level": 2.0}, {"samples": 0}])
def test_invalid_options(options):
    columns = ([1.0, 2.0], [4.0, 4.0])
    for call in (lambda: bootstrap(*columns, **options), lambda: paired_test(columns, columns, **options)):
        with pytest.raises(OptionError, match="expected"):
            call()


def test_equal_systems_do_not_differ():
    errors, totals = corpus(np.random.default_rng(11), 25, 0.3)
    test = paired_test((errors, totals), (errors, totals), samples=500)
    assert (test.difference, test.p_value, test.interval) == (0, 1, (0, 0))


def test_the_level_of_the_paired_test():
    """p < 0.1 in about a tenth of the cases for equal systems, and nearly always for a better one."""
    rng = np.random.default_rng(12)
    chance = better = 0
    for number in range(150):
        errors, totals = corpus(rng, 40, 0.3)
        noise = rng.uniform(0.6, 1.4, (2, 40))
        one, two = ((errors * row, totals) for row in noise)
        chance += paired_test(one, two, samples=200, seed=number).p_value < 0.1
        better += paired_test(one, (errors * 0.7 * noise[1], totals), samples=200, seed=number).p_value < 0.1
    assert 5 <= chance <= 27
    assert better > 140


def test_the_exact_p_value_of_a_small_case():
    """Three recordings, all better: 2 of the 8 exchanges have a difference as large."""
    test = paired_test(([2, 3, 4], [10, 10, 10]), ([1, 1, 1], [10, 10, 10]))
    assert test.exact
    assert test.p_value == 2 / 8
    assert test.difference == pytest.approx(-0.2)
    assert test.interval.high < 0
    assert not paired_test((np.ones(20), np.ones(20)), (np.zeros(20), np.ones(20)), samples=100).exact


@pytest.mark.parametrize(
    "call",
    [
        lambda: bootstrap([1, 2], [1]),
        lambda: bootstrap([1], [1], level=1.0),
        lambda: bootstrap([1], [1], samples=0),
        lambda: paired_test(([], []), ([], [])),
        lambda: paired_test(([1], [1]), ([1, 2], [1, 2])),
    ],
)
def test_wrong_input(call):
    with pytest.raises(OptionError, match="expected"):
        call()
