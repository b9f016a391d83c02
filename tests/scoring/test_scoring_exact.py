"""Exact intervals if all recordings agree, compared with scipy; intervals over groups."""

from __future__ import annotations

import numpy as np
import pytest

from sed.errors import OptionError
from sed.result import Diarization, Segment
from sed.scoring import Options, bootstrap, exact_recall_interval, paired_test, score
from sed.scoring.exact import beta_cdf, beta_quantile, effective_count, share_interval
from sed.scoring.tables import comparison, tables, to_dict
from sed.scoring.uncertainty import estimate


def test_equals_scipy():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    rng = np.random.default_rng(0)
    for _ in range(300):
        a, b = 10 ** rng.uniform(-2, 4, 2)
        x, p = rng.uniform(0, 1, 2)
        assert beta_cdf(x, a, b) == pytest.approx(stats.beta.cdf(x, a, b), abs=1e-9)
        assert beta_quantile(p, a, b) == pytest.approx(stats.beta.ppf(p, a, b), abs=1e-9)
    for hits, count in ((0, 1), (0, 73), (73, 73), (1, 10), (50, 100), (9_999, 10_000)):
        theirs = stats.binomtest(hits, count).proportion_ci(0.9, method="exact")
        assert share_interval(hits / count, count, 0.9) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_intervals_of_0_and_1_have_a_closed_form():
    assert share_interval(0.0, 73) == (0, pytest.approx(1 - 0.025 ** (1 / 73)))
    assert share_interval(1.0, 73) == (pytest.approx(0.025 ** (1 / 73)), 1)
    assert effective_count(np.array([2.0, 2, 2, 0])) == 3


def test_intervals_cover_a_rare_error():
    """30 utterances with an error rate of 2 %: half of the samples have no error."""
    rng = np.random.default_rng(1)
    wrong = (rng.random((200, 30)) < 0.02).astype(float)
    found = [estimate(row, np.ones(30), samples=200) for row in wrong]
    assert 70 < sum(method == "exact" for _, method in found) < 150
    assert sum(low <= 0.02 <= high for (low, high), _ in found) >= 190


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_recordings_that_agree(share):
    totals = np.array([10.0, 4.0, 6.0, 10.0])
    (low, high), method = estimate(share * totals, totals)
    assert method == "exact" and low <= share <= high and high - low > 0.3
    assert estimate(share * totals, totals, share=False)[1] == "none"  # such as seconds
    assert np.isnan(bootstrap(2 * totals, totals)).all()  # a rate of 200 % has no bound
    more = bootstrap(np.tile(share * totals, 20), np.tile(totals, 20))
    assert more.high - more.low < (high - low) / 2


def test_a_sample_that_varies_is_resampled():
    assert estimate([1.0, 0, 2, 0], [10.0, 10, 10, 10]) == ((0.0, 0.15), "bootstrap")


def recordings(*rates, prefix="r"):
    """References and hypotheses of 10 s, with these error rates."""
    truth = [Diarization(f"{prefix}{n}", 10.0, [Segment(0, 10, "ann", "sad")]) for n in range(len(rates))]
    claims = []
    for item, rate in zip(truth, map(float, rates), strict=True):
        parts = [(0.0, 10 * rate, "happy"), (10 * rate, 10.0, "sad")]
        segments = [Segment(start, end, "x", label) for start, end, label in parts if end > start]
        claims.append(Diarization(item.uri, 10.0, segments))
    return truth, claims


def test_a_report_states_the_method_of_intervals():
    perfect = score(*recordings(0, 0, 0, 0))
    rows = {row[0]: row for row in tables(perfect)[0].rows}
    assert rows["EDER"][1:] == ("0.00 %", "0.00 - 60.24 (exact)", "0.00 %", "0.00 - 60.24 (exact)")
    assert rows["Event F1"][1:3] == ("100.00 %", "39.76 - 100.00 (exact)")
    assert rows["Boundary error"][1:3] == ("-", "-")
    data = to_dict(perfect)["metrics"]
    assert data["eder"]["interval_method"] == data["eder"]["macro_interval_method"] == "exact"
    assert to_dict(score(*recordings(0, 0.5)))["metrics"]["eder"]["interval_method"] == "bootstrap"
    one = score(*recordings(0.5))
    assert tables(one)[0].title == "1 recording: no interval can be computed from 1 recording"
    assert to_dict(one)["metrics"]["eder"]["interval"] == [None, None]
    assert to_dict(one)["metrics"]["eder"]["interval_method"] == "none"


