"""`score` and its report: pooled and macro values, unmatched recordings, available metrics, intervals, comparison."""

from __future__ import annotations

import csv
import json
import time

import numpy as np
import pytest

from sed.errors import OptionError
from sed.result import Diarization, Segment
from sed.scoring import Options, bootstrap, score
from sed.scoring.tables import comparison, percent, tables, to_dict


def recording(uri, duration, *rows):
    return Diarization(uri, duration, [Segment(start, end, who, what) for start, end, who, what in rows])


REFERENCES = [
    recording("a", 10.0, (2, 8, "ann", "happy")),
    recording("b", 30.0, (0, 10, "bob", "sad"), (10, 20, "cleo", "neutral")),
    recording("silent", 5.0),
]
HYPOTHESES = [
    recording("a", 10.0, (2, 5, "x", "happy"), (5, 8, "x", "angry")),
    recording("b", 30.0, (0, 10, "x", "sad"), (10, 20, "y", "neutral")),
    recording("silent", 5.0),
]


def zed(shared):
    rows = list(csv.DictReader((shared / "corpora" / "zed_boundaries.csv").open()))
    return [
        Diarization(
            row["id"],
            float(row["duration"]),
            [Segment(float(row["start"]), float(row["end"]), None, row["emo"])],
        )
        for row in rows
    ]


def test_pooled_macro_and_files():
    report = score(REFERENCES, HYPOTHESES)
    assert list(report.metrics) == ["eder", "der", "joint", "events", "boundaries"]
    eder = report["eder"]
    assert eder.value == eder.pooled.rate == 3 / 45
    assert eder.macro == pytest.approx((0.3 + 0 + 0) / 3)
    assert {uri: s.rate for uri, s in eder.files.items()} == {"a": 0.3, "b": 0, "silent": 0}
    assert report["der"].value == 0
    assert report["joint"].value == 3 / 26
    assert (report.missing, report.extra, report.outside_uem) == ((), (), ())


def test_intervals_are_the_bootstrap_of_the_files():
    report = score(REFERENCES, HYPOTHESES, options=Options(samples=200, level=0.9, seed=5))
    expected = bootstrap([3, 0, 0], [10, 30, 5], samples=200, level=0.9, seed=5)
    assert report["eder"].interval == expected
    assert report["eder"].macro_interval == bootstrap([0.3, 0, 0], [1, 1, 1], samples=200, level=0.9, seed=5)
    assert expected.low == 0 < 3 / 45 < expected.high


def test_recordings_without_a_counterpart_are_listed():
    other = recording("c", 3.0, (0, 1, "x", "sad"))
    report = score(REFERENCES, [*HYPOTHESES[1:], other])
    assert (report.missing, report.extra) == (("a",), ("c",))
    assert report["eder"].files["a"].missed_emotion == 6  # as with an empty hypothesis
    assert report["der"].files["a"].missed_detection == 6


def test_the_uem_defines_what_is_scored():
    uem = {"a": [(0, 4)], "empty": [(0, 2)]}
    extra = recording("empty", 2.0, (0, 1, "x", "sad"))
    report = score(REFERENCES, [*HYPOTHESES, extra], uem=uem)
    assert list(report["eder"].files) == ["a", "empty"]
    assert report["eder"].files["a"].total == 4
    assert report["eder"].files["empty"].false_alarm == 1
    assert report.outside_uem == ("b", "silent")
    assert report.extra == ()


def test_events_are_cut_to_the_scored_time():
    """Events outside the UEM or after the end are ignored; an event across an edge is cut there."""
    reference = recording("a", 20.0, (1, 3, "ann", "sad"), (4, 8, "ann", "happy"), (12, 14, "ann", "sad"))
    hypothesis = recording("a", 30.0, (1, 3, "x", "sad"), (4, 8, "x", "happy"), (25, 27, "x", "angry"))
    whole = score([reference], [hypothesis])["events"].pooled
    assert (whole.found, whole.reference, whole.hypothesis) == (2, 3, 2)
    inside = score([reference], [hypothesis], uem={"a": [(0, 2), (6, 10)]})["events"].pooled
    assert (inside.found, inside.reference, inside.hypothesis) == (2, 2, 2)
    assert score([reference], [hypothesis], uem={"a": [(15, 30)]})["events"].pooled.hypothesis == 1


