"""`Segment` and `Diarization`: equality, order, views, and invalid values."""

import numpy as np
import pytest

from sed.errors import FormatError
from sed.result import Diarization, Segment


@pytest.mark.parametrize("start, end", [(1, 1), (2, 1), (-0.1, 1), (0, float("nan")), (0, float("inf"))])
def test_invalid_times_are_refused(start, end):
    with pytest.raises(FormatError, match="expected finite times with 0 <= start < end"):
        Segment(start, end)


def test_segments_are_values_in_order():
    a, b, c = Segment(0, 1), Segment(0, 1, "a"), Segment(0, 1, "a", "sad")
    assert sorted([c, b, a]) == [a, b, c]
    assert Segment(0, 1, "a", probabilities={"sad": 1.0}) == b
    with pytest.raises(AttributeError):
        a.start = 3


def test_views_are_annotations():
    d = Diarization(
        "x",
        9.0,
        [Segment(0, 2, "a", "sad"), Segment(2, 3, "a", "angry"), Segment(1, 4, "b", "sad"), Segment(5, 6)],
    )
    assert [(s.start, s.end, label) for s, _, label in d.speakers.itertracks(yield_label=True)] == [
        (0, 3, "a"),
        (1, 4, "b"),
    ]
    assert d.emotions.label_duration("sad") == 4  # the union: both are sad from 1 to 2
    assert {track for _, track in d.emotions.itertracks()} == {"a", "b"}
    assert d.speaker_names == ("a", "b")


def test_one_speaker_with_two_emotions_at_once_keeps_both():
    d = Diarization("x", 2.0, [Segment(0, 1, "a", "sad"), Segment(0, 1, "a", "angry")])
    assert sorted(d.emotions.labels()) == ["angry", "sad"]


def test_equality_includes_the_posteriors():
    def make(p):
        return Diarization("x", 1.0, [Segment(0, 1, "a")], ("sad",), p)

    assert make(None) == make(None)
    assert make(np.ones((50, 1))) == make(np.ones((50, 1)))
    assert make(np.ones((50, 1))) != make(np.zeros((50, 1)))
    assert make(np.ones((50, 1))) != make(None)


def test_from_dicts_is_the_inverse_of_to_dict():
    s = Segment(0.5, 1.5, "a", "sad", 0.7, {"sad": 0.7, "neutral": 0.3})
    d = Diarization("x", 2.0, [s], ("sad", "neutral"))
    again = Diarization.from_dicts("x", 2.0, [s.to_dict()], ("sad", "neutral"))
    assert again == d and again.segments[0].probabilities == s.probabilities
    assert Segment(0, 1).to_dict() == {"start": 0, "end": 1}


@pytest.mark.parametrize("duration", [-0.5, float("nan"), float("inf")])
def test_invalid_durations_are_refused(duration):
    with pytest.raises(FormatError, match=r"x: found a duration of .* s, expected 0 or more seconds"):
        Diarization("x", duration, [])
