"""Jobs of a lane stay in order, lanes do not wait for each other, nothing runs far ahead, errors come out."""

import threading

import numpy as np
import pytest

from sed import EmotionDiarizer
from sed.grid import SAMPLE_RATE, frame_count
from sed.stage_pool import StagePool

WAIT = 20.0  # seconds after which a job that should have been let go gives up


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_each_lane_keeps_its_order(threads):
    done = {lane: [] for lane in range(3)}
    with StagePool(threads) as lanes:
        for number in range(50):
            lanes.run([lambda lane=lane, number=number: done[lane].append(number) for lane in done])
        lanes.finish()
    assert all(numbers == list(range(50)) for numbers in done.values())
    assert lanes.finished == 50


def test_a_lane_does_not_wait_for_another_one():
    third = threading.Event()
    met = []

    def slow():
        met.append(third.wait(WAIT))

    with StagePool(2) as lanes:
        lanes.run([slow, lambda: None])
        lanes.run([lambda: None, lambda: None])
        lanes.run([lambda: None, third.set])
        lanes.finish()
    assert met == [True]


def test_nothing_runs_far_ahead():
    go, given = threading.Event(), []
    with StagePool(2, ahead=2) as lanes:

        def give():
            for number in range(8):
                lanes.run([lambda: go.wait(WAIT)])
                given.append(number)

        giver = threading.Thread(target=give)
        giver.start()
        giver.join(0.3)
        assert giver.is_alive() and len(given) <= 3  # one at work and two that wait
        go.set()
        giver.join(WAIT)
        lanes.finish()
    assert len(given) == 8


@pytest.mark.parametrize("threads", [1, 2])
def test_what_a_job_raises_comes_out(threads):
    later = []

    def fail():
        raise ValueError("block 1")

    with pytest.raises(ValueError, match="block 1"), StagePool(threads) as lanes:
        lanes.run([fail, lambda: None])
        for _ in range(100):
            lanes.run([lambda: later.append(1), lambda: None])
        lanes.finish()
    assert not later


class Loudness:
    """A tagger whose posteriors follow the level, so that a block out of place shows."""

    labels, frame_rate, window = ("neutral", "angry"), 50, 5 * SAMPLE_RATE

    def posteriors(self, waves):
        frames = frame_count(waves.shape[1])
        level = np.abs(waves[:, : frames * 320]).reshape(len(waves), frames, -1).mean(2)
        return np.stack([1 - level, level], 2).astype(np.float32)


def test_threads_change_nothing_and_progress_tells_of_every_block():
    rng = np.random.default_rng(0)
    rise = np.linspace(0.1, 0.9, 65 * SAMPLE_RATE)
    audio = ((rng.random(len(rise)) * rise).astype(np.float32), SAMPLE_RATE)
    found, told = [], []
    for threads in (1, 3):
        seen = []
        diarizer = EmotionDiarizer(tagger=Loudness(), diarizer="none", vad="webrtc", threads=threads)
        found.append(diarizer(audio, progress=lambda done, whole, seen=seen: seen.append((done, whole))))
        told.append(seen)
    assert found[0].segments == found[1].segments
    assert np.array_equal(found[0].posteriors, found[1].posteriors)
    assert told[0] == told[1] and told[0][-1] == (65.0, 65.0) and len(told[0]) > 3
