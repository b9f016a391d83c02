"""Priors and sensitivities: exact reweighting, the share of labels left out, errors, and the same offline and live."""

import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from sed import EmotionDiarizer, read
from sed.archive.journal import fingerprint
from sed.cli.live import main as live
from sed.emotion import load_tagger
from sed.emotion.priors import NEUTRAL, complete_prior, model_prior, parse_prior, reweighted
from sed.emotion.tagger import Tagger
from sed.errors import ModelError, OptionError
from sed.streaming import StreamingDiarizer

LABELS = ("neutral", "happy", "angry", "sad")
UNIFORM = np.full(4, 0.25)


class Given:
    """A tagger that returns given posteriors ``(frames, labels)`` for any wave."""

    frame_rate, window = 50, 80_000

    def __init__(self, rows, labels=LABELS, card=None):
        self.rows, self.labels, self.card = np.asarray(rows, np.float32), labels, card

    def posteriors(self, waves):
        return np.stack([self.rows] * len(waves))


def posteriors(tagger):
    return tagger.posteriors(np.zeros((1, 320), np.float32))[0]


@settings(deadline=None)
@given(
    st.lists(st.floats(1e-6, 1), min_size=4, max_size=4),
    st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
    st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
)
def test_bayes_rule_in_each_frame(p, pi, q):
    p, pi, q = (np.array(one) / np.sum(one) for one in (p, pi, q))
    tagger = Given([p], card={"prior": dict(zip(LABELS, pi.tolist(), strict=True))})
    found = posteriors(reweighted(tagger, dict(zip(LABELS, q.tolist(), strict=True))))
    expected = p * q / pi
    assert found.dtype == np.float32
    assert found[0] == pytest.approx(expected / expected.sum(), rel=1e-4, abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.floats(1e-4, 1), min_size=4, max_size=4), st.floats(0.01, 100))
def test_sensitivity_multiplies_the_odds_against_neutral(p, factor):
    p = np.array(p) / np.sum(p)
    found = posteriors(reweighted(Given([p]), sensitivity=factor)).astype(np.float64)[0]
    assert found.sum() == pytest.approx(1, abs=1e-6)
    assert found[1:] / found[0] == pytest.approx(factor * p[1:] / p[0], rel=1e-3)


def test_the_labels_left_out_keep_their_proportions():
    pi = np.array([0.4, 0.3, 0.2, 0.1])
    assert complete_prior({"neutral": 0.7}, LABELS, pi) == pytest.approx([0.7, 0.15, 0.1, 0.05])
    assert complete_prior({"neutral": 1}, LABELS, pi).tolist() == [1, 0, 0, 0]
    assert complete_prior({"sad": 0}, LABELS, UNIFORM) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


def test_a_label_with_a_prior_of_0_never_appears():
    rows = [[0.2, 0.2, 0.5, 0.1], [0.0, 0.0, 1.0, 0.0]]
    found = posteriors(reweighted(Given(rows), "angry=0"))
    assert found[0] == pytest.approx([0.4, 0.4, 0.0, 0.2])
    assert found[1] == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3])  # nothing is known but the prior


def test_what_changes_nothing_is_the_tagger_itself():
    tagger = Given([UNIFORM], card={"prior": {"neutral": 0.7, "happy": 0.1, "angry": 0.1, "sad": 0.1}})
    for prior, sensitivity in ((None, None), (None, 1), ("neutral=0.7", None)):
        assert reweighted(tagger, prior, sensitivity) is tagger
    assert reweighted(Given([UNIFORM]), "neutral=0.25") is not tagger
    assert model_prior(Given([UNIFORM])).tolist() == UNIFORM.tolist()


def test_a_reweighted_tagger_is_a_tagger_with_the_attributes_of_the_original():
    original = load_tagger()
    tagger = reweighted(original, sensitivity=2)
    assert isinstance(tagger, Tagger) and tagger.settings == {"sensitivity": 2.0}
    assert tagger.card is original.card and tagger.max_samples == original.max_samples
    with pytest.raises(AttributeError, match="nothing"):
        _ = tagger.nothing


@pytest.mark.parametrize(
    ("prior", "text"),
    [
        ("neutral", "prior 'neutral': expected label=probability"),
        ("=0.5", "prior '=0.5': expected label=probability"),
        ("", "prior '': expected label=probability"),
        ("neutral=much", "prior of 'neutral': found 'much', expected a number from 0 to 1"),
        ("neutral=nan", "prior of 'neutral': found nan, expected a number from 0 to 1"),
        ("neutral=-0.1", "found -0.1, expected a number from 0 to 1"),
        ("neutral=0.1,neutral=0.2", "found 'neutral' twice"),
        ("neutral=0.8,sad=0.3", "a prior that sums to 1.1: expected at most 1"),
        ("neutral=0.3,happy=0.2,angry=0.2,sad=0.2", "a prior of all labels that sums to 0.9: expected a sum"),
        ("calm=0.5", "prior of 'calm': expected labels of the tagger, neutral, happy, angry, sad"),
        ({}, "an empty prior"),
        ({"neutral": "0.5"}, "prior of 'neutral': found '0.5', expected a number"),
        ({"neutral": True}, "found True, expected a number"),
    ],
)
def test_invalid_priors_are_rejected(prior, text):
    with pytest.raises(OptionError, match=text):
        reweighted(Given([UNIFORM]), prior)


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf")])
def test_invalid_sensitivities_are_rejected(factor):
    with pytest.raises(OptionError, match="expected a number above 0"):
        reweighted(Given([UNIFORM]), sensitivity=factor)


