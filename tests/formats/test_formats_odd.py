"""Unusual names, files and targets: results are read back or refused, and readers raise only `FormatError`."""

import io
import math
import os
import stat
import string
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed import formats
from sed.errors import FormatError, OptionError
from sed.result import Diarization, Segment

LABELS = ("neutral", "happy", "angry", "sad")
ODD = Diarization(
    "odd",
    9.0,
    [
        Segment(0.0, 2.0, "ann", "sad"),
        Segment(1.0, 3.0, "ann", "happy"),  # two emotions at once
        Segment(1.5, 2.5, None, "angry"),
        Segment(4.0, 5.0, "bob", None),
        Segment(6.0, 7.0, None, None),
    ],
)


READABLE = [name for name in formats.readable() if not formats.is_binary(name)]  # the others: test_parquet.py
TEXT = [name for name in formats.names() if name in READABLE]


def text_of(diarization, name):
    out = io.StringIO()
    formats.write(diarization, out, name)
    return out.getvalue()


def read_text(text, name):
    return formats.read_all(io.StringIO(text), name)


def facts(diarization):
    return [(s.start, s.end, s.speaker, s.emotion) for s in diarization]


@pytest.mark.parametrize("name", [n for n in TEXT if n not in ("speechbrain", "emotionml")])
def test_unknown_names_and_overlaps_are_read_back(name):
    (found,) = read_text(text_of(ODD, name), name)
    assert facts(found) == facts(ODD)


def test_formats_without_speakers_or_unknown_emotions():
    (found,) = read_text(text_of(ODD, "speechbrain"), "speechbrain")
    assert [(s.start, s.emotion) for s in found] == [(0.0, "sad"), (1.0, "happy"), (1.5, "angry")]
    with pytest.raises(FormatError, match=r"a segment at 4.0 s has no emotion"):
        text_of(ODD, "emotionml")


odd_names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5) | st.sampled_from(
    [
        "<NA>",
        "a: b",
        "a > b",
        "&amp;",
        'say "hi"',
        "a,b",
        "x.wav",
        "-->",
        "a\tb",
        "NOTE",
        "é",
        "\x85",
        "\ufeff",
        "0",
    ]
)
HARMLESS = set(string.ascii_letters + string.digits + "-_é漢")


@pytest.mark.parametrize("name", TEXT)
@settings(max_examples=40, deadline=None)
@given(uri=odd_names, speaker=odd_names, emotion=odd_names)
def test_any_name_is_read_back_or_refused(name, uri, speaker, emotion):
    """Formats that cannot hold a name refuse or simplify it; nothing else is lost."""
    result = Diarization(uri, 9.0, [Segment(1.0, 2.5, speaker, emotion)])
    harmless = all(set(text) <= HARMLESS for text in (uri, speaker, emotion))
    try:
        (found,) = read_text(text_of(result, name), name)
    except FormatError as error:
        assert not harmless and "\n" not in str(error)
        return
    (segment,) = found
    assert (segment.start, segment.end) == (1.0, 2.5)
    if harmless or name in ("json", "jsonl"):
        own = {"<NA>": None} if name not in ("json", "jsonl") else {}
        letters = {"n": "neutral", "h": "happy", "a": "angry", "s": "sad"} if name == "speechbrain" else {}
        assert segment.emotion == letters.get(emotion, own.get(emotion, emotion)) or emotion == "<NA>"
        if name != "speechbrain":
            assert segment.speaker == own.get(speaker, speaker) or speaker == "<NA>"


