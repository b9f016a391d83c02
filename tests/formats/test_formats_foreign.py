"""Files of other programs are read, and ours are read by other programs."""

import io

import numpy as np
import pytest

from sed import formats
from sed.result import Diarization, Segment

LABELS = ("neutral", "happy", "angry", "sad")
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


def text_of(diarization, name):
    out = io.StringIO()
    formats.write(diarization, out, name)
    return out.getvalue()


def read_text(text, name):
    return formats.read_all(io.StringIO(text), name)


def facts(diarization):
    return [(s.start, s.end, s.speaker, s.emotion) for s in diarization]


def test_csv_of_other_programs(tmp_path):
    """Paths as in audformat, text columns, seconds, and columns that are not probabilities."""
    path = tmp_path / "x.csv"
    path.write_text(
        "file,start,end,speaker,emotion,confidence,text,arousal,angry\n"
        "wav/monday.wav,0 days 00:00:01,0 days 00:00:02.5,7,angry,0.5,hello,3.5,0.5\n"
        "wav/monday.wav,2.5,3,,,,,1.0,\n"
    )
    (found,) = formats.read_all(path)
    assert found.uri == "monday" and found.labels == ("angry",)
    assert facts(found) == [(1.0, 2.5, "7", "angry"), (2.5, 3.0, None, None)]
    assert found.segments[0].probabilities == {"angry": 0.5}


def test_audformat_writes_whole_days(tmp_path):
    """If all segments of a table start at 0, pandas writes "0 days"."""
    audformat, pd = pytest.importorskip("audformat"), pytest.importorskip("pandas")
    database = audformat.Database("x")
    index = audformat.segmented_index(["wav/a.wav", "wav/b.wav"], ["0s", "0s"], ["1.5s", "2s"])
    database["emotion"] = audformat.Table(index)
    database["emotion"]["emotion"] = audformat.Column()
    database["emotion"]["emotion"].set(pd.Series(["sad", "happy"], index))
    database["emotion"].save(tmp_path / "x", storage_format="csv")
    assert ",0 days," in (tmp_path / "x.csv").read_text()
    first, second = formats.read_all(tmp_path / "x.csv")
    assert (first.uri, facts(first)) == ("a", [(0.0, 1.5, None, "sad")])
    assert (second.uri, facts(second)) == ("b", [(0.0, 2.0, None, "happy")])


def test_praat_writes_utf_16(tmp_path):
    path = tmp_path / "x.textgrid"
    path.write_bytes(text_of(SAMPLE, "textgrid").replace("ann", "Zoë").encode("utf-16"))
    assert formats.read(path).speaker_names == ("Zoë", "bob")


def test_windows_line_ends_and_a_byte_order_mark(tmp_path):
    for name in (n for n in formats.names() if not formats.is_binary(n) and n in formats.readable()):
        path = tmp_path / f"call{formats.suffix(name)}"
        path.write_bytes(b"\xef\xbb\xbf" + text_of(SAMPLE, name).replace("\n", "\r\n").encode())
        assert [s.emotion for s in formats.read(path, name)] == ["sad", "happy"]


def test_labels_written_by_hand_in_audacity(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("0.5\t1.5\tsad\n\\\t100\t200\n2\t2\tdoor\n3\t4\tann: happy\n")
    assert facts(formats.read(path)) == [(0.5, 1.5, None, "sad"), (3.0, 4.0, "ann", "happy")]


def test_webvtt_of_other_programs(tmp_path):
    path = tmp_path / "x.vtt"
    path.write_text(
        "WEBVTT - title\n\nNOTE\n00:01.000 --> 00:02.000\nhidden\n\nSTYLE\n::cue {}\n\n"
        "first\n00:01.000 --> 00:02.500 align:left\n<v.loud Ann B>sad\n\n100:00:03.000 --> 100:00:04.000\nhappy\n"
    )
    assert facts(formats.read(path)) == [(1.0, 2.5, "Ann B", "sad"), (360003.0, 360004.0, None, "happy")]


def test_regions_of_several_channels_are_merged(tmp_path):
    path = tmp_path / "x.uem"
    path.write_text("a 1 0 10\na 2 5 12\na 1 20 30\n")
    assert formats.read_uem(path) == {"a": [(0, 12), (20, 30)]}


def test_elan_files_by_pympi(tmp_path):
    pympi = pytest.importorskip("pympi")
    path = tmp_path / "call.eaf"
    formats.write(SAMPLE, path)
    document = pympi.Elan.Eaf(str(path))
    assert sorted(document.get_tier_names()) == ["ann", "bob"]
    assert document.get_annotation_data_for_tier("bob") == [(2000, 3500, "happy")]
    document.add_annotation("bob", 4000, 4500, "angry")
    document.to_file(str(path))
    found = formats.read(path)
    assert facts(found)[-1] == (4.0, 4.5, "bob", "angry") and found.duration == 9.0


def test_the_exact_text_of_emotionml():
    lines = [line.strip() for line in text_of(SAMPLE, "emotionml").splitlines()]
    assert '<vocabulary type="category" id="labels">' in lines
    emotion = lines[lines.index('<emotion expressed-through="voice">') :]
    assert emotion[2] == "<sed:speaker>ann</sed:speaker>"
    assert emotion[4:6] == [
        '<category name="sad" confidence="0.5" />',
        '<reference uri="call#t=0.500000,2.000000" role="expressedBy" />',
    ]
    (found,) = read_text(text_of(SAMPLE, "emotionml"), "emotionml")
    assert (found.uri, found.duration, found.labels) == ("call", 9.0, LABELS)


def test_praat_itself_reads_the_textgrid(tmp_path):
    parselmouth = pytest.importorskip("parselmouth")
    first, second = tmp_path / "a.textgrid", tmp_path / "b.textgrid"
    odd = Diarization("a", 9.0, [Segment(0, 1.5, "ann", 'sad "x"'), Segment(1, 2, "ann", "angry")])
    formats.write(odd, first)
    grid = parselmouth.read(str(first))
    assert parselmouth.praat.call(grid, "Get number of tiers") == 2
    assert parselmouth.praat.call(grid, "Get label of interval", 1, 1) == 'sad "x"'
    for save in (grid.save_as_text_file, grid.save_as_short_text_file):
        save(str(second))
        assert facts(formats.read(second)) == facts(odd)


def test_the_shortest_annotation_in_elan_lasts_a_millisecond():
    tiny = Diarization("x", 1.0, [Segment(0.1, 0.1002, "a", "sad")])
    assert facts(read_text(text_of(tiny, "eaf"), "eaf")[0]) == [(0.1, 0.101, "a", "sad")]
