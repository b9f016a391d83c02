"""Transcripts of other tools are read with exact words and times, under any name."""

import json

import pytest

from sed.errors import FormatError
from sed.transcripts import Word, read_transcript

WHISPERX = {
    "segments": [
        {
            "start": 0.009,
            "end": 1.731,
            "text": " It cost $13.60, he said.",
            "avg_logprob": -0.21,
            "words": [
                {"word": "It", "start": 0.009, "end": 0.129, "score": 0.812},
                {"word": "cost", "start": 0.149, "end": 0.47, "score": float("nan")},
                {"word": "$13.60,"},
                {"word": "he", "start": 1.29, "end": 1.37, "score": 0.999, "speaker": "SPEAKER_01"},
                {"word": "said.", "start": 1.431, "end": 1.731, "score": 0.7},
            ],
        }
    ],
    "word_segments": [],
    "language": "en",
}


def read(tmp_path, content, name="a.txt", uri=None):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_transcript(path, uri)


@pytest.mark.parametrize("name", ["call.json", "call", "call.srt"])
def test_whisperx(tmp_path, name):
    found = read(tmp_path, WHISPERX, name)
    (sentence,) = found.sentences
    assert (sentence.start, sentence.end, sentence.text) == (0.009, 1.731, " It cost $13.60, he said.")
    assert sentence.words == (
        Word("It", 0.009, 0.129),
        Word("cost", 0.149, 0.47),
        Word("$13.60,"),
        Word("he", 1.29, 1.37),
        Word("said.", 1.431, 1.731),
    )
    assert sentence.words[1].source["score"] is None and sentence.words[0].source["score"] == 0.812
    assert found.source == {"language": "en"} and found.uri is None


def test_whisper_and_a_list_of_faster_whisper(tmp_path):
    rows = [
        {
            "id": 0,
            "start": 0,
            "end": 2.5,
            "text": " Yes.",
            "words": [{"word": " Yes.", "start": 0, "end": 1, "probability": 1}],
        }
    ]
    whisper = read(tmp_path, {"text": " Yes.", "segments": rows, "language": "en"})
    assert whisper.sentences[0].words == (Word(" Yes.", 0, 1),)
    assert whisper.source == {"text": " Yes.", "language": "en"}
    assert read(tmp_path, rows).sentences == whisper.sentences


def test_words_beside_the_segments_go_to_the_sentence_around_them(tmp_path):
    words = [{"word": w, "start": s, "end": s + 0.4} for w, s in (("one", 0.0), ("two", 1.9), ("three", 2.5))]
    rows = [{"start": 0, "end": 2, "text": "one"}, {"start": 2, "end": 3, "text": "two three"}]
    found = read(tmp_path, {"task": "transcribe", "segments": rows, "words": words})
    assert [[w.text for w in s.words] for s in found.sentences] == [["one"], ["two", "three"]]
    assert [w.start for w in found.words] == [0.0, 1.9, 2.5]


def test_the_faster_whisper_package_writes_what_is_read():
    transcribe = pytest.importorskip("faster_whisper.transcribe")
    from sed.transcripts.engines import transcript_of

    words = [transcribe.Word(0.1, 0.5, " Hallo", 0.75)]
    segment = transcribe.Segment(1, 0, 0.1, 0.5, " Hallo", [1], -0.1, 1.0, 0.01, words, 0.0)
    found = transcript_of([segment], "de", "call")
    assert list(found.words) == [Word(" Hallo", 0.1, 0.5)] and found.source == {"language": "de"}
    assert found.sentences[0].source["avg_logprob"] == -0.1


SRT = (
    "1\n00:00:01,040 --> 00:00:02,500\nWell, <i>you</i>\nknow & so.\n"
    "2\n01:00:03,000 --> 01:00:04,005 X1:0\n{\\an8}Yes.\n"
)
VTT = (
    "WEBVTT - a title\n\nSTYLE\n::cue { color: red }\n\nNOTE 00:09.000 --> 00:10.000\nno cue\n\n"
    "a1\n00:01.000 --> 00:03.000 align:start\n<v Ann>Oh &amp; <00:01.500><c>dear</c> <00:02.250>me</v>\n\n"
    "01:00:00.000 --> 01:00:01.000\n\n\n00:05.000 --> 00:06.000\nBye.\n"
)