def test_what_does_not_go_together_is_rejected():
    with pytest.raises(OptionError, match="prior cannot be combined with sensitivity"):
        reweighted(Given([UNIFORM]), "neutral=0.5", 2)
    with pytest.raises(OptionError, match="labels calm, angry: expected neutral among them"):
        reweighted(Given([[0.5, 0.5]], ("calm", "angry")), sensitivity=2)


@pytest.mark.parametrize(
    "prior",
    [
        [0.25] * 4,
        {"neutral": 1},
        dict.fromkeys(LABELS, 0.3),
        dict(zip(LABELS, (1, 0, 0, 0), strict=True)),
        "x",
    ],
)
def test_a_damaged_prior_in_the_card_is_rejected(prior):
    with pytest.raises(ModelError, match="in the tagger's card, expected a probability above 0 of each"):
        reweighted(Given([UNIFORM], card={"prior": prior}), "neutral=0.5")


def test_parse_prior_ignores_blanks():
    assert parse_prior(" neutral = 0.5 , sad=0 ") == {"neutral": 0.5, "sad": 0.0}


def neutral_seconds(result):
    return sum(s.duration for s in result if s.emotion == NEUTRAL)


@pytest.mark.slow
def test_results_are_reweighted_offline_and_live_alike(data):
    path = data / "emodb_15_sad_1.flac"
    shipped, changed = EmotionDiarizer(), EmotionDiarizer(prior={"neutral": 0.9999})
    samples, rate = soundfile.read(path, dtype="float32", frames=shipped.tagger.window)
    before, after = shipped((samples, rate)), changed((samples, rate))
    expected = (
        before.posteriors
        * np.array([0.9999, 0.0001 / 3, 0.0001 / 3, 0.0001 / 3])
        / model_prior(shipped.tagger)
    )
    expected /= expected.sum(1, keepdims=True)
    # A single window, so that nothing is averaged between tagger and result.
    assert np.allclose(after.posteriors, expected, atol=1e-6)
    assert after.settings == {
        "prior": {"neutral": 0.9999, "happy": 0.000033, "angry": 0.000033, "sad": 0.000033}
    }
    assert before.settings == {} and after != before
    assert neutral_seconds(after) > neutral_seconds(before)

    offline = EmotionDiarizer(sensitivity=0.2, latency=1.0)(path)
    stream = EmotionDiarizer(sensitivity=0.2).stream(1.0)
    assert isinstance(stream, StreamingDiarizer) and stream.settings == {"sensitivity": 0.2}
    samples, _ = soundfile.read(path, dtype="float32")
    events = [e for block in np.array_split(samples, 7) for e in stream.push(block)] + stream.close()
    found = [event.segment for event in events if event.final]
    assert found == list(offline) and [s.probabilities for s in found] == [s.probabilities for s in offline]
    assert found != list(EmotionDiarizer(latency=1.0)(path))


@pytest.mark.slow
def test_sed_run_and_sed_live_write_the_setting(data, tmp_path):
    from sed.cli.run import main as run

    angry = str(data / "emodb_15_angry_1.flac")
    for options, expected in (
        (
            ["--prior", "neutral=0.97,sad=0.01"],
            {"prior": {"neutral": 0.97, "happy": 0.01, "angry": 0.01, "sad": 0.01}},
        ),
        (["--sensitivity", "0.5"], {"sensitivity": 0.5}),
        ([], None),
    ):
        done = CliRunner().invoke(run, [angry, *options, "-o", f"{tmp_path}/a.json"])
        assert done.exit_code == 0, done.stderr
        assert json.loads((tmp_path / "a.json").read_text()).get("settings") == expected
        assert read(tmp_path / "a.json").settings == (expected or {})
    done = CliRunner().invoke(
        live, ["--input", angry, "--fast", "-q", "-o", f"{tmp_path}/b.json", "--sensitivity", "2"]
    )
    assert done.exit_code == 0 and read(tmp_path / "b.json").settings == {"sensitivity": 2.0}


@pytest.mark.slow
def test_another_prior_is_another_setting_of_the_journal(data, tmp_path):
    from sed.cli.run import main as run

    call = [str(data / "emodb_15_angry_1.flac"), "-d", str(tmp_path), "--prior"]
    assert CliRunner().invoke(run, [*call, "neutral=0.50"]).exit_code == 0
    again = CliRunner().invoke(run, [*call, "neutral=.5"])
    assert again.exit_code == 0 and "1 done before" in again.stderr
    other = CliRunner().invoke(run, [*call, "neutral=0.6"])
    assert other.exit_code == 2 and "(prior: {'neutral': 0.5}, now {'neutral': 0.6})" in other.stderr


def test_the_fingerprint_has_the_setting():
    assert fingerprint({"sensitivity": 2.0})["sensitivity"] == 2.0
    assert fingerprint({"prior": {"neutral": 0.5}}) != fingerprint({"prior": None}) == fingerprint({})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--prior", "neutral=2"], "found 2.0, expected a number from 0 to 1"),
        (["--prior", "calm=0.5"], "prior of 'calm': expected labels of the tagger"),
        (["--sensitivity", "0"], "a sensitivity of 0.0: expected a number above 0"),
        (["--prior", "sad=0.1", "--sensitivity", "2"], "prior cannot be combined with sensitivity"),
    ],
)
def test_wrong_usage_of_sed_run(data, options, text):
    from sed.cli.run import main as run

    result = CliRunner().invoke(run, [str(data / "emodb_15_angry_1.flac"), *options])
    assert result.exit_code == 2 and text in result.stderr and result.stdout == ""
