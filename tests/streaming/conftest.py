"""Real models for streams, with cached outputs: each window of audio is processed once per test session."""

import hashlib

import numpy as np
import pytest
import soundfile

from sed import EmotionDiarizer
from sed.emotion import load_tagger
from sed.speakers import SegmentationDiarizer


class Cached:
    """A function of an array that is computed once per content."""

    def __init__(self, function):
        self.function, self.results, self.calls = function, {}, 0

    def __call__(self, array):
        key = hashlib.blake2b(np.ascontiguousarray(array).tobytes() + str(array.shape).encode()).digest()
        if key not in self.results:
            self.calls += 1
            self.results[key] = self.function(array)
        return self.results[key].copy()


class CachedTagger:
    def __init__(self, tagger):
        self.labels, self.frame_rate, self.window = tagger.labels, tagger.frame_rate, tagger.window
        self.posteriors = Cached(tagger.posteriors)


class CachedEmbedding(Cached):
    """Replaces a `SpeakerEmbedding`."""


@pytest.fixture(scope="session")
def speakers():
    diarizer = SegmentationDiarizer()
    diarizer.segmentation.activities = Cached(diarizer.segmentation.activities)
    diarizer.embedding = CachedEmbedding(diarizer.embedding)
    return diarizer


@pytest.fixture(scope="session")
def diarizer(speakers):
    """The bundled models, shared by all tests."""
    return EmotionDiarizer(tagger=CachedTagger(load_tagger()), diarizer=speakers)


@pytest.fixture(scope="session")
def meeting(data):
    """Ten seconds of a real meeting in which speakers interrupt each other."""
    samples, rate = soundfile.read(data / "ami_trn00.flac", dtype="float32")
    assert rate == 16_000
    return samples[10 * rate : 20 * rate + 123]