@pytest.mark.parametrize("name", ["a.srt", "a.vtt", "a"])
def test_captions(tmp_path, name):
    found = read(tmp_path, SRT, name)
    assert [(s.start, s.end, s.text) for s in found.sentences] == [
        (1.04, 2.5, "Well, you\nknow & so."),
        (3603.0, 3604.005, "Yes."),
    ]
    found = read(tmp_path, VTT, name)
    assert [(s.start, s.end, s.text) for s in found.sentences] == [
        (1.0, 3.0, "Oh & dear me"),
        (5.0, 6.0, "Bye."),
    ]
    assert list(found.words) == [Word("Oh &", 1.0, 1.5), Word("dear", 1.5, 2.25), Word("me", 2.25, 3.0)]


CTM = (
    ";; a comment\ncall A 0.10 0.20 oh 0.5 lex\ncall A 0.30 0.1 dear\ncall A 5.000 0.5 me\ncall B 0.2 3 so\n"
)


def test_ctm_has_exact_ends_and_is_grouped_by_pauses_and_channels(tmp_path):
    found = read(tmp_path, CTM)
    assert [s.text for s in found.sentences] == ["oh dear", "so", "me"] and not found.grouped
    assert [(w.start, w.end) for w in found.sentences[0].words] == [(0.1, 0.3), (0.3, 0.4)]
    assert found.sentences[0].words[0].source["score"] == 0.5
    assert found.uri == "call"


def test_a_ctm_of_several_recordings_is_read_by_name(tmp_path):
    text = "my_call.wav 1 0 1 yes\nother 1 0 1 no\n"
    assert [w.text for w in read(tmp_path, text, uri="other").words] == ["no"]
    assert [w.text for w in read(tmp_path, text, uri="my call").words] == ["yes"]
    with pytest.raises(FormatError, match=r"found 2 recordings \(my_call, other\), expected third"):
        read(tmp_path, text, uri="third")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("one two three", "found no transcript, expected WhisperX's"),
        ("", "found no transcript"),
        ("{", "not JSON"),
        ({"a": 1}, 'found other JSON, expected an object with "segments"'),
        ([{"session_id": "a"}], "segment 1: found start None, expected a number"),
        ({"segments": [{"start": 0, "end": 1}]}, "segment 1: found text None"),
        ({"segments": [{"start": 2, "end": 1, "text": ""}]}, "segment 1: found 2 to 1 s, expected times"),
        ({"segments": [{"start": 0, "end": 1, "text": "", "words": [7]}]}, "segment 1, word 1: found 7"),
        ({"segments": [{"start": 0, "end": 1, "text": "", "words": 7}]}, "segment 1: found words 7"),
        ("WEBVTT\n\n00:01 --> 2\nx\n", "line 3: found '00:01 --> 2', expected times"),
        ("1\n00:00:02,000 --> 00:00:01,000\nx\n", "line 2: .* expected an end that is not before"),
        ("a 1 0 1 b\na 1 0 x b\n", "line 2: found duration 'x', expected a number"),
        ("a 1 0 1 b\na 1 0 -1 b\n", "line 2: found '0 -1', expected times of 0 or more"),
        ("a 1 0 1 b\na 1 0 1\n", "line 2: found 4 fields"),
        ("a 1 1e308 1e308 b\n", "line 1: .* expected an end that is finite"),
        ("WEBVTT\n\n" + "9" * 5000 + ":00:00.000 --> 00:01.000\nx\n", "line 3: .* expected times"),
    ],
)
def test_what_is_no_transcript_is_refused(tmp_path, content, message):
    with pytest.raises(FormatError, match=message):
        read(tmp_path, content)
