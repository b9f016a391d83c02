"""Whole runs with an injected stream and source: order, losses, and all ways in which a run can end."""

import logging
import threading
import time

import numpy as np
import pytest
import soundfile

from sed.errors import AudioError, DeviceError, SedError
from sed.live.recorder import WavRecorder
from sed.live.session import LiveSession
from sed.result import Segment
from sed.streaming.events import Event


class SecondStream:
    """One segment per second of audio; the emotion is ``happy`` if its first sample is positive."""

    labels = ("neutral", "happy")

    def __init__(self, delay: float = 0.0, fail_at: float | None = None) -> None:
        self.received = np.zeros(0, np.float32)
        self.done = 0
        self.closed = 0
        self.current: dict[str, float] = {}
        self._delay, self._fail_at = delay, fail_at

    def push(self, samples):
        assert samples.dtype == np.float32
        assert not self.closed
        time.sleep(self._delay)
        self.received = np.concatenate([self.received, samples])
        now = len(self.received) / 16_000
        if self._fail_at is not None and now > self._fail_at:
            raise AudioError("the stream has failed")
        self.current = {"neutral": 1.0, "happy": 0.0}
        events = [Event(self.done, self._segment(self.done, now), False, now, now)] if now > self.done else []
        while now >= self.done + 1:
            events.append(Event(self.done, self._segment(self.done, self.done + 1), True, now, now))
            self.done += 1
        return events

    def close(self):
        self.closed += 1
        now = len(self.received) / 16_000
        return [Event(self.done, self._segment(self.done, now), True, now, now)] if now > self.done else []

    def _segment(self, start, end):
        emotion = "happy" if self.received[start * 16_000] > 0 else "neutral"
        return Segment(float(start), float(end), "spk00", emotion, 1.0)


class BlockSource:
    """Delivers `blocks` from a separate thread; `after`: whether it then ends, waits, or is lost."""

    name = "test source"

    def __init__(self, blocks, rate=16_000, after="end", max_wait=60.0, pause=0.0) -> None:
        self.rate = rate
        self.stopped = 0
        self._blocks, self._after, self._max_wait, self._pause = blocks, after, max_wait, pause
        self._gone = threading.Event()
        self.all_put = threading.Event()

    def start(self, queue):
        if self._after == "fail":
            raise DeviceError("cannot open the microphone")
        threading.Thread(target=self._play, args=(queue,), daemon=True).start()

    def _play(self, queue):
        for block in self._blocks:
            queue.put(block, self._max_wait)
            time.sleep(self._pause)
        self.all_put.set()
        if self._after == "end":
            queue.finish()
        if self._after == "lost":
            self._gone.set()

    def check(self):
        if self._gone.is_set():
            raise DeviceError("the microphone test source was lost")

    def max_wait(self):
        return self._max_wait

    def stop(self):
        self.stopped += 1


class RecordingListener:
    def __init__(self) -> None:
        self.events, self.finals, self.losses = [], [], []

    def event(self, event):
        self.events.append(event)

    def final(self, segment):
        self.finals.append(segment)

    def lost(self, start, end):
        self.losses.append((start, end))


def audio(seconds, rate=16_000):
    return np.random.default_rng(3).integers(1, 20_000, round(seconds * rate)).astype(np.int16)


def cut(wave, size):
    return [wave[i : i + size] for i in range(0, len(wave), size)]


