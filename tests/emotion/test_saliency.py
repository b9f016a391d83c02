"""Saliency: the frames that a label rests on."""

import numpy as np
import pytest
from loud_tagger import write_tagger

from sed.emotion import load_tagger
from sed.emotion.saliency import saliency
from sed.errors import OptionError

RATE = 16_000


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    return load_tagger(write_tagger(tmp_path_factory.mktemp("loud") / "loud.onnx", dimensions=()))


def noise(seconds, level):
    return np.random.default_rng(0).uniform(-level, level, round(seconds * RATE)).astype(np.float32)


def test_the_loud_part_speaks_for_anger_and_against_sadness(tagger):
    samples = np.concatenate([noise(1, 0.05), noise(0.5, 0.9), noise(1, 0.05)])
    angry, sad = (saliency(tagger, samples, label, 0.2, 2.3) for label in ("angry", "sad"))
    assert len(angry) == 105
    loud, soft = slice(45, 60), np.r_[0:30, 75:105]
    assert angry[loud].min() > 3 * np.abs(angry[soft]).max() and sad[loud].max() < 0


def test_only_the_segment_counts_and_its_length_is_free(tagger):
    samples = np.concatenate(
        [noise(6, 0.05), noise(0.5, 0.9), noise(6, 0.05)]
    )  # longer than the tagger's window
    values = saliency(tagger, samples, "angry", 0, 12.5)
    assert len(values) == 625 and 300 <= values.argmax() < 325
    outside = saliency(tagger, samples, "angry", 0, 3)
    assert outside.max() < 1.01 * outside.min(), "the loud part is not in this segment"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bored", 0, 1), "found the label 'bored', expected one of neutral, happy"),
        (("sad", 1, 1), "found a segment from 1 to 1 s"),
        (("sad", 2, 3), "found a segment from 2 to 3 s, expected one within 0 to 1.0 s"),
        (("sad", -1, 1), "found a segment from -1 to 1 s"),
    ],
)
def test_segments_and_labels_that_do_not_exist_are_refused(tagger, arguments, message):
    with pytest.raises(OptionError, match=message):
        saliency(tagger, noise(1, 0.1), *arguments)
    with pytest.raises(OptionError, match=r"found a width of 0\.02 s"):
        saliency(tagger, noise(1, 0.1), "sad", 0, 1, width=0.02)
