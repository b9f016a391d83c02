"""Written transcripts: exact words and times, read back by the readers of others."""

import copy
import io
import json
import re

import pytest

from sed import Diarization, Segment, formats
from sed.errors import OptionError
from sed.palette import luminance
from sed.transcripts import FORMATS, add_words, dumps, read_transcript, write

SOURCE = {
    "segments": [
        {
            "start": 0.009,
            "end": 3.3,
            "text": " Oh <b> & {dear}. Yes?",
            "avg_logprob": -0.5,
            "speaker": "SPEAKER_07",
            "words": [
                {"word": "Oh", "start": 0.009, "end": 0.131, "score": 0.9, "speaker": "SPEAKER_07"},
                {"word": "<b>", "start": 0.2, "end": 0.3, "score": 0.9},
                {"word": "&"},
                {"word": "{dear}.", "start": 0.4, "end": 1.0, "score": 0.9},
                {"word": "Yes?", "start": 2.9001, "end": 3.3, "score": 0.9},
            ],
        },
        {"start": 8.0, "end": 8.0, "text": "Ende\n\nso."},
    ],
    "language": "en",
}
RESULT = Diarization(
    "my call",
    9.0,
    [
        Segment(0, 2, "Ann <A>", "sad", 0.75, {"neutral": 0.25, "sad": 0.75}),
        Segment(2, 4, "bob, jr", "very.happy", 0.5, {"neutral": 0.5, "sad": 0.5}),
    ],
    ("neutral", "sad"),
)


@pytest.fixture
def joined(tmp_path):
    (tmp_path / "in.json").write_text(json.dumps(SOURCE), encoding="utf-8")
    return add_words(RESULT, tmp_path / "in.json")


def stripped(row):
    return {k: v for k, v in row.items() if k not in ("speaker", "emotion", "probabilities")}


def test_json_is_the_input_with_speakers_and_emotions(joined):
    data = json.loads(dumps(joined, "json"))
    expected = copy.deepcopy(SOURCE)
    assert data["language"] == "en" and data["word_segments"] == data["segments"][0]["words"]
    for row, source in zip(data["segments"], expected["segments"], strict=True):
        words, own = row.pop("words", []), source.pop("words", [])
        assert stripped(row) == stripped(source)
        assert [stripped(w) for w in words] == [stripped(w) for w in own]
    first, last = data["word_segments"][0], data["word_segments"][-1]
    assert (first["speaker"], first["emotion"]) == ("Ann <A>", "sad")
    assert first["probabilities"] == {"neutral": 0.25, "sad": 0.75}
    assert (last["speaker"], last["emotion"]) == ("bob, jr", "very.happy")
    assert "speaker" not in data["segments"][1] and data["segments"][0]["speaker"] == "Ann <A>"


def test_json_is_read_again(joined, tmp_path):
    write(joined, tmp_path / "out.json")
    again = read_transcript(tmp_path / "out.json")
    assert [(w.text, w.start, w.end) for w in again.words] == [(w.text, w.start, w.end) for w in joined.words]


def test_webvtt_names_speakers_and_colours_emotions(joined):
    webvtt = pytest.importorskip("webvtt")
    text = dumps(joined, "webvtt").decode()
    captions = list(webvtt.from_buffer(io.StringIO(text)))
    assert [(c.start, c.end) for c in captions] == [
        ("00:00:00.009", "00:00:01.000"),
        ("00:00:02.900", "00:00:03.300"),
        ("00:00:08.000", "00:00:08.001"),
    ]
    assert "<v.sad Ann &lt;A&gt;>Oh &lt;b&gt; &amp; {dear}.\n" in text
    assert "<v.very-happy bob, jr>Yes?\n" in text and text.endswith("\nEnde\nso.\n")
    assert "::cue(.sad) { color: #" in text and "::cue(.very-happy)" in text


def test_webvtt_is_read_again(joined, tmp_path):
    write(joined, tmp_path / "out.vtt")
    texts = [s.text for s in read_transcript(tmp_path / "out.vtt").sentences]
    assert texts == ["Oh <b> & {dear}.", "Yes?", "Ende\nso."]


def test_seglst_is_what_meeteval_reads(joined, tmp_path):
    meeteval = pytest.importorskip("meeteval")
    write(joined, tmp_path / "out.seglst.json")
    rows = meeteval.io.SegLST.load(tmp_path / "out.seglst.json")
    assert [(r["session_id"], r["speaker"], float(r["start_time"]), r["words"]) for r in rows] == [
        ("my call", "Ann <A>", 0.009, "Oh <b> & {dear}."),
        ("my call", "bob, jr", 2.9001, "Yes?"),
        ("my call", "<NA>", 8.0, "Ende\n\nso."),
    ]
    assert rows[0]["emotion"] == "sad"


def test_srt(joined, tmp_path):
    write(joined, tmp_path / "out.srt")
    assert [(s.start, s.end, s.text) for s in read_transcript(tmp_path / "out.srt").sentences] == [
        (0.009, 1.0, "Ann <\u2060A> (sad): Oh <\u2060b> & {dear}."),
        (2.9, 3.3, "bob, jr (very.happy): Yes?"),
        (8.0, 8.001, "Ende\nso."),
    ]


def test_ass_has_a_style_for_each_emotion_and_escapes_its_codes(joined):
    text = dumps(joined, "ass").decode()
    header = re.search(r"^Format: (Name.*)$", text, re.M)[1].split(", ")
    styles = [
        dict(zip(header, line.split(","), strict=True)) for line in re.findall(r"^Style: (.*)$", text, re.M)
    ]
    assert [style["Name"] for style in styles] == ["sad", "very.happy", "unknown"]
    assert all(re.fullmatch(r"&H00[0-9A-F]{6}", style["PrimaryColour"]) for style in styles)
    events = [line.split(",", 9) for line in re.findall(r"^Dialogue: (.*)$", text, re.M)]
    assert [event[1:5] for event in events] == [
        ["0:00:00.01", "0:00:01.00", "sad", "Ann <A>"],
        ["0:00:02.90", "0:00:03.30", "very.happy", "bob; jr"],
        ["0:00:08.00", "0:00:08.01", "unknown", ""],
    ]
    assert [event[9] for event in events] == [
        "Ann <A> (sad): Oh <b> & \\{dear\\}.",
        "bob, jr (very.happy): Yes?",
        "Ende\\Nso.",
    ]


@pytest.mark.parametrize("name", ["srt", "ass"])
def test_captions_without_words_show_the_emotion(name):
    text = formats.dumps(RESULT, name).decode()
    assert "A>: sad" in text and "bob, jr: very.happy" in text


def test_text_in_captions_is_legible_on_black(joined):
    for shown in re.findall(r"#[0-9a-f]{6}", dumps(joined, "webvtt").decode()):
        assert (luminance(shown) + 0.05) / 0.05 >= 4.5


def test_formats_that_hold_words_are_formats(joined):
    assert set(FORMATS) <= set(formats.names())
    with pytest.raises(
        OptionError, match="'rttm' holds no words: expected one of json, webvtt, seglst, srt, ass"
    ):
        dumps(joined, "rttm")
