"""WebVTT of other programs: several voice tags in a cue, cues without empty lines, invalid times."""

from __future__ import annotations

import io

import pytest

from sed import formats
from sed.errors import FormatError


def facts(text):
    (found,) = formats.read_all(io.StringIO(text), "webvtt")
    return [(s.start, s.end, s.speaker, s.emotion) for s in found]


def test_every_voice_tag_of_a_cue_is_a_segment():
    text = "WEBVTT\n\n00:03.000 --> 00:04.000\n<v Ann>sad</v>\n<v.loud Bob &amp; Co>happy <i>!</i></v>\n"
    assert facts(text) == [(3.0, 4.0, "Ann", "sad"), (3.0, 4.0, "Bob & Co", "happy !")]
    assert facts(text.replace("<v Ann>sad</v>", "angry")) == [
        (3.0, 4.0, None, "angry"),
        (3.0, 4.0, "Bob & Co", "happy !"),
    ]
    assert facts(text.replace("Bob &amp; Co", "Ann")) == [(3.0, 4.0, "Ann", "sad\nhappy !")]
    assert facts("WEBVTT\n\n00:03.000 --> 00:04.000\n") == [(3.0, 4.0, None, None)]


def test_cues_need_no_blanks_and_no_empty_line():
    """As in browsers, any line with an arrow starts a cue."""
    text = "WEBVTT x\nKind: captions\n\na\nb\n00:01.000-->00:02.000 line:0\nsad\n00:02.000 --> 00:03.000\nhappy\n"
    assert facts(text) == [(1.0, 2.0, None, "sad"), (2.0, 3.0, None, "happy")]


@pytest.mark.parametrize(
    "times", ["00:01,000 --> 00:02,000", "00:01.0 --> 00:02.0", "00:01.000 --> 00:99.000", "1 --> 2", "-->"]
)
def test_invalid_times_are_refused_with_their_line(times):
    text = f"WEBVTT\n\n00:00.000 --> 00:01.000\nsad\n\n{times}\nhappy\n"
    with pytest.raises(
        FormatError, match=r"stream, line 6: found '.*', expected times such as 00:01.000 -->"
    ):
        facts(text)
    with pytest.raises(FormatError, match=r"line 3: segment from 5.0 to 4.0 s"):
        facts("WEBVTT\n\n00:05.000 --> 00:04.000\nsad\n")
    with pytest.raises(FormatError, match="starts with WEBVTT"):
        facts("WEBVTTX\n")
