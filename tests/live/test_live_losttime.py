"""Times of a stream that skipped audio, mapped to the recording."""

from hypothesis import given
from hypothesis import strategies as st

from sed.live.losttime import LostTime
from sed.result import Segment
from sed.streaming.events import Event


def test_times_are_unchanged_without_gaps():
    clock = LostTime(16_000)
    clock.process(48_000)
    segment = Segment(0.1, 0.7, "spk00", "sad", 0.5, {"sad": 0.5})
    assert clock.split(segment) == [segment]
    event = Event(3, segment, True, 1.0, 0.9)
    assert clock.map_event(event) is event


def test_a_segment_across_a_gap_is_split_and_later_ones_move():
    clock = LostTime(10)
    clock.process(20)
    assert clock.skip(50) == (2.0, 7.0)
    clock.process(30)
    assert clock.split(Segment(0.5, 2.0)) == [Segment(0.5, 2.0)]
    assert clock.split(Segment(2.0, 3.0)) == [Segment(7.0, 8.0)]
    assert clock.split(Segment(1.0, 3.0)) == [Segment(1.0, 2.0), Segment(7.0, 8.0)]
    mapped = clock.map_event(Event(0, Segment(1.0, 3.0), False, 5.0, 2.0))
    assert (mapped.segment, mapped.time, mapped.settled) == (Segment(1.0, 8.0), 10.0, 2.0)


def test_two_gaps_in_one_segment():
    clock = LostTime(10)
    for _ in range(2):
        clock.process(10)
        clock.skip(10)
    clock.process(10)
    assert clock.split(Segment(0.5, 2.5)) == [Segment(0.5, 1.0), Segment(2.0, 3.0), Segment(4.0, 4.5)]


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), max_size=8),
    st.integers(0, 400),
    st.integers(1, 200),
)
def test_parts_are_as_long_as_the_segment_and_avoid_every_gap(gaps, start, length):
    rate, clock, lost = 8, LostTime(8), []
    for processed, missing in gaps:
        clock.process(processed)
        lost.append(clock.skip(missing))
    clock.process(1000)
    segment = Segment(start / rate, (start + length) / rate, "spk00", "angry", 0.25)
    parts = clock.split(segment)
    assert sum(p.duration for p in parts) == segment.duration
    assert all(p.end <= a or p.start >= b for p in parts for a, b in lost)
    assert parts == sorted(parts)
    assert {(p.speaker, p.emotion, p.confidence) for p in parts} == {("spk00", "angry", 0.25)}