SAMPLE = Diarization(
    "call",
    9.0,
    [
        Segment(0.5, 2.0, "ann", "sad", 0.5, dict.fromkeys(LABELS, 0.25)),
        Segment(2.0, 3.5, "bob", "happy", 0.75, dict.fromkeys(LABELS, 0.25)),
    ],
    LABELS,
    np.full((3, 4), 0.25, np.float32),
)
ZED = '{"u1": {"wav": "a.wav", "duration": 5, "emotion": [{"emo": "sad", "start": 1, "end": 2}]}}'
READ_ONLY = {"zed": ZED, "lab": "0.5 1.5 sad\n2.0 3.25 ann: happy\n"}
FRAGMENTS = [
    *'0 - 9 " < > [ ] { } : , . = nan null true 1e999 inf -1 \t \n'.split(" "),
    " ",
    "\ud800",
    "\x00",
    "漢",
    "",
]


@pytest.mark.parametrize("name", READABLE)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(name, data):
    """A file with deletions, repetitions and foreign text is read or refused with `FormatError`."""
    text = READ_ONLY[name] if name in READ_ONLY else text_of(SAMPLE, name)
    for _ in range(data.draw(st.integers(1, 3))):
        first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        if data.draw(st.booleans()):
            last = min(last, first + 3)
        text = text[:first] + data.draw(st.sampled_from(FRAGMENTS)) + text[last:]
    try:
        found = read_text(text, name)
    except FormatError as error:
        assert str(error)
        return
    for item in found:
        assert all(math.isfinite(s.end) for s in item) and math.isfinite(item.duration)


@pytest.mark.parametrize("name", READABLE)
def test_foreign_text_is_read_or_refused(name):
    for text in ("", "\n\n", "hello\n", "[" * 100_000, "{}", "[]", "[1]", '{"a": 1}', "<a/>", "1\t2", "null"):
        try:
            read_text(text, name)
        except FormatError as error:
            assert "stream" in str(error)


def test_the_longest_suffix_decides():
    assert formats.format_of("analyzed.json") == "json"
    assert formats.format_of("data/ZED.json") == "zed"
    assert formats.format_of("call.zed.json") == "zed"


def test_the_name_of_a_recording_excludes_the_whole_suffix(tmp_path):
    path = tmp_path / "call.1.textgrid"
    formats.write(SAMPLE, path)
    assert formats.read(path).uri == "call.1"
    path = tmp_path / "empty.rttm"
    path.write_text("")
    assert formats.read(path) == Diarization("empty", 0.0, [])


def test_one_of_several_and_a_known_duration(tmp_path):
    path = tmp_path / "two.rttm"
    path.write_text("SPEAKER a 1 0 1 <NA> <NA> x <NA>\nSPEAKER b 1 0 2 <NA> <NA> y <NA>\n")
    assert formats.read(path, uri="b", duration=5.0) == Diarization("b", 5.0, [Segment(0, 2, "y")])
    with pytest.raises(FormatError, match="found a, b, expected c"):
        formats.read(path, uri="c")
    with pytest.raises(FormatError, match="a segment that ends at 2 s, expected at most 1 s"):
        formats.read(path, uri="b", duration=1.0)


def test_standard_output_and_streams(capsys, tmp_path, monkeypatch):
    formats.write(SAMPLE, "-", "rttm")
    text = capsys.readouterr().out
    assert text == text_of(SAMPLE, "rttm")
    binary = io.BytesIO()
    formats.write(SAMPLE, binary, "rttm")
    assert binary.getvalue().decode() == text
    with (tmp_path / "x").open("wb") as file:
        formats.write(SAMPLE, file, "rttm")
    assert (tmp_path / "x").read_text() == text
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert facts(formats.read("-", "rttm")) == facts(SAMPLE)
    for source in ("-", io.StringIO(text)):
        with pytest.raises(OptionError, match="a stream needs a format"):
            formats.read(source)


