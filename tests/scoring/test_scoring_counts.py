"""Measures from sums: equal to scikit-learn and torchmetrics, additive, and with intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sed.errors import OptionError
from sed.scoring import counts
from sed.scoring.recall import recall_by, recall_interval
from sed.scoring.utterances import concordance, expected_calibration_error, weighted_f1

LABELS = 7  # as MELD
MELD = [0.47, 0.16, 0.11, 0.10, 0.08, 0.05, 0.03]  # shares of its labels, about


@pytest.fixture(scope="module")
def decisions():
    """Label numbers and decisions of 500 utterances with MELD's imbalance; one label is never recognised."""
    rng = np.random.default_rng(5)
    true = rng.choice(LABELS, 500, p=MELD)
    predicted = np.where(rng.random(500) < 0.6, true, rng.choice(LABELS, 500, p=MELD))
    return true, np.where(predicted == LABELS - 1, 0, predicted)


def test_classification_equals_scikit_learn(decisions):
    metrics = pytest.importorskip("sklearn.metrics")
    true, predicted = decisions
    found = counts.confusion_counts(true, predicted, LABELS)
    assert (found == metrics.confusion_matrix(true, predicted)).all()
    assert counts.mean_recall(found) == pytest.approx(metrics.balanced_accuracy_score(true, predicted))
    assert counts.accuracy(found) == pytest.approx(metrics.accuracy_score(true, predicted))
    for average, measure in (("macro", counts.macro_f1), ("weighted", counts.weighted_f1)):
        expected = metrics.f1_score(true, predicted, average=average, zero_division=0)
        assert measure(found) == pytest.approx(expected)
    assert weighted_f1(true.tolist(), predicted.tolist()) == pytest.approx(expected)


def test_calibration_error_equals_torchmetrics():
    pytest.importorskip("sed.networks", reason="needs torch")
    torch = pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.classification")
    rng = np.random.default_rng(2)
    posteriors = rng.dirichlet(np.full(4, 0.7), 400).astype(np.float32)
    true = rng.integers(4, size=400)
    reference = classification.MulticlassCalibrationError(4, n_bins=counts.BINS, norm="l1")
    expected = float(reference(torch.tensor(posteriors), torch.tensor(true)))
    found = expected_calibration_error(posteriors.max(1), posteriors.argmax(1) == true)
    assert found == pytest.approx(expected, abs=1e-6)
    assert found > 0.05


def test_concordance_is_additive_and_independent_of_the_origin():
    rng = np.random.default_rng(3)
    a = rng.normal(0.5, 0.1, 60)
    b = 0.6 * a + rng.normal(0, 0.1, 60)
    parts = [counts.moments(a[own], b[own]) for own in (slice(0, 20), slice(20, None))]
    assert float(counts.concordance_of(sum(parts))) == pytest.approx(concordance(a, b))
    assert concordance(a + 1e6, b + 1e6) == pytest.approx(concordance(a, b), rel=1e-6)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_stacked_counts_give_what_single_ones_give(pairs):
    true, predicted = np.array(pairs).T
    found = [counts.confusion_counts(true[:n], predicted[:n], 4) for n in range(1, len(true) + 1)]
    for measure in (counts.mean_recall, counts.accuracy, counts.macro_f1, counts.weighted_f1):
        assert measure(np.stack(found)) == pytest.approx([float(measure(one)) for one in found])


def test_speakers_make_intervals_wider():
    """Speakers who are all right or all wrong: utterances are no independent evidence."""
    rng = np.random.default_rng(0)
    speakers = np.repeat(np.arange(12), 40)
    right = rng.random(12) < 0.5
    true = np.tile([0, 1], 240)
    predicted = np.where(right[speakers], true, 1 - true)

    def interval(groups):
        units = counts.units_of(groups, len(true))
        sums = np.stack([counts.confusion_counts(true[own], predicted[own], 2) for own in units])
        return counts.bootstrap_sums(sums, counts.mean_recall)

    clustered, single = interval(speakers.tolist()), interval(None)
    assert clustered.high - clustered.low > 3 * (single.high - single.low)
    assert clustered.low < right.mean() < clustered.high


def test_agreeing_units_have_an_exact_interval_only_with_weights():
    units = np.stack([np.diag([3, 3])] * 5)
    low, high = counts.bootstrap_sums(units, counts.mean_recall, weights=np.full(5, 6.0))
    assert (round(low, 3), high) == (0.478, 1.0)
    assert np.isnan(counts.bootstrap_sums(units[:1], counts.mean_recall)).all()


@pytest.mark.parametrize("arguments", [([], []), ([0.5], [True, False]), ([1.5], [True]), ([np.nan], [True])])
def test_invalid_confidences(arguments):
    with pytest.raises(OptionError, match="expected"):
        expected_calibration_error(*arguments)


def test_corpora_weigh_the_same_whatever_their_size():
    """A large corpus that is half right and a small one that is right: the mean is over corpora."""
    true = np.array([0, 1] * 200 + [0, 1] * 5)
    predicted = np.where(np.arange(410) < 200, true, 1 - true)
    predicted[400:] = true[400:]
    corpora = np.array(["large"] * 400 + ["small"] * 10)
    value, interval = recall_interval(true, predicted, 2, strata=corpora)
    assert value == pytest.approx(0.75)
    assert interval.low < value < interval.high and interval.high - interval.low < 0.1
    assert recall_by(true, predicted, corpora, 2) == {"large": 0.5, "small": 1.0}
