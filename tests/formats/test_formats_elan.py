"""ELAN files of other programs: dependent tiers, time slots without a value, other units."""

from __future__ import annotations

import io

import pytest

from sed import formats
from sed.errors import FormatError

SLOTS = "".join(
    f'<TIME_SLOT TIME_SLOT_ID="ts{n}"{value}/>'
    for n, value in enumerate((' TIME_VALUE="1000"', "", "", ' TIME_VALUE="4000"'), 1)
)


def aligned(name, start, end, text):
    return (
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{name}" TIME_SLOT_REF1="ts{start}" '
        f'TIME_SLOT_REF2="ts{end}"><ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>'
    )


def referring(name, to, text):
    return (
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="{name}" ANNOTATION_REF="{to}"><ANNOTATION_VALUE>{text}'
        "</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
    )


def tier(name, content, about=""):
    return f'<TIER LINGUISTIC_TYPE_REF="x" TIER_ID="{name}" {about}>{content}</TIER>'


def facts(*tiers, unit="milliseconds"):
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><ANNOTATION_DOCUMENT><HEADER TIME_UNITS="{unit}"/>'
        f"<TIME_ORDER>{SLOTS}</TIME_ORDER>{''.join(tiers)}</ANNOTATION_DOCUMENT>"
    )
    (found,) = formats.read_all(io.StringIO(text), "eaf")
    return [(s.start, s.end, s.speaker, s.emotion) for s in found]


def test_referring_annotations_take_the_times_of_their_parents():
    """The tier of emotions depends on that of turns, may precede it, and has the same speaker."""
    turns = tier("Ann", aligned("a1", 1, 4, ""))
    emotions = tier("emotion@Ann", referring("a2", "a1", "sad"), 'PARENT_REF="Ann"')
    strength = tier(
        "strength@Ann",
        referring("a3", "a2", "angry") + referring("a4", "a2", "happy"),
        'PARENT_REF="emotion@Ann"',
    )
    assert facts(strength, emotions, turns) == [
        (1.0, 2.5, "Ann", "angry"),
        (1.0, 4.0, "Ann", None),
        (1.0, 4.0, "Ann", "sad"),
        (2.5, 4.0, "Ann", "happy"),
    ]
    with_participant = emotions.replace("PARENT_REF", 'PARTICIPANT="Bob" PARENT_REF')
    assert ("Bob", "sad") in [row[2:] for row in facts(turns, with_participant)]


def test_time_slots_without_a_value_divide_the_interval_evenly():
    parts = aligned("a1", 1, 2, "sad") + aligned("a2", 2, 3, "happy") + aligned("a3", 3, 4, "angry")
    assert [row[:2] for row in facts(tier("Ann", parts))] == [(1.0, 2.0), (2.0, 3.0), (3.0, 4.0)]


@pytest.mark.parametrize(
    ("tiers", "unit", "text"),
    [
        ([tier("a", aligned("a1", 1, 2, "sad"))], "milliseconds", "annotation a1: found no start or no end"),
        ([tier("a", referring("a1", "a9", "sad"))], "milliseconds", "annotation a1: found a reference to a9"),
        ([tier("a", referring("a1", "a1", "sad"))], "milliseconds", "annotation a1: found a reference to a1"),
        ([tier("a", aligned("a1", 1, 4, "sad"))], "PAL-frames", "found times in PAL-frames, expected milli"),
    ],
)
def test_unknown_times_are_refused(tiers, unit, text):
    with pytest.raises(FormatError, match=text):
        facts(*tiers, unit=unit)
