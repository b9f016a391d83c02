"""Real models for streams, with a memory: the same window of audio is heard once a test session."""

import hashlib

import numpy as np
import pytest
import soundfile

from sed import EmotionDiarizer
from sed.emotion import load_tagger
from sed.speakers import SegmentationDiarizer


class Remembering:
    """A function of an array that is computed once for each content."""

    def __init__(self, function):
        self.function, self.memory, self.calls = function, {}, 0

    def __call__(self, array):
        key = hashlib.blake2b(np.ascontiguousarray(array).tobytes() + str(array.shape).encode()).digest()
        if key not in self.memory:
            self.calls += 1
            self.memory[key] = self.function(array)
        return self.memory[key].copy()


class RememberingTagger:
    def __init__(self, tagger):
        self.labels, self.frame_rate, self.window = tagger.labels, tagger.frame_rate, tagger.window
        self.posteriors = Remembering(tagger.posteriors)


class Voices(Remembering):
    """Stands where a `SpeakerEmbedding` stands."""


@pytest.fixture(scope="session")
def speakers():
    diarizer = SegmentationDiarizer()
    diarizer.segmentation.activities = Remembering(diarizer.segmentation.activities)
    diarizer.embedding = Voices(diarizer.embedding)
    return diarizer


@pytest.fixture(scope="session")
def diarizer(speakers):
    """The bundled models; may serve all tests, as streams share models."""
    return EmotionDiarizer(tagger=RememberingTagger(load_tagger()), diarizer=speakers)


@pytest.fixture(scope="session")
def meeting(data):
    """Ten seconds of a real meeting: people who interrupt each other."""
    samples, rate = soundfile.read(data / "ami_trn00.flac", dtype="float32")
    assert rate == 16_000
    return samples[10 * rate : 20 * rate + 123]
