"""Formats: round trips, reading in other tools, and one-sentence errors on invalid files."""

import io
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed import formats
from sed.errors import FormatError, OptionError
from sed.result import Diarization, Segment

LABELS = ("neutral", "happy", "angry", "sad")
CALL = Diarization(
    "call",
    12.5,
    [
        Segment(
            0.0, 3.0, "spk00", "neutral", 0.75, {"neutral": 0.75, "happy": 0.1, "angry": 0.1, "sad": 0.05}
        ),
        Segment(
            2.5, 6.02, "spk01", "angry", 0.9, {"neutral": 0.05, "happy": 0.03, "angry": 0.9, "sad": 0.02}
        ),
        Segment(6.02, 8.0, "spk01", "sad", 0.5, {"neutral": 0.3, "happy": 0.1, "angry": 0.1, "sad": 0.5}),
    ],
    LABELS,
)


def text_of(diarization, name):
    out = io.StringIO()
    formats.write(diarization, out, name)
    return out.getvalue()


def round_trip(diarization, name, folder):
    path = folder / f"{diarization.uri}{formats.suffix(name)}"
    formats.write(diarization, path, name)
    return formats.read(path)


names = st.text("abcdefgh-_.0123456789é漢", min_size=1, max_size=8).filter(lambda t: t.strip("."))
milliseconds = st.integers(0, 5_000_000)


@st.composite
def diarizations(draw):
    segments = []
    for start, length in draw(st.lists(st.tuples(milliseconds, st.integers(1, 90_000)), max_size=6)):
        confidence = draw(st.none() | st.integers(0, 100))
        segments.append(
            Segment(
                start / 1000,
                (start + length) / 1000,
                draw(names),
                draw(st.sampled_from(LABELS)),
                None if confidence is None else confidence / 100,
            )
        )
    return Diarization(draw(names), 6000.0, segments, LABELS)


@pytest.mark.parametrize("name", ["rttm", "json", "jsonl", "seglst", "csv"])
@settings(max_examples=30, deadline=None)
@given(result=diarizations())
def test_round_trip(name, result, tmp_path_factory):
    path = tmp_path_factory.mktemp("round") / f"x{formats.suffix(name)}"
    formats.write(result, path, name)
    found = formats.read_all(path)
    if not len(result):
        assert all(len(d) == 0 for d in found)
        return
    (found,) = found
    assert found.segments == result.segments
    assert found.uri == result.uri
    if name.startswith("json"):
        assert found == result


def test_json_keeps_everything(tmp_path):
    posteriors = np.random.default_rng(0).dirichlet(np.ones(4), 625).astype(np.float32)
    full = Diarization("call", 12.5, CALL.segments, LABELS, posteriors)
    for name in ("json", "jsonl"):
        found = round_trip(full, name, tmp_path)
        assert (found.uri, found.duration, found.labels, found.segments) == (
            "call",
            12.5,
            LABELS,
            CALL.segments,
        )
        assert [s.probabilities for s in found] == [s.probabilities for s in CALL]
        assert np.abs(found.posteriors - posteriors).max() <= 1e-5


@pytest.mark.parametrize("name", ["audacity", "textgrid", "webvtt", "eaf", "emotionml"])
def test_speaker_emotion_and_time_survive(name, tmp_path):
    found = round_trip(CALL, name, tmp_path)
    expected = [(s.start, s.end, s.speaker, s.emotion) for s in CALL]
    assert [(s.start, s.end, s.speaker, s.emotion) for s in found] == expected


def test_probabilities_survive_csv_and_seglst(tmp_path):
    for name in ("csv", "seglst"):
        assert [s.probabilities for s in round_trip(CALL, name, tmp_path)] == [s.probabilities for s in CALL]


def test_the_exact_text_of_rttm():
    assert text_of(CALL, "rttm").splitlines() == [
        "SPEAKER call 1 0.000 3.000 neutral <NA> spk00 0.75 <NA>",
        "SPEAKER call 1 2.500 3.520 angry <NA> spk01 0.90 <NA>",
        "SPEAKER call 1 6.020 1.980 sad <NA> spk01 0.50 <NA>",
    ]


def test_rttm_with_other_lines_and_without_emotions(tmp_path):
    path = tmp_path / "x.rttm"
    path.write_text(
        ";; a comment\nSPKR-INFO a 1 <NA> <NA> <NA> unknown ann <NA> <NA>\n\n"
        "SPEAKER a 1 1.5 0.5 <NA> <NA> ann <NA>\nSPEAKER b 1 0 0 <NA> <NA> bob <NA> <NA>\n"
    )
    a, b = formats.read_all(path)
    assert (a.uri, a.segments) == ("a", (Segment(1.5, 2.0, "ann"),))
    assert (b.uri, b.segments) == ("b", ())
    with pytest.raises(FormatError, match=r"found 2 recordings \(a, b\), expected one"):
        formats.read(path)


