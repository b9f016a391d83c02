"""`Segment` and `Diarization`: equality, order, views, and invalid values."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sed.errors import FormatError, MissingDependencyError, OptionError
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


spans = st.tuples(st.integers(0, 40), st.integers(1, 20)).map(lambda p: Segment(p[0] / 4, (p[0] + p[1]) / 4))


@given(a=spans, b=spans, time=st.integers(0, 240))
def test_algebra_of_segments_agrees_with_sets_of_times(a, b, time):
    common = a & b
    assert (common is not None) == a.overlaps(b) == b.overlaps(a)
    moment = time / 4
    assert (moment in a and moment in b) == (common is not None and moment in common)
    if common is not None:
        assert common in a and common in b and (common.start, common.end) == ((b & a).start, (b & a).end)
    assert (b in a) == (common is not None and (common.start, common.end) == (b.start, b.end))


def test_an_intersection_keeps_what_the_left_side_knows():
    left = Segment(0, 3, "a", "sad", 0.7, {"sad": 0.7}, {"arousal": 0.2})
    part = left & Segment(1, 9, "b", "angry")
    assert (part.start, part.end, part.speaker, part.emotion, part.confidence) == (1, 3, "a", "sad", 0.7)
    assert part.probabilities == {"sad": 0.7} and part.dimensions == {"arousal": 0.2}
    with pytest.raises(TypeError):
        left & 3


FULL = Diarization(
    "call.wav",
    4.0,
    [Segment(0, 2.5, "a", "sad", 0.7, {"sad": 0.7, "neutral": 0.3}, {"arousal": 0.25}), Segment(2.5, 3)],
    ("neutral", "sad"),
    dimensions=("arousal",),
)


def test_a_frame_has_every_value_once():
    frame = FULL.to_frame()
    assert list(frame) == [
        *("recording", "start", "end", "duration", "speaker", "emotion", "confidence"),
        *("p_neutral", "p_sad", "d_arousal"),
    ]
    assert frame.iloc[0].to_list() == ["call.wav", 0, 2.5, 2.5, "a", "sad", 0.7, 0.3, 0.7, 0.25]
    assert frame.iloc[1][["speaker", "emotion", "confidence", "p_sad", "d_arousal"]].isna().all()
    empty = Diarization("x", 1.0, []).to_frame()
    assert len(empty) == 0 and str(empty.dtypes["start"]) == "float64"
    with pytest.raises(OptionError, match="index 'file': expected None or 'audformat'"):
        FULL.to_frame("file")


@pytest.mark.parametrize("result", [FULL, Diarization("x", 1.0, [])])
def test_the_index_is_audformats(result):
    import audformat
    import pandas

    frame = result.to_frame("audformat")
    expected = audformat.segmented_index(
        [result.uri] * len(result), [s.start for s in result], [s.end for s in result]
    )
    pandas.testing.assert_index_equal(frame.index, expected)
    audformat.assert_index(frame.index)


def test_without_pandas_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'speech-emotion-diarization\[frame\]'"):
        FULL.to_frame()


def test_a_notebook_shows_a_timeline_and_escaped_names():
    hostile = "<script>alert(1)</script>"
    result = Diarization(hostile, 60.0, [Segment(n, n + 1, hostile, "sad'\"<b>") for n in range(30)])
    text = result._repr_html_()
    document = ElementTree.fromstring(text.replace("&nbsp;", " ").replace("&middot;", "·"))
    assert len([e for e in document.iter("rect") if e.find("title") is not None]) == 30
    assert not list(document.iter("script")) and "and 18 more" in text
    assert len(list(document.iter("tr"))) == 13
    assert "<svg" in Diarization("silence", 0.0, [])._repr_html_()
