"""Stages run their jobs in order and concurrently, queues are bounded, and exceptions reach the caller."""

import threading

import numpy as np
import pytest

from sed import EmotionDiarizer
from sed.grid import SAMPLE_RATE, frame_count
from sed.stage_pool import StagePool

TIMEOUT = 20.0  # seconds that a job waits for an event


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_jobs_of_a_stage_run_in_order(threads):
    done = {stage: [] for stage in range(3)}
    with StagePool(threads) as stages:
        for number in range(50):
            stages.run([lambda stage=stage, number=number: done[stage].append(number) for stage in done])
        stages.finish()
    assert all(numbers == list(range(50)) for numbers in done.values())
    assert stages.finished == 50


def test_a_stage_does_not_wait_for_another_one():
    third = threading.Event()
    reached = []

    def slow():
        reached.append(third.wait(TIMEOUT))

    with StagePool(2) as stages:
        stages.run([slow, lambda: None])
        stages.run([lambda: None, lambda: None])
        stages.run([lambda: None, third.set])
        stages.finish()
    assert reached == [True]


def test_queues_are_bounded():
    release, submitted = threading.Event(), []
    with StagePool(2, ahead=2) as stages:

        def submit():
            for number in range(8):
                stages.run([lambda: release.wait(TIMEOUT)])
                submitted.append(number)

        submitter = threading.Thread(target=submit)
        submitter.start()
        submitter.join(0.3)
        assert submitter.is_alive() and len(submitted) <= 3  # one running, two queued
        release.set()
        submitter.join(TIMEOUT)
        stages.finish()
    assert len(submitted) == 8


@pytest.mark.parametrize("threads", [1, 2])
def test_an_exception_of_a_job_is_raised_in_the_caller(threads):
    later = []

    def fail():
        raise ValueError("block 1")

    with pytest.raises(ValueError, match="block 1"), StagePool(threads) as stages:
        stages.run([fail, lambda: None])
        for _ in range(100):
            stages.run([lambda: later.append(1), lambda: None])
        stages.finish()
    assert not later


class Loudness:
    """A tagger whose posteriors follow the level, so that a misplaced block changes the result."""

    labels, frame_rate, window = ("neutral", "angry"), 50, 5 * SAMPLE_RATE

    def posteriors(self, waves):
        frames = frame_count(waves.shape[1])
        level = np.abs(waves[:, : frames * 320]).reshape(len(waves), frames, -1).mean(2)
        return np.stack([1 - level, level], 2).astype(np.float32)


def test_the_result_does_not_depend_on_threads_and_progress_is_reported_for_every_block():
    rng = np.random.default_rng(0)
    rise = np.linspace(0.1, 0.9, 65 * SAMPLE_RATE)
    audio = ((rng.random(len(rise)) * rise).astype(np.float32), SAMPLE_RATE)
    found, reported = [], []
    for threads in (1, 3):
        seen = []
        diarizer = EmotionDiarizer(tagger=Loudness(), diarizer="none", vad="webrtc", threads=threads)
        found.append(diarizer(audio, progress=lambda done, whole, seen=seen: seen.append((done, whole))))
        reported.append(seen)
    assert found[0].segments == found[1].segments
    assert np.array_equal(found[0].posteriors, found[1].posteriors)
    assert reported[0] == reported[1] and reported[0][-1] == (65.0, 65.0) and len(reported[0]) > 3
