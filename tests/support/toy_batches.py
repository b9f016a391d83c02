"""A tagger, utterances and batches for tests of objectives, without audio."""

from pathlib import Path

import numpy as np
from torch import nn

from sed.corpora.audio import Utterance
from sed.training.data.clips import Batch

WIDTH = 6


class Tagger(nn.Module):
    """The parts of a tagger that objectives use."""

    labels = ("neutral", "happy", "angry", "sad")

    def __init__(self):
        super().__init__()
        self.classifier = nn.Linear(WIDTH, 4)

    def forward(self, x):
        return self.classifier(x)


def speech(emotions, speakers=None, ratings=None, corpora=None):
    size = len(emotions)
    speakers, ratings = speakers or ["s"] * size, ratings or [None] * size
    rows = zip(corpora or ["c"] * size, speakers, emotions, ratings, strict=True)
    return [(Utterance(c, Path(), s, e, "train", r), np.zeros(1, np.int16)) for c, s, e, r in rows]


def batch(events, frames=40):
    targets = np.zeros((len(events), frames), np.int64)
    return Batch(np.zeros((len(events), frames * 320), np.float32), targets, None, events)