@pytest.mark.parametrize("size", [160, 777, 50_000])
def test_all_audio_is_processed_exactly_and_in_order(tmp_path, size):
    wave, stream, listener = audio(3.5), SecondStream(), RecordingListener()
    recorder = WavRecorder(tmp_path / "a.wav", 16_000)
    session = LiveSession(
        BlockSource(cut(wave, size)), stream, uri="x", recorder=recorder, listeners=[listener]
    )
    session.run(period=0.01)
    np.testing.assert_array_equal(stream.received, wave / np.float32(32768))
    np.testing.assert_array_equal(soundfile.read(tmp_path / "a.wav", dtype="int16")[0], wave)
    result = session.result()
    assert [(s.start, s.end, s.emotion) for s in result] == [
        (0.0, 1.0, "happy"),
        (1.0, 2.0, "happy"),
        (2.0, 3.0, "happy"),
        (3.0, 3.5, "happy"),
    ]
    assert (result.uri, result.duration) == ("x", 3.5)
    assert tuple(listener.finals) == result.segments
    assert [e.segment for e in listener.events if e.final] == listener.finals
    assert stream.closed == 1
    assert session.status.captured == session.status.analysed == 3.5
    assert session.status.backlog == 0.0


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_other_rates_are_resampled_without_shift_or_loss(tmp_path, rate):
    wave = np.zeros(3 * rate, np.int16)
    wave[2 * rate] = 20_000  # a click at 2 s
    stream = SecondStream()
    session = LiveSession(
        BlockSource(cut(wave, rate // 20), rate), stream, recorder=WavRecorder(tmp_path / "a.wav", rate)
    )
    session.run(period=0.01)
    assert len(stream.received) == 48_000
    assert abs(int(np.abs(stream.received).argmax()) - 32_000) <= 1
    assert session.result().duration == 3.0
    assert soundfile.info(tmp_path / "a.wav").samplerate == rate


@pytest.mark.parametrize("size", [160, 999])
def test_the_duration_is_exact_to_the_sample(tmp_path, size):
    wave, stream = audio(4), SecondStream()
    source = BlockSource(cut(wave, size), after="wait")
    session = LiveSession(source, stream, recorder=WavRecorder(tmp_path / "a.wav", 16_000), duration=2.3)
    session.run(period=0.01)
    assert len(stream.received) == soundfile.info(tmp_path / "a.wav").frames == 36_800
    assert session.result().duration == 2.3
    assert source.stopped


@pytest.mark.slow
def test_stop_processes_the_backlog():
    source, stream = BlockSource(cut(audio(5), 800), after="wait"), SecondStream(delay=0.005)
    session = LiveSession(source, stream)
    session.run(tick=lambda: session.stop() if source.all_put.is_set() and not session.stopping else None)
    assert len(stream.received) == 80_000
    assert stream.closed == 1


def test_a_second_stop_discards_the_backlog_and_reports_it(caplog):
    source, stream = BlockSource(cut(audio(8), 800), after="wait"), SecondStream(delay=0.05)
    listener = RecordingListener()
    session = LiveSession(source, stream, listeners=[listener])

    def tick():
        if source.all_put.is_set():
            session.stop()

    started = time.monotonic()
    with caplog.at_level(logging.WARNING, "sed"):
        session.run(tick=tick, period=0.02)
    assert time.monotonic() - started < 6.0
    processed = len(stream.received) / 16_000
    assert processed < 7
    assert listener.losses == [(pytest.approx(processed), 8.0)]
    assert session.status.lost == pytest.approx(8 - processed)
    assert "not processed" in caplog.text
    assert session.result().duration == 8.0


@pytest.mark.slow
def test_overload_is_counted_reported_and_still_recorded(tmp_path, caplog):
    wave = audio(9)
    source = BlockSource(cut(wave, 1600), max_wait=0.0, pause=0.002)  # 0.2 s for 9 s of audio: far too fast
    stream, listener = SecondStream(delay=0.01), RecordingListener()
    recorder = WavRecorder(tmp_path / "a.wav", 16_000)
    session = LiveSession(source, stream, recorder=recorder, listeners=[listener], backlog=2.0)
    with caplog.at_level(logging.WARNING, "sed"):
        session.run(period=0.01)
    lost = sum(b - a for a, b in listener.losses)
    assert lost > 1
    assert session.status.lost == pytest.approx(lost)
    assert len(stream.received) / 16_000 == pytest.approx(9 - lost)
    assert "not processed" in caplog.text
    np.testing.assert_array_equal(soundfile.read(tmp_path / "a.wav", dtype="int16")[0], wave)
    parts, position = [], 0.0  # the processed audio is the recording without the gaps
    for a, b in [*listener.losses, (9.0, 9.0)]:
        parts.append(wave[round(position * 16_000) : round(a * 16_000)])
        position = b
    np.testing.assert_array_equal(stream.received, np.concatenate(parts) / np.float32(32768))
    result = session.result()
    assert result.duration == 9.0
    assert sum(s.duration for s in result) == pytest.approx(9 - lost)
    assert all(s.end <= a + 1e-9 or s.start >= b - 1e-9 for s in result for a, b in listener.losses)


@pytest.mark.slow
def test_a_disk_that_is_too_slow_gives_silence_of_the_correct_length(tmp_path, caplog):
    class SlowDisk(WavRecorder):
        def write(self, samples):
            time.sleep(0.03)
            super().write(samples)

    wave, stream, listener = audio(6), SecondStream(), RecordingListener()
    source = BlockSource(cut(wave, 1600), max_wait=0.0, pause=0.002)
    recorder = SlowDisk(tmp_path / "a.wav", 16_000)
    session = LiveSession(source, stream, recorder=recorder, listeners=[listener], backlog=1.0)
    with caplog.at_level(logging.WARNING, "sed"):
        session.run(period=0.01)
    assert "not recorded" in caplog.text
    assert listener.losses
    expected = wave.copy()
    for a, b in listener.losses:
        expected[round(a * 16_000) : round(b * 16_000)] = 0
    np.testing.assert_array_equal(soundfile.read(tmp_path / "a.wav", dtype="int16")[0], expected)
    assert session.result().duration == 6.0


def test_a_lost_device_keeps_the_results(tmp_path):
    source, stream = BlockSource(cut(audio(2.5), 800), after="lost"), SecondStream()
    session = LiveSession(source, stream, recorder=WavRecorder(tmp_path / "a.wav", 16_000))
    with pytest.raises(DeviceError, match="test source was lost"):
        session.run(period=0.01)
    assert session.result().duration == 2.5
    assert len(session.result()) == 3
    assert soundfile.info(tmp_path / "a.wav").frames == 40_000


def test_a_device_that_cannot_be_opened():
    session = LiveSession(BlockSource([], after="fail"), SecondStream())
    with pytest.raises(DeviceError, match="cannot open"):
        session.run(period=0.01)
    assert len(session.result()) == 0


def test_a_failing_stream_ends_the_run_and_the_recording_is_complete(tmp_path):
    source = BlockSource(cut(audio(5), 800), after="wait")
    stream = SecondStream(fail_at=2.0)
    session = LiveSession(source, stream, recorder=WavRecorder(tmp_path / "a.wav", 16_000))
    with pytest.raises(AudioError, match="has failed"):
        session.run(period=0.01)
    assert [s.end for s in session.result()] == [1.0, 2.0]
    assert soundfile.info(tmp_path / "a.wav").frames > 32_000
    assert source.stopped


def test_a_full_disk_ends_the_run_and_the_backlog_is_processed():
    class FullDisk:
        path, samples = "a.wav", 0

        def write(self, samples):
            self.samples += len(samples)
            if self.samples > 16_000:
                raise OSError(28, "No space left on device")

        def close(self):
            pass

    source, stream = BlockSource(cut(audio(3), 800), after="wait"), SecondStream()
    session = LiveSession(source, stream, recorder=FullDisk())
    with pytest.raises(SedError, match=r"recording to a\.wav failed: No space left on device"):
        session.run(period=0.01)
    assert len(stream.received) > 16_000
    assert stream.closed == 1


def test_a_listener_that_fails_ends_the_run():
    class Broken(RecordingListener):
        def final(self, segment):
            raise BrokenPipeError(32, "Broken pipe")

    session = LiveSession(BlockSource(cut(audio(5), 800), after="wait"), SecondStream(), listeners=[Broken()])
    with pytest.raises(BrokenPipeError):
        session.run(period=0.01)


def test_digital_silence_is_reported_once(caplog):
    blocks = cut(np.zeros(5 * 16_000, np.int16), 800)
    with caplog.at_level(logging.WARNING, "sed"):
        LiveSession(BlockSource(blocks), SecondStream()).run(period=0.01)
    assert [r.getMessage() for r in caplog.records] == [
        "test source delivers only digital silence: is it muted, or is access denied?"
    ]


@pytest.mark.slow
def test_levels_and_load():
    square = np.full(16_000, 16_384, np.int16)
    levels = []
    source = BlockSource(cut(square, 1600))
    session = LiveSession(source, SecondStream(delay=0.05), on_level=lambda t, db: levels.append((t, db)))
    session.run(period=0.01)
    assert levels[0] == (0.1, pytest.approx(-6.02, abs=0.01))
    assert session.status.level == session.status.peak == pytest.approx(-6.02, abs=0.01)
    assert session.status.load > 0.45  # 0.05 s for every 0.1 s
    assert session.status.probabilities == {"neutral": 1.0, "happy": 0.0}


@pytest.mark.slow
def test_an_idle_run_takes_almost_no_cpu_time():
    source, session = BlockSource([], after="wait"), None
    session = LiveSession(source, SecondStream())
    threading.Timer(1.0, session.stop).start()
    before = time.process_time()
    session.run()
    assert time.process_time() - before < 0.1