def test_no_line_of_zero_length():
    tiny = Diarization("x", 1.0, [Segment(0.1, 0.1004, "a", "sad")])
    assert text_of(tiny, "rttm") == ""


@pytest.mark.parametrize("field", ["uri", "speaker", "emotion"])
def test_rttm_escapes_blanks_and_refuses_empty_names(field):
    def result(value):
        names = {"uri": "a", "speaker": "b", "emotion": "c"} | {field: value}
        return Diarization(names["uri"], 1.0, [Segment(0, 1, names["speaker"], names["emotion"])])

    text = text_of(result("two words"), "rttm")
    assert text.split().count("two%20words") == 1 and len(text.split()) == 10
    assert formats.read_all(io.StringIO(text), "rttm") == [result("two words")]
    with pytest.raises(
        FormatError, match=f"found an empty name of the {field if field != 'uri' else 'recording'}, expected"
    ):
        text_of(result(""), "rttm")


def test_pyannote_and_meeteval_read_the_rttm_as_speakers(tmp_path):
    import meeteval
    from pyannote.database import util

    path = tmp_path / "call.rttm"
    formats.write(CALL, path)
    annotation = util.load_rttm(path)["call"]
    assert annotation.label_duration("spk01") == pytest.approx(5.5)
    rows = meeteval.io.RTTM.load(path)
    assert [(r.speaker_id, float(r.begin_time), float(r.duration)) for r in rows] == [
        ("spk00", 0.0, 3.0),
        ("spk01", 2.5, 3.52),
        ("spk01", 6.02, 1.98),
    ]


def test_meeteval_reads_the_seglst(tmp_path):
    import meeteval

    path = tmp_path / "call.seglst.json"
    formats.write(CALL, path)
    rows = meeteval.io.SegLST.load(path)
    assert [(r["speaker"], float(r["end_time"]), r["emotion"]) for r in rows] == [
        ("spk00", 3.0, "neutral"),
        ("spk01", 6.02, "angry"),
        ("spk01", 8.0, "sad"),
    ]


def test_audformat_reads_the_csv(tmp_path):
    from audformat import utils

    path = tmp_path / "call.csv"
    formats.write(CALL, path)
    table = utils.read_csv(path)
    assert table.index.names == ["file", "start", "end"]
    assert list(table.index.get_level_values("end").total_seconds()) == [3.0, 6.02, 8.0]
    assert list(table["emotion"]) == ["neutral", "angry", "sad"]


def test_praatio_reads_the_textgrid(tmp_path):
    from praatio import textgrid

    path = tmp_path / "call.textgrid"
    formats.write(CALL, path)
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
    assert grid.tierNames == ("spk00", "spk01") and grid.maxTimestamp == 12.5
    rows = [(r.start, r.end, r.label) for r in grid.getTier("spk01").entries]
    assert rows == [(0, 2.5, ""), (2.5, 6.02, "angry"), (6.02, 8.0, "sad"), (8.0, 12.5, "")]


def test_a_textgrid_of_praatio_is_read(tmp_path):
    from praatio import textgrid

    grid = textgrid.Textgrid()
    grid.addTier(textgrid.IntervalTier('ann "the boss"', [(0.5, 1.5, "sad")], 0, 3))
    grid.addTier(textgrid.PointTier("clicks", [(1.0, "x")], 0, 3))
    for kind in ("long_textgrid", "short_textgrid"):
        path = tmp_path / f"{kind}.textgrid"
        grid.save(str(path), format=kind, includeBlankSpaces=True)
        found = formats.read(path)
        assert found.segments == (Segment(0.5, 1.5, 'ann "the boss"', "sad"),) and found.duration == 3


def test_webvtt_with_special_characters_is_read_by_other_tools(tmp_path):
    import webvtt

    odd = Diarization("x", 4000.0, [Segment(3661.5, 3662.25, "A & B <x>", "sad")])
    path = tmp_path / "x.vtt"
    formats.write(odd, path)
    (cue,) = webvtt.read(str(path))
    assert (cue.start, cue.end) == ("01:01:01.500", "01:01:02.250")
    assert formats.read(path).segments == odd.segments


def test_json_formats_are_distinguished(tmp_path):
    zed = tmp_path / "ZED.json"
    zed.write_text(
        '{"id_1": {"wav": "x.wav", "duration": 5.0, "emotion": [{"emo": "happy", "start": 1, "end": 2}]}}'
    )
    assert formats.read(zed) == Diarization("id_1", 5.0, [Segment(1, 2, None, "happy")])
    brain = tmp_path / "predictions.json"
    brain.write_text(
        '{"/a/b/f.wav": [{"start": 0, "end": 1.9, "emotion": "n"}, {"start": 1.9, "end": 4, "emotion": "s"}]}'
    )
    assert [(s.end, s.emotion) for s in formats.read(brain)] == [(1.9, "neutral"), (4, "sad")]
    assert formats.read(brain).uri == "f"
    meeting = tmp_path / "meeting.json"
    meeting.write_text(text_of(CALL, "seglst"))
    assert formats.read(meeting).segments == CALL.segments


