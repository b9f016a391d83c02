"""The scored time is the same for all systems: segments outside it change nothing; without it there is no value."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.errors import OptionError
from sed.result import Diarization, Segment
from sed.scoring import Options, boundary_score, der, eder, joint_error, score
from sed.scoring.ends import common_ends
from sed.scoring.intervals import gaps, support
from sed.scoring.spans import Spans
from sed.scoring.tables import tables, to_dict

LABELS = ("neutral", "happy", "angry", "sad")
tenths = st.integers(0, 199)
rows = st.lists(
    st.tuples(tenths, st.integers(1, 80), st.sampled_from("ab"), st.sampled_from(LABELS)), max_size=7
)
anything = st.lists(  # names may be missing or unique
    st.tuples(
        st.integers(0, 900),
        st.integers(1, 3000),
        st.sampled_from(["a", "z", None]),
        st.sampled_from([*LABELS, "zeal", "Happy", None]),
    ),
    min_size=1,
    max_size=6,
)
END = 20.0  # of the recording, in seconds


@pytest.fixture(autouse=True, scope="module")
def errors_only():
    """Suppress the warnings of thousands of random cases."""
    logger = logging.getLogger("sed.scoring")
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(logging.NOTSET)


def segments(rows, shift=0.0, end=np.inf):
    found = [(shift + 0.1 * a, min(shift + 0.1 * (a + b), end), who, what) for a, b, who, what in rows]
    return [Segment(*row) for row in found]


def all_values(report):
    """All content of a report."""
    return json.dumps(to_dict(report, per_file=True)), [table.plain() for table in tables(report)]


def numbers(score):
    """All numbers of a score as a flat list."""
    found, waiting = [], [score.to_dict()]
    for value in waiting:
        waiting.extend(value.values() if isinstance(value, dict) else ())
        found += [] if isinstance(value, dict) else [value]
    return found


@pytest.mark.slow
@given(rows, rows, anything, st.sampled_from([0.0, 0.3]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_segments_after_the_end_change_nothing(reference, hypothesis, extra, collar, swap):
    """For all metrics in `score`, and for the functions of single metrics."""
    truth = Diarization("call", END, segments(reference, end=END))
    honest = segments(hypothesis, end=END)
    late = segments(extra, shift=END)
    claims = [late + honest, honest + late][swap]
    options = Options(collar=collar, samples=20)
    before, after = (
        score([truth], {"call": Diarization("call", 0.0, own)}, options=options) for own in (honest, claims)
    )
    assert all_values(before) == all_values(after)
    named = [replace(s, speaker="z", emotion="zeal") for s in late]
    for metric in (eder, der, joint_error, boundary_score):
        alone, more = (metric(truth, own, duration=END) for own in (honest, [*named, *honest]))
        assert numbers(more) == pytest.approx(numbers(alone), abs=1e-12, nan_ok=True)


@pytest.mark.slow
@given(rows, rows, anything, st.lists(st.integers(0, 60), min_size=2, max_size=6, unique=True))
@settings(max_examples=120, deadline=None)
def test_segments_outside_the_uem_change_nothing(reference, hypothesis, extra, cuts):
    edges = sorted(cuts)[: len(cuts) // 2 * 2]
    uem = {"call": [(a / 2, b / 2) for a, b in zip(edges[::2], edges[1::2], strict=True)]}
    free = [0.0, *(time for span in uem["call"] for time in span), 200.0]
    outside = []
    for number, s in enumerate(segments(extra)):
        low, high = free[(2 * number) % len(free)], free[(2 * number) % len(free) + 1]
        if high > low:
            outside.append(replace(s, start=low, end=low + (high - low) * 0.1 * (1 + number)))
    outside = [replace(s, end=min(s.end, next(t for t in free[1::2] if t > s.start))) for s in outside]
    truth, honest = Diarization("call", END, segments(reference)), segments(hypothesis)
    options = Options(samples=20)
    before, after = (
        score([truth], {"call": Diarization("call", END, own)}, uem=uem, options=options)
        for own in (honest, [*honest, *outside])
    )
    assert all_values(before) == all_values(after)


@given(rows, rows, anything)
@settings(max_examples=80, deadline=None)
def test_the_end_is_the_same_for_all_systems(reference, hypothesis, extra):
    """Without a duration on any side, hypotheses with and without late segments have the same values."""
    truth = {"call": Diarization("call", 0.0, segments(reference))}
    honest = Diarization("call", 0.0, segments(hypothesis))
    last = max((s.end for s in truth["call"]), default=0.0)
    longer = replace(honest, segments=[*honest.segments, *segments(extra, shift=last)])
    ends = common_ends(truth, set(), [({"call": honest}, set()), ({"call": longer}, set())])
    assert ends.durations == {"call": last} and ends.from_segments == ("call",)
    if last:
        both = [
            score(truth, [own], durations=ends.durations, options=Options(samples=20))
            for own in (honest, longer)
        ]
        assert all_values(both[0]) == all_values(both[1])
        assert both[0].compare(both[1], "eder").difference == 0


@pytest.mark.slow
@given(rows, anything, st.sampled_from(["sad", "happy"]))
@settings(max_examples=80, deadline=None)
def test_segments_after_the_end_change_nothing_for_speechbrain(hypothesis, extra, emotion):
    truth = Diarization("u", END, [Segment(3.0, 9.5, None, emotion)])
    honest, options = segments(hypothesis, end=END), Options(compat="speechbrain", samples=20)
    late = [replace(s, speaker=None) for s in segments(extra, shift=END)]
    before, after = (
        score([truth], {"u": Diarization("u", END, own)}, metrics=["eder"], options=options)
        for own in (honest, honest + late)
    )
    assert all_values(before) == all_values(after)


def test_pyannote_agrees_if_segments_follow_the_end():
    """DER and IER of pyannote.metrics on the scored time, for hypotheses with segments after it."""
    metrics = pytest.importorskip("pyannote.metrics.diarization", reason="pyannote.metrics is not installed")
    identification = pytest.importorskip("pyannote.metrics.identification")
    core = pytest.importorskip("pyannote.core")
    rng = np.random.default_rng(3)

    def annotation(rows, what, fill):
        found = core.Annotation()
        for label in {getattr(s, what) for s in rows}:
            for span in support([(s.start, s.end) for s in rows if getattr(s, what) == label]):
                found[core.Segment(*span), label] = label
        if fill:
            for span in gaps(support([(s.start, s.end) for s in rows]), 0.0, END):
                found[core.Segment(*span), "gap"] = "neutral"
        return found

    for _ in range(40):
        cuts = np.sort(rng.uniform(0, END, (2, 8)), 1)
        truth, honest = (
            [
                Segment(a, b, str(rng.choice(["a", "b"])), str(rng.choice(LABELS)))
                for a, b in zip(own[::2], own[1::2], strict=True)
            ]
            for own in cuts
        )
        claims = [*honest, Segment(END - 0.5, 70, "z", "sad"), Segment(END, 90, "a", "neutral")]
        report = score([Diarization("u", END, truth)], [Diarization("u", 90.0, claims)])
        uem = core.Timeline([core.Segment(0, END)])
        for name, what, metric in (
            ("der", "speaker", metrics.DiarizationErrorRate()),
            ("eder", "emotion", identification.IdentificationErrorRate()),
        ):
            sides = [annotation(rows, what, name == "eder") for rows in (truth, claims)]
            assert report[name].value == pytest.approx(metric(*sides, uem=uem), abs=1e-9)


def test_neutral_after_the_end_is_no_advantage():
    """20 % of 10 s must not become 2 % of 100 s."""
    reference = {"call": Diarization("call", 10.0, [Segment(0, 10, "ann", "happy")])}
    hypothesis = [Segment(0, 8, "x", "happy"), Segment(8, 10, "x", "sad")]
    gaming = [*hypothesis, Segment(10, 100, "x", "neutral")]
    ends = common_ends(reference, set(), [({"call": Diarization("call", 100.0, gaming)}, set())])
    for own in (hypothesis, gaming):
        report = score(reference, {"call": Diarization("call", 100.0, own)}, durations=ends.durations)
        assert report["eder"].value == pytest.approx(0.2)
        assert report["eder"].pooled.total == 10


def test_ends_are_determined_per_recording():
    reference = {
        "stated": Diarization("stated", 12.0, [Segment(0, 8, "ann", "sad")]),
        "plain": Diarization("plain", 8.0, [Segment(0, 8, "ann", "sad")]),
        "short": Diarization("short", 8.0, [Segment(0, 8, "ann", "sad")]),
        "empty": Diarization("empty", 0.0, []),
    }
    one = {
        uri: Diarization(uri, length, [])
        for uri, length in (("stated", 50.0), ("short", 5.0), ("plain", 9.0))
    }
    two = {"plain": Diarization("plain", 10.0, [])}
    ends = common_ends(reference, {"stated"}, [(one, {"stated", "short", "plain"}), (two, {"plain"})])
    assert ends.durations == {"plain": 9.0, "short": 8.0, "empty": 0.0}
    assert (ends.from_segments, ends.from_hypotheses, ends.disputed) == (
        ("empty", "short"),
        ("plain",),
        ("plain",),
    )
    assert [line.split(":")[0].split(" ")[0] for line in ends.warnings()] == ["no", "the", "hypotheses"]
    report = score(reference, one, durations=ends.durations)
    assert report.regions == {
        "empty": (),
        "plain": ((0.0, 9.0),),
        "short": ((0.0, 8.0),),
        "stated": ((0.0, 12.0),),
    }


def test_reports_of_different_times_are_not_compared():
    reference = [Diarization("call", 8.0, [Segment(0, 8, "ann", "happy")])]
    first, second = (score(reference, reference, durations={"call": end}) for end in (8.0, 80.0))
    with pytest.raises(OptionError, match="different times of call"):
        first.compare(second, "eder")


def test_segments_inside_several_regions():
    spans = Spans.of(
        segments([(0, 10, "a", "sad"), (10, 5, "a", "sad"), (20, 100, "a", "sad"), (150, 9, "a", "sad")])
    )
    region = np.array([[1.0, 1.5], [3.0, 4.0], [14.0, 15.0]])
    assert spans.inside(region).bounds[:, 0].tolist() == [1.0, 2.0]
    assert spans.inside(np.empty((0, 2))).bounds.shape == (0, 2)
    assert spans.inside(np.array([[0.0, 99.0]])) is spans


REFERENCE = [Diarization("call", 10.0, [Segment(2, 8, "ann", "happy")])]


@pytest.mark.parametrize(
    ("uem", "options", "reason"),
    [
        ({"other": [(0, 30)]}, Options(), "no second is scored: the UEM names none of the recordings"),
        ({"call": []}, Options(), "no second is scored: the region is empty"),
        ({"call": [(3, 3)]}, Options(), "no second is scored: the region is empty"),
    ],
)
def test_no_value_without_scored_time(uem, options, reason):
    report = score(REFERENCE, REFERENCE, uem=uem, options=options)
    assert set(report.not_computed) == {"eder", "der", "joint", "events", "boundaries"}
    assert all(text.startswith(reason) for text in report.not_computed.values())
    for metric in report.metrics.values():
        assert np.isnan(metric.value) and np.isnan(metric.interval).all() and metric.is_empty
    shown = tables(report, per_file=True)
    assert {row[1] for row in shown[0].rows} == {"not computed"}
    assert "0.00 %" not in str(shown) and "100.00 %" not in str(shown)
    data = to_dict(report, per_file=True)
    assert {row["value"] for row in data["metrics"].values()} == {None}
    assert all(set(row["files"].values()) == {None} for row in data["metrics"].values())
    assert np.isnan(report.compare(report, "eder").difference)


def test_functions_return_nan_without_scored_time():
    for metric in (eder, der, joint_error):
        assert np.isnan(metric(REFERENCE[0], REFERENCE[0], uem=[]).rate)
        assert np.isnan(sum([metric(REFERENCE[0], REFERENCE[0], uem=[])] * 2).rate)
        assert np.isnan(metric(REFERENCE[0], REFERENCE[0], collar=20.0).rate)
    both = eder(REFERENCE[0], REFERENCE[0], uem=[]) + eder(REFERENCE[0], [], duration=10)
    assert both.rate == 0.6
    assert der([], [], duration=5, engine="pyannote").rate == 0
    assert np.isnan(der([], [], uem=[], engine="pyannote").rate)


def test_a_collar_that_excludes_everything():
    report = score(REFERENCE, REFERENCE, options=Options(collar=20.0))
    assert report["eder"].not_computed == "no second is scored: the collar leaves none"
    assert np.isnan([report["eder"].value, report["eder"].macro]).all()
    assert report["events"].value == 1  # to which the collar does not apply
    long = Diarization("long", 100.0, [Segment(0, 100, "ann", "sad")])
    mixed = score([*REFERENCE, long], [long], options=Options(collar=20.0))["eder"]
    assert (mixed.value, mixed.macro) == (0, 0)  # only one recording has a rate


def test_a_recording_of_0_s_is_reported_and_excluded():
    empty = Diarization("empty", 0.0, [])
    wrong = [Diarization("call", 10.0, [Segment(2, 8, "x", "sad")])]
    report = score([*REFERENCE, empty], wrong)
    assert report.unscored == {"empty": "the recording lasts 0 s"} and report.missing == ()
    assert list(report["eder"].files) == ["call"]
    assert report["eder"].macro == 0.6  # not the mean over both recordings
    assert [row[1] for row in tables(report, per_file=True)[-1].rows] == ["60.00 %", "not computed"]


def test_der_is_undefined_without_speech():
    """0 of 0 seconds is not an error rate; EDER is defined, since silence is neutral."""
    silent = [Diarization("call", 10.0, [Segment(2, 8, "ann", "happy")])]
    report = score(silent, silent, uem={"call": [(8.5, 10)]})
    assert report["eder"].value == 0 and report["eder"].pooled.total == 1.5
    assert np.isnan(report["der"].value) and not report["der"].is_empty
    assert report.not_computed["der"] == "the references have no speech in the scored time"


def test_recordings_of_the_uem_without_a_reference_are_listed():
    report = score(REFERENCE, REFERENCE, uem={"call": [(0, 10)], "cal1": [(0, 10)]})
    assert report.without_reference == ("cal1",) and report.missing == ("cal1",)
    assert report["eder"].pooled.total == 20