def test_links_permissions_and_pipes_are_kept(tmp_path):
    real, link, pipe = tmp_path / "real.rttm", tmp_path / "link.rttm", tmp_path / "pipe.rttm"
    real.write_text("before")
    real.chmod(0o640)
    link.symlink_to(real)
    formats.write(SAMPLE, link)
    assert link.is_symlink() and real.read_text() == text_of(SAMPLE, "rttm")
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    os.mkfifo(pipe)
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
    reader.start()
    formats.write(SAMPLE, pipe)
    reader.join(10)
    assert received == [text_of(SAMPLE, "rttm")] and stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["link.rttm", "pipe.rttm", "real.rttm"]


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.rttm"
    path.write_text("before")

    def full(self, data):
        with open(self, "wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(FormatError, match=r"x.rttm: cannot be written \(No space left on device\)"):
        formats.write(SAMPLE, path)
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["x.rttm"]


def test_nan_is_not_written_as_json(tmp_path):
    for broken in (
        Diarization("x", 1.0, [Segment(0, 1, "a", "sad", float("nan"))]),
        Diarization("x", 1.0, [], LABELS, np.full((1, 4), np.nan, np.float32)),
    ):
        for name in ("json", "jsonl", *(["seglst"] if len(broken) else [])):
            with pytest.raises(FormatError, match="cannot be written as JSON"):
                text_of(broken, name)


@pytest.mark.parametrize(
    "name, content, text",
    [
        ("a.json", '{"format": "sed", "version": 2}', "found version 2, expected 1"),
        (
            "a.json",
            '{"format": "sed", "uri": 5, "duration": 1, "segments": []}',
            "found uri 5, expected another",
        ),
        (
            "a.json",
            '{"format": "sed", "uri": "x", "duration": 1, "segments": [3]}',
            "segment 1: found 3, expected",
        ),
        (
            "a.json",
            '{"format": "sed", "uri": "x", "duration": 1, "segments": [{"start": 0, "end": 1, "speaker": 7}]}',
            "segment 1: found speaker 7, expected text",
        ),
        (
            "a.json",
            '{"format": "sed", "uri": "x", "duration": 1, "labels": ["a"], "segments": [], "posteriors": [[1, 2]]}',
            "expected rows of 1 finite numbers in posteriors",
        ),
        (
            "a.seglst.json",
            '[{"session_id": "a", "start_time": 0, "end_time": "x"}]',
            "segment 1: found end 'x'",
        ),
        ("a.csv", 'file,start,end\n"a,0,1\n', "not CSV"),
        ("a.csv", "file,start,end\na,0\n", "line 2: found more or fewer values than the 3 columns"),
        ("a.csv", "file,start,end\na,0,NaT\n", "line 2: found time 'NaT', expected"),
        ("a.eaf", "<ANNOTATION_DOCUMENT>", "not XML"),
        ("a.eaf", "<html/>", "found XML of kind html, expected ANNOTATION_DOCUMENT"),
        (
            "a.eaf",
            '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><ANNOTATION_DOCUMENT>&e;</ANNOTATION_DOCUMENT>',
            "found a document type, expected plain XML",
        ),
        (
            "a.emotionml",
            '<emotionml xmlns="http://www.w3.org/2009/10/emotionml"><emotion><category name="sad"/></emotion>'
            "</emotionml>",
            "emotion 1: expected a category, and a reference that ends in",
        ),
        ("a.speechbrain.json", '{"x/a.wav": [], "y/a.wav": []}', "found a second recording named a"),
        ("zed.json", '{"a": {"duration": "nan", "emotion": []}}', "found duration 'nan', expected a number"),
    ],
)
def test_more_invalid_files(tmp_path, name, content, text):
    (tmp_path / name).write_text(content)
    with pytest.raises(FormatError, match=text) as caught:
        formats.read_all(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name)) and "\n" not in str(caught.value)


@pytest.mark.slow
def test_posteriors_of_a_long_recording_are_written_in_parts():
    posteriors = np.random.default_rng(0).dirichlet(np.ones(4), 25_001).astype(np.float32)
    long = Diarization("x", 25_001 / 50, [], LABELS, posteriors)
    for name in ("json", "jsonl"):
        (found,) = read_text(text_of(long, name), name)
        assert found.posteriors.shape == (25_001, 4) and np.abs(found.posteriors - posteriors).max() < 1e-5
