"""`StreamingDiarizer`: properties of live results, on audio with known content and on a real meeting."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_frames import own_frames

from sed import EmotionDiarizer
from sed.emotion.decoding import METHODS, DecoderOptions
from sed.errors import AudioError, OptionError, SedError
from sed.grid import HOP, frame_count
from sed.speakers.online import LiveTurns

RATE = 16_000


class Tones:
    """A tagger and a diarizer that read the labels from the sample values: the tens digit is the speaker (0: none,
    3: both), the ones digit the emotion."""

    labels, frame_rate, window = ("neutral", "happy", "angry", "sad"), 50, 3 * RATE

    def posteriors(self, waves):
        assert waves.shape[1] <= self.window
        frames = frame_count(waves.shape[1])
        code = np.pad(waves, ((0, 0), (0, frames * HOP - waves.shape[1])))[:, ::HOP]
        return (np.eye(4, dtype=np.float32)[(code % 10).astype(int)] * 0.6 + 0.1).astype(np.float32)

    def begin_online(self):
        return TonesOnline()


class TonesOnline:
    window = 100

    def __init__(self):
        self.settled = 0
        self.history = np.zeros(0, int)  # active speakers in the frames from `settled` on

    def step(self, audio, start, final):
        who = (audio[::HOP] // 10).astype(int)
        self.history = np.append(self.history[: start - self.settled], who)
        if start < self.settled:
            self.history = who[self.settled - start :]
        active = np.stack([(self.history & 1) > 0, (self.history & 2) > 0], 1)
        self.history, self.settled = self.history[final - self.settled :], final
        return LiveTurns(active, (0, 1), ("spk00", "spk01"))


def tones(*runs):
    """Audio of (frames, who, emotion) runs."""
    return np.concatenate([np.full(n * HOP, 10 * who + emotion, np.float32) for n, who, emotion in runs])


def tones_diarizer(decoder="viterbi"):
    models = Tones()
    options = DecoderOptions(decoder, switch_cost=12, memory=5, overlap_weight=1, median_window=0.5)
    return EmotionDiarizer(tagger=models, diarizer=models, decoder=options)


def stream_of(diarizer, samples, latency, cuts=()):
    """All events of a stream that receives `samples`, split at `cuts`."""
    stream, events = diarizer.stream(latency), []
    for block in np.split(samples, sorted(cuts)):
        events += stream.push(block)
    return events + stream.close()


def finals(events):
    return sorted(event.segment for event in events if event.final)


CONVERSATION = tones(
    (60, 0, 0),
    (120, 1, 0),
    (100, 1, 2),
    (30, 0, 0),
    (80, 2, 3),
    (40, 3, 3),
    (90, 1, 1),
    (400, 0, 0),
    (77, 2, 0),
)
TRUTH = [
    (1.2, 3.6, "spk00", "neutral"),
    (3.6, 5.6, "spk00", "angry"),
    (6.2, 8.6, "spk01", "sad"),
    (7.8, 8.6, "spk00", "sad"),  # overlapped: the tagger gives one emotion
    (8.6, 10.4, "spk00", "happy"),
    (18.4, 19.94, "spk01", "neutral"),
]


@pytest.mark.parametrize("latency", [0.5, 0.7, 1.0, 2.0, 5.0])
def test_constructed_conversation(latency):
    events = stream_of(tones_diarizer(), CONVERSATION, latency)
    found = [(s.start, s.end, s.speaker, s.emotion) for s in finals(events)]
    assert found == sorted(TRUTH)
    assert all(s.confidence == pytest.approx(0.7) for s in finals(events))


@pytest.mark.parametrize("latency", [0.5, 1.0, 2.0, 5.0])
def test_overlapped_frames_decide_only_for_speakers_without_others(latency):
    """A speaker who is always overlapped is decoded from the mixture; any other from the frames without overlap."""
    models = Tones()
    diarizer = EmotionDiarizer(tagger=models, diarizer=models, decoder=DecoderOptions(memory=4))
    audio = tones((300, 1, 0), (200, 3, 3), (300, 1, 0), (100, 2, 1), (200, 3, 3), (100, 1, 0))
    found = [(s.start, s.end, s.speaker, s.emotion) for s in finals(stream_of(diarizer, audio, latency))]
    assert found == [
        (0.0, 16.0, "spk00", "neutral"),
        (6.0, 10.0, "spk01", "sad"),
        (16.0, 22.0, "spk01", "happy"),
        (18.0, 24.0, "spk00", "neutral"),
    ]


@pytest.mark.parametrize("latency", [0.5, 0.62, 1.0, 2.0, 3.3, 5.0])
def test_no_frame_waits_longer_than_the_latency(latency):
    stream = tones_diarizer().stream(latency)
    assert stream.latency == latency
    for number in range(1, 1 + len(CONVERSATION) // HOP):
        stream.push(CONVERSATION[(number - 1) * HOP : number * HOP])
        assert stream.settled >= stream.time - latency - 1e-9
        assert stream.settled <= stream.time


def test_nothing_changes_before_settled():
    """No event changes anything before the `settled` time of an earlier event, except the end of a running segment."""
    for latency in (0.5, 1.0, 2.0):
        known, settled, latest = {}, 0.0, None
        for event in stream_of(tones_diarizer(), CONVERSATION, latency):
            if latest is not None and event.time > latest.time:
                settled = latest.settled
            latest, before = event, known.get(event.id)
            if before is not None and before.start < settled:
                assert event.segment is not None and event.segment.start == before.start
                assert (event.segment.speaker, event.segment.emotion) == (before.speaker, before.emotion)
                assert event.segment.end >= min(before.end, settled)
            elif event.segment is not None:
                assert event.segment.start >= settled - 1e-9
            assert event.settled >= settled - 1e-9
            known[event.id] = event.segment


@pytest.mark.slow
def test_no_event_follows_a_final_segment_in_a_real_meeting(diarizer, meeting):
    events = stream_of(diarizer, meeting, 1.0)
    closed = set()
    for event in events:
        assert event.id not in closed
        if event.final or event.segment is None:
            closed.add(event.id)
    assert len(finals(events)) > 3
    assert any(not event.final for event in events)
    assert closed == {event.id for event in events}, "some segments never became final"


@pytest.mark.slow
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(cuts=st.lists(st.integers(0, 160_123), max_size=60), latency=st.sampled_from([0.5, 1.0, 2.0, 5.0]))
def test_events_of_a_real_meeting_do_not_depend_on_block_sizes(diarizer, meeting, cuts, latency):
    assert stream_of(diarizer, meeting, latency, cuts) == whole(diarizer, meeting, latency)


_WHOLE = {}


def whole(diarizer, meeting, latency):
    if latency not in _WHOLE:
        _WHOLE[latency] = stream_of(diarizer, meeting, latency)
        assert len(_WHOLE[latency]) > 10
    return _WHOLE[latency]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 150), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8),
    st.lists(st.integers(0, 200_000), max_size=30),
    st.sampled_from([0.5, 0.75, 1.0, 5.0]),
    st.integers(0, HOP),
)
def test_events_do_not_depend_on_block_sizes(runs, cuts, latency, short):
    samples = tones(*runs)
    samples = samples[: max(1, len(samples) - short)]
    cuts = [cut for cut in cuts if cut <= len(samples)]
    diarizer = tones_diarizer()
    assert stream_of(diarizer, samples, latency, cuts) == stream_of(diarizer, samples, latency)


@pytest.mark.slow
@pytest.mark.parametrize("latency", [0.5, 1.0, 2.0, 5.0])
def test_offline_with_a_latency_equals_live(diarizer, speakers, meeting, latency):
    offline = EmotionDiarizer(tagger=diarizer.tagger, diarizer=speakers, latency=latency)((meeting, RATE))
    assert list(offline) == finals(whole(diarizer, meeting, latency))
    assert offline.posteriors.shape == (frame_count(len(meeting)), 4)
    assert np.allclose(offline.posteriors.sum(1), 1, atol=1e-5)
    assert offline.duration == len(meeting) / RATE
    for segment in offline:  # confidence is the mean of the posteriors that the result carries
        if len(frames := own_frames(offline, segment)):  # without overlap; none: earlier frames are used
            assert segment.confidence == pytest.approx(
                offline.posteriors[frames, offline.labels.index(segment.emotion)].mean(), abs=2e-4
            )


@pytest.mark.parametrize("latency", [0.5, 1.0, 2.0, 5.0])
def test_final_segments_of_a_real_meeting_have_their_most_probable_emotion(diarizer, meeting, latency):
    """And none is shorter than 0.2 s, unless its turn goes on with an emotion that is more probable from there."""
    segments = finals(whole(diarizer, meeting, latency))
    continued = {(segment.speaker, segment.start) for segment in segments}
    for segment in segments:
        assert segment.confidence == max(segment.probabilities.values()), segment
        assert segment.duration >= 0.2 - 1e-9 or (segment.speaker, segment.end) in continued, segment
    assert sum(segment.duration < 0.2 - 1e-9 for segment in segments) <= 1


@pytest.mark.slow
def test_streams_of_one_diarizer_are_independent(diarizer, meeting):
    expected = whole(diarizer, meeting, 1.0)
    one, two, events = diarizer.stream(1.0), diarizer.stream(1.0), []
    for block in np.array_split(meeting, 40):
        events += one.push(block)
        two.push(block[::-1])
    assert events + one.close() == expected


def test_a_longer_latency_gives_better_posteriors():
    """With a longer look-ahead more windows cover a frame, and their posteriors are averaged."""

    class Noisy(Tones):
        def posteriors(self, waves):
            # Wrong at the end of the window, as taggers are.
            out = np.full((len(waves), frame_count(waves.shape[1]), 4), 0.1, np.float32)
            out[..., 0] = 0.7
            out[:, -15:, 0], out[:, -15:, 1] = 0.1, 0.7
            return out

    noisy = Noisy()
    wrong = []
    for latency in (0.5, 1.0, 2.0):
        result = EmotionDiarizer(tagger=noisy, diarizer=noisy, latency=latency)((tones((500, 1, 0)), RATE))
        wrong.append(float((result.posteriors[:400].argmax(1) != 0).mean()))
    assert wrong[0] > wrong[1] >= wrong[2] == 0


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_decoder_works_live(method):
    events = stream_of(tones_diarizer(method), CONVERSATION, 1.0)
    found = [(s.start, s.end, s.speaker, s.emotion) for s in finals(events)]
    assert found == sorted(TRUTH)


def test_current_posteriors():
    stream = tones_diarizer().stream()
    assert stream.current == {} and stream.labels == Tones.labels
    stream.push(tones((50, 1, 2)))
    assert stream.current == pytest.approx({"neutral": 0.1, "happy": 0.1, "angry": 0.7, "sad": 0.1})


def test_silence_and_empty_input(diarizer):
    for samples in (np.zeros(0, np.float32), np.zeros(1, np.float32), np.zeros(3 * RATE + 7, np.float32)):
        stream = diarizer.stream(0.5)
        assert stream.push(samples) + stream.close() == []
        assert stream.time == stream.settled == len(samples) / RATE


def test_unusable_blocks_are_rejected_and_the_stream_continues():
    stream, events = tones_diarizer().stream(1.0), []
    for block in np.array_split(CONVERSATION, 9):
        with pytest.raises(AudioError, match="not finite"):
            stream.push(np.array([0.1, np.nan], np.float32))
        with pytest.raises(AudioError, match="not finite"), np.errstate(over="raise"):
            stream.push(np.array([1e300]))  # exceeds float32
        with pytest.raises(AudioError, match="a sample of 16384: expected a full scale of 1"):
            stream.push(np.array([16384, 5], np.int16).astype(np.float32))
        with pytest.raises(AudioError, match=r"shape \(2, 3\).*expected \(n,\) floats"):
            stream.push(np.zeros((2, 3), np.float32))
        with pytest.raises(AudioError, match="int16"):
            stream.push(np.zeros(3, np.int16))
        events += stream.push(block)
    events += stream.close()
    assert events == stream_of(tones_diarizer(), CONVERSATION, 1.0)
    assert stream.close() == []
    with pytest.raises(SedError, match="closed"):
        stream.push(np.zeros(3, np.float32))


def test_the_caller_may_reuse_a_block():
    stream, block, events = tones_diarizer().stream(1.0), np.empty(100, np.float32), []
    for start in range(0, len(CONVERSATION) - 99, 100):
        block[:] = CONVERSATION[start : start + 100]
        events += stream.push(block)
        block[:] = 33
    events += stream.close()
    assert finals(events) == finals(stream_of(tones_diarizer(), CONVERSATION[: stream._samples], 1.0))


@pytest.mark.parametrize("latency", [0.49, 5.01, 0, -1, float("nan"), float("inf")])
def test_latency_out_of_range(latency):
    with pytest.raises(OptionError, match=r"expected 0.5 to 5 s"):
        tones_diarizer().stream(latency)


def test_live_streams_not_supported():
    offline_only = SimpleNamespace(begin=lambda: None)
    with pytest.raises(OptionError, match="does not support live streams"):
        EmotionDiarizer(tagger=Tones(), diarizer=offline_only).stream()
    with pytest.raises(OptionError, match="split"):
        EmotionDiarizer(tagger=Tones(), channels="split").stream(1.0)


@pytest.mark.slow
@pytest.mark.parametrize(("decoder", "minutes"), [("argmax", 60), ("viterbi", 8)])
def test_memory_is_bounded_over_an_hour(decoder, minutes):
    stream = tones_diarizer(decoder=decoder).stream(1.0)
    minute = tones((400, 1, 0), (200, 2, 3), (300, 0, 0), (600, 3, 1), (1500, 1, 2))
    sizes = []
    for _ in range(minutes):
        stream.push(minute)
        sizes.append(len(pickle.dumps(vars(stream))))  # everything the stream keeps
    assert stream.time == 60 * minutes
    assert max(sizes[1:]) - min(sizes[1:]) < 200 and max(sizes) < 500_000


@pytest.mark.slow
def test_memory_is_bounded_with_real_models(speakers, meeting):
    # Speaker clustering: tracks, runs and embeddings over many turns.
    stream = EmotionDiarizer(tagger=Tones(), diarizer=speakers, speakers=None).stream(1.0)
    loop = np.clip(meeting[: 10 * RATE], 0, 1)
    sizes = []
    for _ in range(6):
        for block in np.array_split(loop, 20):
            stream.push(block)
        session = stream._speakers
        sizes.append(
            len(session._tracker.tracks)
            + sum(len(track.runs) for track in session._tracker.tracks)
            + len(session._registry._pending)
            + len(session._registry.speakers)
        )
    assert max(sizes[3:]) <= max(sizes[:3]) + 6


@pytest.mark.slow
def test_a_refined_result_needs_a_closed_stream_that_keeps_it(diarizer, meeting):
    stream = diarizer.stream(1.0, refine=True)
    events = stream.push(meeting)
    with pytest.raises(SedError, match="expected a closed stream"):
        stream.refined()
    events += stream.close()
    result = stream.refined("meeting")
    assert result.uri == "meeting" and result.segments and result.duration == stream.time
    plain = diarizer.stream(1.0)
    assert plain.push(meeting) + plain.close() == events  # the events are the same with and without
    with pytest.raises(SedError, match="refine=True"):
        plain.refined()
