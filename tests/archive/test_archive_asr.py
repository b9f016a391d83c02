"""`--asr`: the recogniser gets the audio that is analysed, which is opened and decoded once."""

import os
import threading

import numpy as np
import pytest
import soundfile

from sed.archive.inputs import Input
from sed.archive.outputs import Outputs
from sed.archive.work import Job, Order, Worker
from sed.audio import open_audio
from sed.transcripts import Sentence, Transcript, Word

CLIP = "emodb_15_angry_1.flac"
SETTINGS = {"vad": "webrtc", "diarizer": "none"}  # the fastest


class Recogniser:
    """Finds one word in everything, and keeps what it was given."""

    def __init__(self):
        self.given = []

    def __call__(self, samples, uri):
        self.given.append(samples)
        return Transcript(uri=uri, sentences=(Sentence(0.5, 1.0, "so", (Word("so", 0.5, 1.0),)),))


def work(path, outputs, **settings):
    worker = Worker(Order(SETTINGS | settings, outputs))
    worker._engine = recogniser = Recogniser()
    report = worker.do(Job(0, Input(str(path), "call.wav")))
    assert report.error is None, report.error
    return recogniser.given, report


@pytest.fixture
def outputs(tmp_path):
    return Outputs.parse(["webvtt"], str(tmp_path / "out"), 1)


def test_a_source_that_can_be_read_once_is_enough(data, tmp_path, outputs):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(
        target=lambda: (tmp_path / "pipe").write_bytes((data / CLIP).read_bytes()), daemon=True
    )
    writer.start()
    given, _ = work(tmp_path / "pipe", outputs)
    writer.join(5)
    with open_audio(data / CLIP) as audio:
        expected = np.concatenate(list(audio))
    assert len(given) == 1 and np.array_equal(given[0], expected)
    assert "so" in (tmp_path / "out" / "call.vtt").read_text()


@pytest.mark.parametrize("channels, weights", [(2, (0, 1)), ("split", (0.5, 0.5))])
def test_chosen_channels_are_recognised(tmp_path, outputs, channels, weights):
    samples = np.random.default_rng(0).normal(0, 0.1, (32_000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "two.wav", samples, 16_000, subtype="FLOAT")
    given, _ = work(tmp_path / "two.wav", outputs, channels=channels)
    assert given[0].shape == (32_000,) and np.allclose(
        given[0], samples @ np.array(weights, np.float32), atol=1e-6
    )
