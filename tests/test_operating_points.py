"""Operating points of the benchmarks: what is replayed from one run is what the diarizer gives."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.accuracy.operating import prior_change, record, seconds_by_label, uncalibrated, unchanged
from sed import EmotionDiarizer
from sed.emotion.priors import complete_prior, model_prior


@pytest.fixture(scope="module")
def diarizer():
    return EmotionDiarizer()


@pytest.mark.slow
def test_replayed_segments_are_those_of_the_diarizer(diarizer, data):
    clip = data / "ami_trn00.flac"
    expected = diarizer(clip)
    assert len(expected.segments) > 3
    recorded = record(diarizer, "meetings", clip)
    assert recorded.segments(diarizer, unchanged) == list(expected.segments)
    old = model_prior(diarizer.tagger)
    change = prior_change(old, complete_prior({"neutral": 0.1}, diarizer.labels, old))
    moved = seconds_by_label(recorded.segments(diarizer, change))
    direct = seconds_by_label(EmotionDiarizer(prior={"neutral": 0.1})(clip))
    # Windows are joined before, not after: whether two of them agree depends on the prior.
    assert moved["neutral"] == pytest.approx(direct["neutral"], abs=0.5)
    assert moved["neutral"] < seconds_by_label(expected)["neutral"] - 1


def test_calibration_can_be_undone(diarizer):
    card = diarizer.tagger.card
    logits = np.random.default_rng(0).normal(0, 2, (50, 4))
    plain = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    scaled = np.exp(logits / card["temperature"] + card["offsets"])
    shipped = scaled / scaled.sum(1, keepdims=True)
    assert np.abs(shipped - plain).max() > 0.3
    assert uncalibrated(card)(shipped) == pytest.approx(plain, abs=1e-4)
