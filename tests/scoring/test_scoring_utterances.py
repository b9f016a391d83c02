"""Utterance metrics against constructed cases and their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sed.errors import OptionError
from sed.scoring.utterances import concordance, macro_f1, unweighted_average_recall, weighted_accuracy

TRUTH = ["n", "n", "n", "n", "h", "h", "a", "s"]
GUESS = ["n", "n", "n", "h", "h", "n", "a", "a"]


def test_constructed_cases():
    assert unweighted_average_recall(TRUTH, GUESS) == (3 / 4 + 1 / 2 + 1 + 0) / 4
    assert weighted_accuracy(TRUTH, GUESS) == 5 / 8
    assert macro_f1(TRUTH, GUESS) == pytest.approx((6 / 8 + 2 / 4 + 2 / 3 + 0) / 4)


def test_labels_of_one_side_only():
    assert unweighted_average_recall(["a", "a"], ["a", "b"]) == 0.5  # b has no recall
    assert macro_f1(["a", "a"], ["a", "b"]) == pytest.approx((2 / 3 + 0) / 2)  # but has an F1 of 0


@given(st.lists(st.tuples(st.sampled_from("nhas"), st.sampled_from("nhas")), min_size=1, max_size=40))
def test_against_definitions(pairs):
    truth, guess = zip(*pairs, strict=True)
    recalls = [sum(g == label for t, g in pairs if t == label) / truth.count(label) for label in set(truth)]
    assert unweighted_average_recall(truth, guess) == pytest.approx(np.mean(recalls))
    assert weighted_accuracy(truth, guess) == pytest.approx(np.mean([t == g for t, g in pairs]))
    scores = []
    for label in {*truth, *guess}:
        hits = sum(t == g == label for t, g in pairs)
        scores.append(2 * hits / (truth.count(label) + guess.count(label)))
    assert macro_f1(truth, guess) == pytest.approx(np.mean(scores))


def test_concordance():
    rng = np.random.default_rng(7)
    a = rng.normal(3, 2, 50)
    b = 0.7 * a + rng.normal(0, 1, 50)
    correlation = np.corrcoef(a, b)[0, 1]
    expected = 2 * correlation * a.std() * b.std() / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    assert concordance(a, b) == pytest.approx(expected)
    assert concordance(a, a) == pytest.approx(1)
    assert concordance(a, 2 * a.mean() - a) == pytest.approx(-1)
    assert concordance([1, 1], [1, 2]) == 0
    assert np.isnan(concordance([1, 1], [1, 1]))


@pytest.mark.parametrize(
    "call",
    [
        lambda: unweighted_average_recall([], []),
        lambda: weighted_accuracy(["a"], ["a", "b"]),
        lambda: concordance([1, 2], [1, 2, 3]),
        lambda: concordance([], []),
        lambda: concordance([1, np.nan], [1, 2]),
    ],
)
def test_wrong_input(call):
    with pytest.raises(OptionError, match="expected"):
        call()