def test_metrics_depend_on_the_names_in_the_annotations():
    plain = [recording("a", 4.0, (0, 2, "ann", None))]
    assert list(score(plain, plain).metrics) == ["der"]
    assert score(plain, plain).skipped["eder"] == "the references name no emotions"
    emotions = [recording("a", 4.0, (0, 2, None, "sad"))]
    assert list(score(emotions, emotions).metrics) == ["eder", "events", "boundaries"]
    assert list(score(emotions, [recording("a", 4.0)], metrics=["eder"]).metrics) == ["eder"]
    with pytest.raises(OptionError, match="der cannot be computed: the references name no speakers"):
        score(emotions, emotions, metrics=["der"])
    partly = [recording("a", 4.0, (0, 2, "ann", "sad"), (2, 3, None, "sad"))]
    assert "der" in score(partly, partly).skipped
    with pytest.raises(OptionError, match="nothing to score"):
        score(plain, emotions)
    silent = [recording("a", 4.0)]
    assert score(silent, silent)["eder"].pooled.correct == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: score([], []), "no reference to score against"),
        (lambda: score(REFERENCES, HYPOTHESES, metrics=["wer"]), "metric 'wer': expected one of eder"),
        (lambda: score(REFERENCES * 2, HYPOTHESES), "two annotations of a"),
        (
            lambda: score(REFERENCES, HYPOTHESES, options=Options(compat="speechbrain")),
            "b: SpeechBrain's EDER|silent",
        ),
    ],
)
def test_wrong_input(call, message):
    with pytest.raises(OptionError, match=message):
        call()


def test_the_end_of_the_recording(caplog):
    """A reference without a stated duration ends with its last segment, unless a longer duration is given."""
    reference = [recording("a", 8.0, (2, 8, "ann", "happy"))]
    hypothesis = [recording("a", 10.0, (2, 9, "x", "happy"))]
    assert score(reference, hypothesis)["eder"].value == 0
    assert "hypotheses are not scored after the end of the recording: a" in caplog.text
    longer = score(reference, hypothesis, durations={"a": 10.0})
    assert longer["eder"].value == 1 / 10
    assert longer["der"].pooled.false_alarm == 1


def test_comparison_of_two_systems():
    first = score(REFERENCES, HYPOTHESES)
    second = score(REFERENCES, REFERENCES)
    test = first.compare(second, "eder")
    assert test.difference == pytest.approx(-3 / 45)
    assert test.exact
    assert test.p_value == 1.0  # only one recording differs
    assert comparison(first, second, "other").rows[0][:4] == ("EDER", "6.67 %", "0.00 %", "-6.67 %")
    with pytest.raises(OptionError, match="different recordings"):
        first.compare(score(REFERENCES[:2], HYPOTHESES), "eder")


def test_tables_and_data():
    report = score(REFERENCES, HYPOTHESES)
    shown = {table.title: table for table in tables(report, per_file=True)}
    assert shown["3 recordings, bootstrap intervals at 95 %"].rows[0][:2] == ("EDER", "6.67 %")
    assert ("confusion", "3.00 s", "6.67 %") in shown["EDER in parts"].rows
    assert (
        shown["Confusion in seconds"].rows[1][0],
        *shown["Confusion in seconds"].rows[1][2:],
    ) == ("happy", "3.00", "3.00", "0.00")
    assert [row[0] for row in shown["By recording"].rows] == ["a", "b", "silent"]
    assert shown["By recording"].rows[2][-1] == "-"
    for table in shown.values():
        assert len({len(row) for row in (table.columns, *table.rows)}) == 1
        assert len(table.plain().splitlines()) == len(table.rows) + 2
        assert table.markdown().count("\n|") == len(table.rows) + 2

    data = json.loads(json.dumps(to_dict(report, per_file=True), allow_nan=False))
    assert data["metrics"]["eder"]["pooled"]["confusion"] == 3
    assert data["metrics"]["eder"]["files"]["a"]["rate"] == 0.3
    assert data["metrics"]["eder"]["by_label"]["angry"]["recall"] is None
    assert data["metrics"]["boundaries"]["pooled"]["within"]["0.2"]["found"] == 3
    assert percent(None) == "-"


def test_speechbrain_macro_over_zed(shared):
    """ZED against all-neutral: 58.8 % of the time is emotional, as in the statistics of the paper."""
    references = zed(shared)
    neutral = [Diarization(r.uri, r.duration, [Segment(0, r.duration, None, "neutral")]) for r in references]
    ours = score(references, neutral, metrics=["eder"])
    theirs = score(references, neutral, metrics=["eder"], options=Options(compat="speechbrain"))
    assert len(references) == 180
    assert ours["eder"].value == pytest.approx(0.588, abs=0.0005)
    assert theirs["eder"].value == pytest.approx(ours["eder"].value, abs=1e-9)
    assert theirs["eder"].macro == pytest.approx(ours["eder"].macro, abs=1e-9)


def test_zed_takes_less_than_a_second(shared):
    """180 recordings, every metric, with intervals; in CPU time, since other processes may be running."""
    references = zed(shared)
    rng = np.random.default_rng(0)
    hypotheses = [
        Diarization(
            r.uri,
            r.duration,
            [Segment(max(0.0, s.start - 0.3 * rng.random()), s.end, None, s.emotion) for s in r],
        )
        for r in references
    ]
    score(references[:2], hypotheses[:2])  # imports
    before = time.process_time()
    tables(score(references, hypotheses))
    assert time.process_time() - before < 1.0
