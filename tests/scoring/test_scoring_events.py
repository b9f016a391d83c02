"""Event F1 against sed_eval; boundaries against constructed cases and exhaustive matching."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.errors import OptionError
from sed.result import Segment
from sed.scoring.events import DetectionScore, _match, boundary_score, event_score


def segments(*rows):
    return [Segment(start, end, emotion=emotion) for start, end, emotion in rows]


def random_events(rng, near=()):
    """Events without adjacent ones of the same label; some are slightly moved `near` events."""
    starts = rng.uniform(0, 20, 6)
    rows = [(float(a), float(a + rng.uniform(0.1, 4)), str(rng.choice(["happy", "sad"]))) for a in starts]
    for start, end, label in near:
        moved = (max(0.0, start + rng.normal(0, 0.15)), end + rng.normal(0, 0.3), label)
        if moved[1] > moved[0] and rng.random() < 0.8:
            rows.append(moved)
    kept = []
    for row in sorted(rows):
        if all(row[2] != other[2] or row[0] > other[1] + 0.001 for other in kept):
            kept.append(row)
    return kept


@pytest.fixture
def sed_eval(monkeypatch):
    """The module sed_eval; its dependency dcase_util imports pkg_resources without needing it here."""
    if importlib.util.find_spec("pkg_resources") is None:  # removed in setuptools 81
        monkeypatch.setitem(sys.modules, "pkg_resources", ModuleType("pkg_resources"))
    return pytest.importorskip("sed_eval")


def test_agrees_with_sed_eval(sed_eval):
    """Overall and by emotion, on 200 random recordings, for several collars."""
    rng = np.random.default_rng(6)
    found_any = 0
    for collar, share, onset_only in ((0.2, 0.5, False), (0.5, 0.2, False), (0.2, 0, True), (0.2, 0, False)):
        metric = sed_eval.sound_event.EventBasedMetrics(
            ["happy", "sad"],
            t_collar=collar,
            percentage_of_length=float(share),
            evaluate_offset=not onset_only,
        )
        total = DetectionScore()
        for _ in range(50):
            truth = random_events(rng)
            claimed = random_events(rng, truth)
            lists = [
                [{"filename": "u", "onset": a, "offset": b, "event_label": label} for a, b, label in rows]
                for rows in (truth, claimed)
            ]
            metric.evaluate(*lists)
            total += event_score(
                segments(*truth), segments(*claimed), collar=collar, offset_share=share, onset_only=onset_only
            )
        theirs = metric.overall_f_measure()
        assert total.f1 == pytest.approx(theirs["f_measure"], abs=1e-12)
        assert total.precision == pytest.approx(theirs["precision"], abs=1e-12)
        assert total.recall == pytest.approx(theirs["recall"], abs=1e-12)
        for label in ("happy", "sad"):
            by_label = metric.class_wise_f_measure(label)
            assert total.by_label[label].f1 == pytest.approx(by_label["f_measure"], abs=1e-12)
        average = metric.results_class_wise_average_metrics()["f_measure"]["f_measure"]
        assert total.macro_f1 == pytest.approx(average, abs=1e-12)
        found_any += total.found
    assert found_any > 100


def test_events_are_merged_over_rounding_gaps_and_speakers():
    reference = segments((1, 3, "happy"))
    hypothesis = [
        Segment(1, 2, "A", "happy"), Segment(2 + 1e-9, 3, "A", "happy"), Segment(1.5, 2.5, "B", "happy")
    ]  # fmt: skip
    score = event_score(reference, hypothesis)
    assert (score.found, score.reference, score.hypothesis) == (1, 1, 1)


def test_neutral_is_an_event_only_on_request():
    reference = segments((0, 2, "neutral"), (2, 4, "sad"))
    assert event_score(reference, []).reference == 1
    assert event_score(reference, [], neutral=None).reference == 2
    assert event_score(segments((0, 1, "hap")), segments((0, 1, "happy")), labels={"hap": "happy"}).f1 == 1


def test_invalid_counts_and_options_are_refused():
    with pytest.raises(OptionError, match="expected no more than either"):
        DetectionScore(3, 2, 5)
    with pytest.raises(OptionError, match="expected 0 or more"):
        event_score([], [], collar=-1)
    with pytest.raises(OptionError, match="at least one"):
        boundary_score([], [], collars=(), duration=1)


def test_boundaries_of_a_constructed_case():
    reference = segments((2, 4, "happy"), (4, 6, "sad"), (8, 10, "sad"))
    hypothesis = segments((2.1, 4.3, "happy"), (4.3, 6, "sad"), (7, 10, "sad"))
    score = boundary_score(reference, hypothesis, duration=10)
    assert [(s.found, s.reference, s.hypothesis) for s in score.within.values()] == [(2, 4, 4), (3, 4, 4)]
    assert score.mean_error == pytest.approx((0.1 + 0.3 + 0.0) / 3)
    both = score + boundary_score(reference, reference, duration=10)
    assert both.within[0.5].found == 7
    assert both.mean_error == pytest.approx(0.4 / 7)


def test_instants_that_are_not_boundaries():
    """The ends of the recording, adjacent segments of one emotion, neutral next to silence, gaps between regions."""
    reference = segments((0, 3, "sad"), (3, 5, "sad"), (5, 7, "neutral"), (8, 9, "neutral"))
    score = boundary_score(reference, [], duration=9)
    assert score.within[0.2].reference == 1  # sad -> neutral at 5
    outside = boundary_score(segments((2, 6, "sad")), [], uem=[(0, 1), (3, 5), (5.5, 8)])
    assert outside.within[0.2].reference == 1  # 6; the change at 2 is between regions
    assert boundary_score([], [], duration=0).within[0.2].f1 != 0  # nan


def instants(most):
    """Sorted instants on a grid of 0.1 s, so that some distances equal the collar."""
    numbers = st.lists(st.integers(0, 30), max_size=most, unique=True)
    return numbers.map(lambda values: np.sort(np.array(values, float)) / 10)


collars = st.sampled_from([0.0, 0.1, 0.3, 0.5, 2.0])


@given(instants(4), instants(4), collars)
@settings(max_examples=200, deadline=None)
def test_boundary_matching_is_optimal(here, there, collar):
    """Compared with all matchings; -1 means unmatched."""
    small, large = sorted((here, there), key=len)
    best = (0, 0.0)
    for chosen in itertools.permutations([*range(len(large)), *[-1] * len(small)], len(small)):
        distances = [abs(small[i] - large[j]) for i, j in enumerate(chosen) if j >= 0]
        if all(value <= collar + 1e-6 for value in distances):
            best = min(best, (-len(distances), sum(distances)))
    pairs, distances = _match(here, there, collar)
    assert (-pairs, distances) == (best[0], pytest.approx(best[1], abs=1e-9))


@given(instants(20), instants(20), collars)
@settings(max_examples=200, deadline=None)
def test_boundary_matching_is_symmetric(here, there, collar):
    pairs, distances = _match(here, there, collar)
    backwards = _match(-there[::-1] + 40, -here[::-1] + 40, collar)
    assert backwards == (pairs, pytest.approx(distances, abs=1e-9))
