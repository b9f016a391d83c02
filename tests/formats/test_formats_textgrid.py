"""Damaged TextGrids are reported with their line; comments and the old short form are read."""

from __future__ import annotations

import io

import pytest

from sed import formats
from sed.errors import FormatError
from sed.formats import kind
from sed.result import Diarization, Segment

RESULT = Diarization("call", 5.0, [Segment(0.0, 2.0, "ann", "sad"), Segment(2.0, 4.0, "ann", "happy")])
TEXT = formats.dumps(RESULT, "textgrid").decode()


def read(text):
    return formats.read_all(io.StringIO(text), "textgrid")


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ("xmax = 2.0", "xmax = two", "sad", 'found "sad", expected a number'),
        ("xmax = 2.0", "xmax = 0", "sad", "segment from 0.0 to 0.0 s"),
        ("size = 3", "size = 2", "intervals [3]", "after the last of 1 tiers"),
        ('"ann"', "7", "name =", "found 7, expected a quoted text"),
    ],
)
def test_errors_state_their_line(old, new, line, problem):
    text = TEXT.replace(old, new, 1)
    with pytest.raises(FormatError) as caught:
        read(text)
    position = int(str(caught.value).split("line ")[1].split(":")[0])
    assert problem in str(caught.value)
    assert abs(position - 1 - next(n for n, row in enumerate(text.split("\n")) if line in row)) <= 1


def test_comments():
    text = TEXT.replace("size = 1\n", "size = 1 ! tiers: 3\n") + '! the end: "x" 5\n'
    assert read(text)[0].segments == RESULT.segments


def test_the_short_form_of_older_versions_of_praat():
    old = 'File type = "ooTextFile short"\n"TextGrid"\n\n0\n4\n<exists>\n1\n"IntervalTier"\n"Mary"\n0\n4\n3\n'
    (found,) = read(old + '0\n1\n""\n1\n2.5\n"happy"\n2.5\n4\n""\n')
    assert (found.duration, found.segments) == (4.0, (Segment(1.0, 2.5, "Mary", "happy"),))


@pytest.mark.parametrize("format", ["textgrid", "eaf"])
def test_few_tiers_per_speaker(monkeypatch, format):
    """Overlapping segments of one speaker get a tier each, which without a limit takes quadratic time."""
    result = Diarization("call", 9.0, [Segment(n, 9.0, "ann", "sad") for n in range(3)])
    monkeypatch.setattr(kind, "MAX_TIERS", 3)
    assert formats.dumps(result, format)
    monkeypatch.setattr(kind, "MAX_TIERS", 2)
    with pytest.raises(FormatError, match="found more than 2 segments of ann at once"):
        formats.dumps(result, format)
