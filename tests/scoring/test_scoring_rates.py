"""Error rates check their parts and are combined by summing."""

from __future__ import annotations

import numpy as np
import pytest

from sed.errors import OptionError
from sed.result import Segment
from sed.scoring import ConfusionMatrix, EmotionErrorRate, JointErrorRate, SpeakerErrorRate, eder


def test_parts_that_do_not_add_up_are_refused():
    EmotionErrorRate(correct=5, total=10, false_alarm=1, missed_emotion=2, confusion=2, overlap=99)
    with pytest.raises(OptionError, match=r"expected the total, 10 s"):
        EmotionErrorRate(correct=5, total=10, false_alarm=1, missed_emotion=2, confusion=1)
    with pytest.raises(OptionError, match="0 or more"):
        SpeakerErrorRate(correct=11, total=10, confusion=-1)
    with pytest.raises(OptionError, match="finite"):
        SpeakerErrorRate(correct=float("nan"), total=1)
    with pytest.raises(OptionError):
        JointErrorRate(correct=5, total=10, speaker_confusion=2, emotion_confusion=2)


def test_the_sum_is_the_pooled_rate():
    rates = [SpeakerErrorRate(5, 10, 0, 5, 0), SpeakerErrorRate(100, 100, 1, 0, 0)]
    pooled = sum(rates)
    assert pooled == SpeakerErrorRate(105, 110, 1, 5, 0)
    assert pooled.rate == 6 / 110
    with pytest.raises(TypeError):
        rates[0] + EmotionErrorRate(1, 1)
    assert pooled.to_dict()["missed_detection"] == 5


def test_nothing_to_score():
    assert SpeakerErrorRate(0, 0).rate == 0
    assert SpeakerErrorRate(0, 0, false_alarm=3).rate == 1


def test_matrices_of_different_labels_add():
    first = eder([Segment(0, 2, emotion="sad")], [Segment(0, 1, emotion="zeal")], duration=4)
    second = eder([Segment(0, 2, emotion="happy")], [Segment(0, 1, emotion="sad")], duration=4)
    both = (first + second).matrix
    assert both.labels == ("neutral", "happy", "sad", "zeal")
    assert (both["sad", "zeal"], both["happy", "sad"], both["sad", "neutral"]) == (1, 1, 1)
    assert both["neutral", "neutral"] == 4
    assert both.seconds.sum() == 8
    assert (ConfusionMatrix() + both).labels == both.labels
    np.testing.assert_array_equal((both + ConfusionMatrix()).seconds, both.seconds)


def test_per_label_scores():
    result = eder(
        [Segment(0, 4, emotion="sad")],
        [Segment(1, 3, emotion="sad"), Segment(3, 6, emotion="happy")],
        duration=10,
    )
    sad = result.matrix.scores("sad")
    assert (sad["precision"], sad["recall"], sad["f1"], sad["error_rate"]) == (1, 0.5, 2 / 3, 0.5)
    happy = result.matrix.scores("happy")
    assert happy["hypothesis"] == 3
    assert np.isnan(happy["recall"])
    assert happy["precision"] == 0
