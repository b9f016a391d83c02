"""Ambiguous names: recordings of one name in different folders, labels named like columns."""

from __future__ import annotations

import io

import pytest

from sed import formats
from sed.errors import FormatError
from sed.result import Diarization, Segment

EMOTIONML = '<emotionml xmlns="http://www.w3.org/2009/10/emotionml">{}</emotionml>'
EMOTION = '<emotion><category name="sad"/><reference uri="{}#t=0,1"/></emotion>'


@pytest.mark.parametrize(
    ("name", "content", "position"),
    [
        ("a.csv", "file,start,end\nx/a.wav,0,1\ny/a.wav,1,2\n", "line 3"),
        ("a.emotionml", EMOTIONML.format(EMOTION.format("x/a.wav") + EMOTION.format("y/a.wav")), "emotion 2"),
    ],
)
def test_files_of_one_name_are_not_merged(tmp_path, name, content, position):
    (tmp_path / name).write_text(content)
    expected = f"{position}: found y/a.wav and x/a.wav, which are both named a"
    with pytest.raises(FormatError, match=expected):
        formats.read_all(tmp_path / name)
    (tmp_path / name).write_text(content.replace("y/a.wav", "x/a.wav"))
    assert [(d.uri, len(d)) for d in formats.read_all(tmp_path / name)] == [("a", 2)]


def test_a_label_with_the_name_of_a_csv_column():
    segment = Segment(0, 1, "ann", "speaker", 0.5, {"speaker": 0.5, "sad": 0.5})
    with pytest.raises(FormatError, match="a label is named 'speaker'"):
        formats.dumps(Diarization("call", 1.0, [segment], ("speaker", "sad")), "csv")


def test_an_unknown_emotion_in_speechbrain(tmp_path):
    """null is an unknown emotion, not the emotion "None"."""
    path = tmp_path / "a.speechbrain.json"
    path.write_text(
        '{"a.wav": [{"start": 0, "end": 1, "emotion": null}, {"start": 1, "end": 2, "emotion": "h"}]}'
    )
    assert [s.emotion for s in formats.read(path)] == [None, "happy"]
    path.write_text('{"a.wav": [{"start": 0, "end": 1, "emotion": 3}]}')
    with pytest.raises(FormatError, match="found emotion 3, expected text"):
        formats.read(path)


@pytest.mark.parametrize("name", ["audacity", "textgrid", "webvtt", "eaf"])
def test_a_name_that_means_unknown_is_refused(name):
    for who, what in (("<NA>", "sad"), ("ann", " <NA> ")):
        with pytest.raises(FormatError, match="not blank and not <NA>"):
            formats.dumps(Diarization("call", 1.0, [Segment(0, 1, who, what)]), name)


@pytest.mark.parametrize("speaker", [None, "ann"])
def test_an_emotion_that_would_become_a_speaker_in_audacity(speaker):
    with pytest.raises(FormatError, match="found the emotion 'very: sad'"):
        formats.dumps(Diarization("call", 1.0, [Segment(0, 1, speaker, "very: sad")]), "audacity")
    named = Diarization("call", 1.0, [Segment(0, 1, "Dr: Ann", "sad")])
    (found,) = formats.read_all(io.StringIO(formats.dumps(named, "audacity").decode()), "audacity")
    assert found.segments == named.segments
