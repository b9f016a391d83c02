"""`evaluate`: intervals resample speakers, and groups add up."""

from __future__ import annotations

import numpy as np
import pytest

from sed.errors import OptionError
from sed.scoring.evaluation import Prediction, evaluate

LABELS = ("happy", "sad")


def rows(speaker_of):
    """240 utterances of 12 voices, of which six are always wrong; `speaker_of` names the voice's speaker."""
    found = []
    for number in range(240):
        voice, true = number // 20, number % 2
        decided = true if voice < 6 else 1 - true
        posterior = np.where(np.arange(2) == decided, 0.8, 0.2)
        groups = {"gender": "F" if voice % 2 else "M"}
        found.append(Prediction(str(number), LABELS[true], posterior, speaker_of(voice, number), groups))
    return found


def width(predictions, measure="uar"):
    low, high = evaluate(predictions, LABELS).overall.measures[measure].interval
    return high - low


def test_intervals_resample_speakers():
    by_speaker, by_utterance = rows(lambda voice, _: str(voice)), rows(lambda _, number: str(number))
    for measure in ("uar", "accuracy", "weighted_f1", "ece"):
        assert width(by_speaker, measure) > 2.5 * width(by_utterance, measure), measure
    alone = evaluate(rows(lambda *_: "one"), LABELS).overall
    assert alone.speakers == 1 and np.isnan(alone.measures["uar"].interval).all()


def test_groups_add_up():
    found = evaluate(rows(lambda voice, _: str(voice)), LABELS, by=["gender", "language"])
    parts = found.groups["gender"].values()
    assert (sum(part.confusion for part in parts) == found.overall.confusion).all()
    assert sum(part.reliability for part in parts) == pytest.approx(found.overall.reliability)
    assert list(found.groups["language"]) == ["unknown"]
    assert found.over("gender", "accuracy") == pytest.approx((0.5, 0.0))


def test_nothing_to_evaluate():
    with pytest.raises(OptionError, match="found angry, expected some of happy, sad"):
        evaluate([Prediction("1", "angry", np.array([0.5, 0.5]), "a")], LABELS)
