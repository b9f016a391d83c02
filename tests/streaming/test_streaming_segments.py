"""`SegmentTracker`: ids, extension, removal, and sums that agree with the offline result."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.segmenting import mean_posterior, segment_of
from sed.streaming.segments import SegmentTracker, SpeakerFrames

LABELS = ("neutral", "angry", "sad")


class Stream:
    """Feeds a tracker with known labels, `ahead` frames beyond the final ones."""

    def __init__(self, ahead=10, seed=0):
        self.tracker, self.ahead = SegmentTracker(LABELS), ahead
        self.posteriors = np.random.default_rng(seed).dirichlet(np.ones(3), 2000).astype(np.float32)
        self.settled, self.events = 0, []

    def step(self, end, speakers, closing=False):
        """`speakers`: {name: frame -> emotion or None}; returns the events."""
        final = end if closing else max(self.settled, end - self.ahead)
        frames_of_speakers = []
        for key, (name, emotion_at) in enumerate(speakers.items()):
            pairs = [(f, emotion_at(f)) for f in range(self.settled, end)]
            pairs = [(f, e) for f, e in pairs if e is not None]
            if pairs:
                frames, emotions = np.array(pairs).T
                frames_of_speakers.append(SpeakerFrames(key, name, frames, emotions))
        events = self.tracker.step(
            frames_of_speakers,
            self.posteriors[self.settled : end],
            settled=self.settled,
            final=final,
            end=end,
            time=end / 50,
            closing=closing,
        )
        self.settled = final
        self.events += events
        return events


def between(start, end, emotion=0):
    return lambda frame: emotion if start <= frame < end else None


def test_a_segment_grows_under_one_id_and_is_final_once():
    stream, speech = Stream(), {"spk00": between(5, 52)}
    ends = []
    for end in (20, 40, 60, 80):
        for event in stream.step(end, speech):
            assert (event.id, event.segment.start, event.time) == (0, 0.1, end / 50)
            ends.append((event.segment.end, event.final))
    assert ends == [(0.4, False), (0.8, False), (1.04, False), (1.04, True)]
    assert stream.step(100, speech) == []


def test_no_event_without_a_change():
    stream, speech = Stream(ahead=50), {"spk00": between(5, 20)}
    assert len(stream.step(40, speech)) == 1
    assert stream.step(45, speech) == []


def test_a_provisional_segment_may_be_removed_and_its_id_is_not_reused():
    stream = Stream(ahead=30)
    [event] = stream.step(20, {"spk00": between(5, 15)})
    [removed] = stream.step(40, {"spk00": between(0, 0)})
    assert (removed.id, removed.segment, removed.final) == (event.id, None, False)
    [other] = stream.step(60, {"spk00": between(45, 60)})
    assert other.id != event.id


def test_a_provisional_segment_keeps_its_id_when_label_or_name_change():
    stream = Stream(ahead=30)
    [first] = stream.step(20, {"spk01": between(5, 20, emotion=0)})
    [second] = stream.step(30, {"spk00": between(6, 30, emotion=1)})
    assert second.id == first.id
    assert (second.segment.speaker, second.segment.emotion, second.segment.start) == ("spk00", "angry", 0.12)


def test_a_change_of_emotion_ends_a_segment():
    stream = Stream(ahead=10)
    speech = {"spk00": lambda frame: 0 if frame < 33 else 2}
    for end in (20, 40, 60):
        stream.step(end, speech)
    stream.step(70, speech, closing=True)
    finals = [(e.segment.start, e.segment.end, e.segment.emotion) for e in stream.events if e.final]
    assert finals == [(0.0, 0.66, "neutral"), (0.66, 1.4, "sad")]


def test_a_segment_that_ends_at_the_last_final_frame_is_not_final_yet():
    stream, speech = Stream(ahead=10), {"spk00": between(0, 30)}
    assert not any(event.final for event in stream.step(40, speech))  # frame 30 is not final yet
    [event] = stream.step(50, speech)
    assert event.final and event.segment.end == 0.6


def test_overlapping_speakers_have_separate_segments():
    stream = Stream()
    speech = {"spk00": between(0, 60), "spk01": between(30, 50, emotion=1)}
    for end in (25, 50, 75):
        stream.step(end, speech)
    finals = {e.segment.speaker: (e.segment.start, e.segment.end) for e in stream.events if e.final}
    assert finals == {"spk00": (0.0, 1.2), "spk01": (0.6, 1.0)}


labelling = st.lists(st.tuples(st.integers(1, 40), st.sampled_from([None, 0, 1, 2])), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None)
@given(labelling, labelling, st.lists(st.integers(1, 60), min_size=1, max_size=20), st.integers(0, 70))
def test_final_segments_do_not_depend_on_the_steps(first, second, sizes, ahead):
    tracks = [np.concatenate([[e] * n for n, e in runs]) for runs in (first, second)]
    length = max(map(len, tracks))
    speakers = {
        f"spk{n:02d}": (lambda f, track=track: track[f] if f < len(track) else None)
        for n, track in enumerate(tracks)
    }
    stream, end = Stream(ahead), 0
    for size in sizes:
        if end + size >= length:
            break
        end += size
        stream.step(end, speakers)
    stream.step(length, speakers, closing=True)

    expected = []
    for name, track in zip(speakers, tracks, strict=True):
        edges = [0, *[f for f in range(1, len(track)) if track[f] != track[f - 1]], len(track)]
        for a, b in itertools.pairwise(edges):
            if track[a] is not None:
                mean = mean_posterior(stream.posteriors[a:b])
                expected.append(segment_of(mean, a, b, name, LABELS, track[a], length / 50))
    finals = [event.segment for event in stream.events if event.final]
    assert sorted(finals) == sorted(expected)
    for one, other in zip(sorted(finals), sorted(expected), strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1.01e-4)
    check_invariants(stream.events)


def check_invariants(events):
    """No event follows a final or removed segment, and the segments of one speaker do not overlap."""
    closed = set()
    for event in events:
        assert event.id not in closed, "an event for a segment that was final or removed"
        if event.final or event.segment is None:
            closed.add(event.id)
    assert all(event.segment is None or event.segment.end <= event.time + 1e-9 for event in events)
    finals = [event for event in events if event.final]
    for event in finals:
        for later in events[events.index(event) :]:
            if later.segment and later.id != event.id and later.segment.speaker == event.segment.speaker:
                one, other = event.segment, later.segment
                disjoint = other.start >= one.end or other.end <= one.start
                assert disjoint, "segments of one speaker overlap"
