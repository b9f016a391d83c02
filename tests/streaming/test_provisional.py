"""Provisional segments of a recording that is analysed as a whole: constructed truth, then the bundled models."""

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sed import EmotionDiarizer
from sed.speakers.speech_runs import SpeechRun
from sed.streaming.provisional import ProvisionalSegments

LABELS = ("neutral", "angry")
ROOT = Path(__file__).resolve().parents[2]


def run(start, end, speaker, track=0):
    """Speech of one speaker, whose embedding is an axis; None: no embedding."""
    vector = None if speaker is None else np.eye(4, dtype=np.float32)[speaker]
    return SpeechRun.from_active(start, np.ones(end - start, bool), track, vector, (end - start) / 50)


class Session:
    """Takes everything for one speaker until `apart` runs are there."""

    def __init__(self, apart=1):
        self.speech_runs = []
        self._apart = apart

    def speakers_of(self, runs):
        found = [-1 if one.vector is None else int(one.vector.argmax()) for one in runs]
        return np.array(found) if len(runs) >= self._apart else np.minimum(found, 0)


def rows(frames, angry=()):
    """Posteriors of neutral speech, but for the frames `angry`."""
    found = np.full((frames, 2), [0.9, 0.1], np.float32)
    for start, end in angry:
        found[start:end] = [0.1, 0.9]
    return found


def shown(events, before=None):
    found = dict(before or {})
    for event in events:
        assert not event.final and event.settled == 0
        if event.segment is None:
            del found[event.id]
        else:
            found[event.id] = (
                event.segment.start,
                event.segment.end,
                event.segment.speaker,
                event.segment.emotion,
            )
    return found


def test_each_run_is_decoded_once_as_soon_as_its_posteriors_are_there():
    session = Session()
    found = ProvisionalSegments(session, LABELS)
    assert found.step(rows(500)) == []
    session.speech_runs += [run(0, 200, 1), run(300, 600, 0)]
    events = found.step(rows(500, angry=[(100, 200)]))
    assert shown(events) == {0: (0, 2, "spk00", "neutral"), 1: (2, 4, "spk00", "angry")}
    assert events[0].time == 10.0
    assert found.step(rows(599)) == []
    later = shown(found.step(rows(600)), shown(events))  # the speaker who appears second is spk01
    assert later[2] == (6, 12, "spk01", "neutral") and len(later) == 3
    assert found.step(rows(900)) == []


def test_speakers_are_told_apart_later_and_segments_keep_their_ids():
    session = Session(apart=6)
    found = ProvisionalSegments(session, LABELS)
    session.speech_runs += [run(0, 100, 0)]
    state = shown(found.step(rows(1000)))
    session.speech_runs += [run(200, 300, 1)]
    state = shown(found.step(rows(1000)), state)
    assert [name for *_, name, _ in state.values()] == ["spk00", "spk00"]
    session.speech_runs += [run(200 * n, 200 * n + 100, n % 2) for n in range(2, 6)]
    events = found.step(rows(2000))
    assert {event.id for event in events} == {1, 2, 3, 4, 5}  # the first segment has not changed
    state = shown(events, state)
    assert state == {n: (4 * n, 4 * n + 2, f"spk0{n % 2}", "neutral") for n in range(6)}
    session.speech_runs += [
        run(1200, 1300, 1),
        run(1320, 1380, None, track=7),
        run(1400, 1450, None, track=0),
    ]
    state = shown(
        found.step(rows(2000)), state
    )  # not clustered again: the nearest speaker, or that of the track
    new = [found for number, found in state.items() if number > 5]
    assert new == [(24, 26, "spk01", "neutral"), (28, 29, "spk01", "neutral")]  # track 7 has no speaker yet


def test_segments_of_a_run_without_a_speaker_are_taken_back():
    session = Session()
    found = ProvisionalSegments(session, LABELS)
    session.speech_runs += [run(0, 100, 0)]
    state = shown(found.step(rows(1000)))
    session.speakers_of = lambda runs: np.full(len(runs), -1)
    session.speech_runs += [run(200, 300, 0), run(400, 500, 0)]
    assert shown(found.step(rows(1000)), state) == {}


@pytest.fixture(scope="module")
def three_minutes():
    samples, rate = soundfile.read(ROOT / "demo" / "conversation.flac", dtype="float32")
    return np.tile(samples, 5)[: 180 * rate], rate


@pytest.fixture(scope="module")
def plain(three_minutes):
    """The result without provisional segments, which does not depend on the number of threads."""
    return EmotionDiarizer()(three_minutes)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_segment_is_there_long_before_the_result_which_is_the_same(three_minutes, plain, threads):
    diarizer = EmotionDiarizer(threads=threads)
    found, first = {}, []
    started = time.perf_counter()

    def take(events):
        first.append(time.perf_counter() - started)
        found.update(shown(events, found))

    result = diarizer(three_minutes, provisional=take)
    assert first[0] < (time.perf_counter() - started) / 3
    assert result.segments == plain.segments and result.posteriors.tobytes() == plain.posteriors.tobytes()
    # What was shown is what the result has, for most of the time.
    grids = []
    for segments in (sorted(found.values()), [(s.start, s.end, s.speaker, s.emotion) for s in result]):
        grids.append(np.full(9001, "", dtype="U20"))
        for start, end, speaker, emotion in segments:
            grids[-1][round(start * 50) : round(end * 50)] = f"{speaker} {emotion}"
    until = round(max(end for _, end, *_ in found.values()) * 50)
    assert until > 90 * 50  # speakers are found anew when there is half as much speech again
    assert (grids[0] == grids[1])[:until].mean() > 0.8


@pytest.mark.slow
def test_with_a_latency_the_events_are_those_of_the_stream(three_minutes):
    samples, rate = three_minutes
    clip = samples[: 10 * rate]
    diarizer = EmotionDiarizer(latency=1.0)
    events = []
    result = diarizer((clip, rate), provisional=events.extend)
    stream = diarizer.stream(1.0)
    assert events == stream.push(clip) + stream.close()
    assert [e.segment for e in events if e.final and e.segment] == list(result)