def test_whole_groups_are_resampled():
    """Four speakers with ten equal recordings each: the interval is that of four recordings."""
    rates = np.repeat([0.1, 0.2, 0.4, 0.7], 10)
    truth, claims = recordings(*rates)
    groups = {t.uri: f"spk{n // 10}" for n, t in enumerate(truth)}
    ungrouped, grouped = score(truth, claims), score(truth, claims, groups=groups)
    width = [report["eder"].interval.high - report["eder"].interval.low for report in (ungrouped, grouped)]
    assert width[1] > 2 * width[0]
    assert grouped["eder"].interval == pytest.approx(bootstrap([1, 2, 4, 7], [10, 10, 10, 10]))
    assert grouped["eder"].macro_interval == pytest.approx(grouped["eder"].interval)
    assert grouped["eder"].value == ungrouped["eder"].value
    assert tables(grouped)[0].title == "40 recordings in 4 groups, bootstrap intervals over groups at 95 %"
    assert to_dict(grouped)["metrics"]["eder"]["groups"] == 4
    single = score(truth, claims, groups=dict.fromkeys(groups, "ann"))
    assert tables(single)[0].title == "40 recordings in 1 group: no interval can be computed from 1 group"
    with pytest.raises(OptionError, match="no group of r1, r10"):
        score(truth, claims, groups={"r0": "a"})


def test_whole_groups_are_exchanged():
    truth, claims = recordings(*np.repeat([0.1, 0.2, 0.4], 4))
    groups = {t.uri: f"spk{n // 4}" for n, t in enumerate(truth)}
    first, second = (score(truth, system, groups=groups) for system in (claims, truth))
    test = first.compare(second, "eder")
    assert (test.recordings, test.groups, test.exact, test.p_value) == (12, 3, True, 0.25)
    assert test.to_dict()["groups"] == 3
    assert comparison(first, second, "other").title == "Against other, paired by group"
    assert "groups" not in score(truth, claims).compare(score(truth, truth), "eder").to_dict()
    with pytest.raises(OptionError, match="2 groups of 3 recordings"):
        bootstrap([1, 2, 3], [4, 4, 4], groups=["a", "b"])


def test_equal_differences_in_all_recordings():
    """Two systems with the same difference in every recording, or with a single recording."""
    test = paired_test(([2.0, 2.0, 2.0], [10.0] * 3), ([1.0, 1.0, 1.0], [10.0] * 3))
    assert test.difference == pytest.approx(-0.1)
    assert -1 <= test.interval.low < -0.6 and 0.5 < test.interval.high < 1
    assert np.isnan(paired_test(([2.0], [10.0]), ([1.0], [10.0])).interval).all()
    assert paired_test(([2.0, 3], [10.0, 9]), ([2.0, 3], [10.0, 9])).interval == (0, 0)  # the same system
    assert np.isnan(paired_test(([2.0] * 2, [1.0] * 2), ([1.0] * 2, [1.0] * 2), rates=False).interval).all()


def test_recall_if_all_utterances_are_recognised():
    """The interval is not 100.0 to 100.0."""
    balanced = ["sad", "happy"] * 20
    assert exact_recall_interval(balanced, balanced) == pytest.approx(share_interval(1.0, 40))
    skewed = ["sad"] * 38 + ["happy"] * 2  # one of the two recalls depends on two utterances
    assert exact_recall_interval(skewed, skewed).low < share_interval(1.0, 8)[0]
    assert exact_recall_interval(["sad", "happy"], ["calm", "calm"]).low == 0


def test_level():
    wide, narrow = (
        score(*recordings(0, 0, 0), options=Options(level=level))["eder"].interval for level in (0.99, 0.5)
    )
    assert wide.high > narrow.high > 0.3
