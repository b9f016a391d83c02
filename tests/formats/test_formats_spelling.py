"""Names that a format cannot hold are escaped reversibly; distinct names stay distinct."""

from __future__ import annotations

import io
import os
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sed import formats
from sed.formats import spelling
from sed.result import Diarization, Segment

SPELLINGS = {n: getattr(spelling, n) for n in ("TEXT", "CELL", "MARKUP", "LINE", "FIELD")}
parts = st.sampled_from(
    [*"ab%_ \t\n\r\0\x85", "%20", "%25", "%E9", "%C3%A9", "%C3", "%u0041", "%uD800", "2", "u", "é"]
    + ["\u00a0", "\u202f", "\udce9", "\udcc3", "\udca9", "\ud800", "<NA>", "<", "N", "A>", "😀", "\uffff"]
)
odd = st.lists(parts, min_size=1, max_size=6).map("".join)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPELLINGS)
@settings(max_examples=500, deadline=None)
@given(text=odd)
@example("a%20b")
@example("\udcc3%A9")
@example("\udcc3\udca9")  # two bytes that encode é: the same file
def test_every_name_is_restored(name, text):
    encoding = SPELLINGS[name]
    written = encoding.write(text)
    written.encode()  # UTF-8
    assert encoding.read(written) == spelling._BYTES.sub(spelling._joined, text)
    if name == "FIELD":
        assert written.split() == [written] and written != "<NA>"
    if name in ("LINE", "FIELD", "MARKUP"):
        assert written.splitlines() == [written]


@pytest.mark.parametrize(
    "text", ["call", "100%", "100%25", "Gr%C3%BC", "50%41", "a_b", "漢", "<NA>x", "x%2fy"]
)
def test_ordinary_names_are_unchanged(text):
    for encoding in SPELLINGS.values():
        assert encoding.write(text) == encoding.read(text) == text


@settings(max_examples=200, deadline=None)
@given(data=st.binary(min_size=1, max_size=8).filter(lambda b: b"%" not in b))
def test_other_programs_restore_the_bytes_of_the_file(data):
    assert unquote_to_bytes(spelling.FIELD.write(os.fsdecode(data))) == data


ODD = [
    "my call",
    "a_b",
    "a%20b",
    "caf\udce9",
    "Zoë\u00a0B",
    "a\nb",
    "a\rb",
    "a\x00b",
    "tab\there",
    " a ",
    "100%",
    "a\u2028b",
]
WITHOUT_NAME = ("audacity", "textgrid", "webvtt")  # named after the file
WITHOUT_SPEAKER = ("speechbrain",)


def read_bytes(data, name):
    return formats.read_all(io.BytesIO(data) if formats.is_binary(name) else io.StringIO(data.decode()), name)


@pytest.mark.parametrize("name", [n for n in formats.names() if n in formats.readable()])
def test_odd_names_survive_every_format_and_stay_distinct(name):
    seen = set()
    for odd in ODD:
        probabilities = {odd: 0.75, "neutral": 0.25}
        result = Diarization(odd, 2.0, [Segment(0.5, 1.0, odd, odd, 0.75, probabilities)], (odd, "neutral"))
        data = formats.dumps(result, name)
        data.decode() if not formats.is_binary(name) else None  # UTF-8
        (found,) = read_bytes(data, name)
        (segment,) = found
        assert segment.emotion == odd
        assert name in WITHOUT_SPEAKER or segment.speaker == odd
        assert name in WITHOUT_NAME or found.uri == odd
        assert found.labels in ((), result.labels)
        assert not segment.probabilities or dict(segment.probabilities) == probabilities
        seen.add(data)
    assert len(seen) == len(ODD)


def test_other_tools_read_escaped_names_in_rttm(tmp_path):
    """Every line has ten fields for readers that split at any Unicode blank."""
    import meeteval
    from pyannote.database import util

    path = tmp_path / "x.rttm"
    for odd in ("my call", "Zoë\u00a0B", "caf\udce9"):
        formats.write(Diarization(odd, 2.0, [Segment(0.5, 1.0, odd, "sad")]), path)
        escaped = spelling.FIELD.write(odd)
        assert [list(a.labels()) for a in [util.load_rttm(path)[escaped]]] == [[escaped]]
        assert [(r.filename, r.speaker_id) for r in meeteval.io.RTTM.load(path)] == [(escaped, escaped)]


def test_names_in_a_uem_are_read_like_those_in_rttm(tmp_path):
    path = tmp_path / "x.uem"
    path.write_text("my%20call 1 0 5\nZo\u00eb\u00a0B 1 -0.008 5\n100% 1 1 2\n")
    assert formats.read_uem(path) == {"my call": [(0, 5)], "Zoë\u00a0B": [(0, 5)], "100%": [(1, 2)]}