def test_a_failed_write_leaves_no_file(tmp_path):
    path = tmp_path / "x.rttm"
    path.write_text("before")
    with pytest.raises(FormatError):
        formats.write(Diarization("x", 1.0, [Segment(0, 1, "", "b")]), path)
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["x.rttm"]
    with pytest.raises(FormatError, match=r"x.rttm: cannot be written \(No such file or directory\)"):
        formats.write(CALL, tmp_path / "none" / "x.rttm")
    formats.write(CALL, path)
    assert os.listdir(tmp_path) == ["x.rttm"] and path.read_text().startswith("SPEAKER")
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("name", formats.names())
def test_every_format_writes_an_empty_result(name, tmp_path):
    path = tmp_path / f"x{formats.suffix(name)}"
    formats.write(Diarization("x", 1.0, [], LABELS), path, name)
    if name in formats.readable():
        assert all(len(d) == 0 for d in formats.read_all(path))


BROKEN = [
    (
        "a.rttm",
        "SPEAKER a 1 x 1 <NA> <NA> s <NA> <NA>",
        r"a.rttm, line 1: found start 'x', expected a number",
    ),
    ("a.rttm", "SPEAKER a 1 0 1", r"line 1: found 5 fields, expected 10"),
    (
        "a.rttm",
        "SPEAKER a 1 0 -1 <NA> <NA> s <NA> <NA>",
        r"line 1: found duration -1.0, expected 0 or more seconds",
    ),
    ("a.rttm", "hello there", r"line 1: found type 'hello', expected SPEAKER"),
    ("a.json", "{", r"a.json: not JSON"),
    ("a.json", "{}", r'expected an object with "format": "sed"'),
    (
        "a.json",
        '{"format": "sed", "uri": "x", "duration": -1, "segments": []}',
        r"duration of -1.0 s, expected 0 or",
    ),
    ("a.json", '{"format": "sed", "uri": "x"}', r"expected a field 'duration'"),
    ("a.jsonl", '{"format": "sed"}\n', r"line 1: expected a field 'uri'"),
    ("a.seglst.json", '[{"speaker": "a"}]', r"segment 1: expected an object with session_id"),
    ("a.csv", "start,end\n1,2\n", r"found no column file, expected file, start and end"),
    ("a.csv", "file,start,end\na,soon,2\n", r"line 2: found time 'soon', expected '0 days"),
    ("a.txt", "1 2\n", r"line 1: found 1 fields, expected start, end and label separated by tabs"),
    (
        "a.txt",
        "1 2 sad\n",
        r"a.txt: found only integer times, which may be seconds, milliseconds or samples",
    ),
    ("a.textgrid", "hello", r"the TextGrid is truncated"),
    ("a.vtt", "hello", r"expected a file that starts with WEBVTT"),
    ("a.speechbrain.json", "[]", r"found a JSON list, expected an object with one key per recording"),
    (
        "zed.json",
        '{"a": {"duration": -3, "emotion": []}}',
        r"a: found a duration of -3.0 s, expected 0 or more",
    ),
    ("zed.json", '{"a": {"emotion": []}}', r"a: expected an object with duration and emotion"),
    ("a.xyz", "", r"its suffix is unknown, expected .audacity, .csv"),
]


@pytest.mark.parametrize("name, content, text", BROKEN)
def test_invalid_files_give_one_sentence(tmp_path, name, content, text):
    (tmp_path / name).write_text(content)
    with pytest.raises(FormatError, match=text) as caught:
        formats.read_all(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_text(tmp_path):
    (tmp_path / "x.rttm").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="it is not UTF-8 text"):
        formats.read(tmp_path / "x.rttm")
    with pytest.raises(FormatError, match="No such file"):
        formats.read(tmp_path / "none.rttm")
    with pytest.raises(OptionError, match="format 'xml': expected one of rttm, json"):
        formats.write(CALL, io.StringIO(), "xml")
    with pytest.raises(OptionError, match="a stream needs a format"):
        formats.write(CALL, io.StringIO())
    with pytest.raises(OptionError, match="format zed can only be read"):
        formats.write(CALL, io.StringIO(), "zed")


def test_uem(tmp_path, data):
    assert formats.read_uem(data / "ami_trn00.uem")
    path = tmp_path / "x.uem"
    path.write_text(";; c\na 1 5 6\na 1 0 2.5\nb 1 0 1\n")
    assert formats.read_uem(path) == {"a": [(0, 2.5), (5, 6)], "b": [(0, 1)]}
    path.write_text("a 1 5\n")
    with pytest.raises(FormatError, match="line 1: found 3 fields, expected file, channel, start and end"):
        formats.read_uem(path)
    path.write_text("a 1 5 4\n")
    with pytest.raises(FormatError, match=r"found 5.0 to 4.0 s, expected 0 <= start < end"):
        formats.read_uem(path)
