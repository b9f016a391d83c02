"""Formats are recognised by content, with any file name or none."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed import formats
from sed.errors import FormatError
from sed.result import Diarization, Segment

CALL = Diarization(
    "call", 3.5, [Segment(0.5, 2.0, "ann", "sad", 0.5), Segment(2.0, 3.5, "bob", "happy", 0.75)]
)
WRITTEN = [name for name in formats.names() if name in formats.readable()]


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize(
    "file", ["call", "call.{}.scoring", "call.wrong", "call.rttm", "call.json", "call.lab"]
)
def test_every_format_under_any_name(tmp_path, name, file):
    path = tmp_path / file.format(name)
    path.write_bytes(formats.dumps(CALL, name))
    kind, (found,) = formats.read_kind(path)
    assert kind == name or {kind, name} in ({"lab", "audacity"}, {"json", "jsonl"})
    assert [(s.start, s.emotion) for s in found] == [(0.5, "sad"), (2.0, "happy")]


@pytest.mark.parametrize("name", ["rttm", "json", "parquet", "csv"])
def test_a_pipe_is_read_once(tmp_path, name):
    """/dev/stdin and <(...) cannot be read twice."""
    read, write = os.pipe()
    data = formats.dumps(CALL, name)
    writer = threading.Thread(target=lambda: (os.write(write, data), os.close(write)))
    writer.start()
    try:
        assert formats.read_kind(f"/dev/fd/{read}")[0] == name
    finally:
        writer.join(10)
        os.close(read)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("0.50 1.25 angry\n2 3.5 ann: sad\n", [(0.5, 1.25, None, "angry"), (2.0, 3.5, "ann", "sad")]),
        ("0.5\t1.5\tsad\n\\\t100\t200\n", [(0.5, 1.5, None, "sad")]),
        (
            "0 12000000 angry -830.2\n12000000 15500000 sad\n",
            [(0.0, 1.2, None, "angry"), (1.2, 1.55, None, "sad")],
        ),
        ("0 8000625 a\n8000625 9120000 b\n9120000 9900000 c\n", None),
    ],
)
@pytest.mark.parametrize("file", ["x.lab", "x.txt", "x"])
def test_labels_of_other_programs(tmp_path, file, content, expected):
    (tmp_path / file).write_text(content)
    found = formats.read(tmp_path / file)
    assert found.uri == "x"
    if expected is None:
        assert found.segments[0].end == 0.8000625
    else:
        assert [(s.start, s.end, s.speaker, s.emotion) for s in found] == expected


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("0 3050 h#\n3050 4559 sh\n", "found only integer times"),  # TIMIT's samples
        ("0 1500 sad\n1500 9000 happy\n", "found only integer times"),  # milliseconds
        ("0.22 100 pau\n0.35 100 d\n", "found 100 as the end in every line"),  # xlabel's colours
        ("hello there you\n", "line 1: found start 'hello', expected a number"),
        ("#\n0.22 100 pau\n", "line 1: found '#', expected start, end and label"),
    ],
)
def test_ambiguous_labels_are_refused(tmp_path, content, problem):
    path = tmp_path / "x.lab"
    path.write_text(content)
    with pytest.raises(FormatError, match=problem) as caught:
        formats.read(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", ["", "hello\n", "{nothing", "SPEAKER: hello, you there my friend\n", "a b 1 2\n", "<html/>"]
)
def test_unknown_formats_are_refused(tmp_path, content):
    path = tmp_path / "notes"
    path.write_text(content)
    with pytest.raises(
        FormatError, match=r"its content is of no known format and its suffix is unknown, expected \.audacity"
    ) as caught:
        formats.read(path)
    assert caught.value.path == str(path)


def test_the_name_decides_the_format_of_an_empty_file(tmp_path):
    for name in ("rttm", "x.rttm", "x.rttm.scoring"):
        (tmp_path / name).write_text(";; no speech\n")
        assert formats.read_kind(tmp_path / name) == ("rttm", [])


@pytest.mark.parametrize("name", WRITTEN)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damaged_files_are_recognised_or_refused(name, data):
    """Bytes of one format with deletions and parts of others are read or refused."""
    content = bytearray(formats.dumps(CALL, name))
    for _ in range(data.draw(st.integers(1, 3))):
        first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        other = formats.dumps(CALL, data.draw(st.sampled_from(WRITTEN)))
        content[first : min(last, first + 20)] = other[: data.draw(st.integers(0, 40))]
    try:
        kind, _ = formats.parse(bytes(content), Path("call"))
        assert kind == formats.recognise(bytes(content), Path("call"))
    except FormatError as error:
        assert str(error)
