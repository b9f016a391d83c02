"""Clips for masked prediction: speech with a cluster for every frame in, batches with targets at masked frames out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sed.corpora.audio import to_float
from sed.corpora.stored import lengths_of
from sed.errors import OptionError
from sed.grid import HOP, SAMPLE_RATE, samples_to_seconds, seconds_to_samples
from sed.training.data.clips import Batch, Speech
from sed.training.recipe.ranges import check_numbers, check_ranges


@dataclass(frozen=True)
class MaskOptions:
    """How clips are cut and masked. Times in seconds."""

    length: Sequence[float] = (2.0, 8.0)
    """Range of clip lengths; one per batch. Shorter utterances are padded."""
    batch_seconds: float = 80.0
    """Amount of audio per batch, rounded to whole clips."""
    starts: float = 0.08
    """Share of frames at which a mask starts: HuBERT's; wav2vec 2.0 has 0.065. Masks may overlap."""
    frames: int = 10
    """Frames of a mask, 20 ms each."""

    def __post_init__(self) -> None:
        """Raise `OptionError` on invalid lengths and shares."""
        check_ranges(self, ["length"], samples_to_seconds(HOP))
        check_numbers(self, ["batch_seconds"], 0)
        check_numbers(self, ["starts"], 0, 1)
        if not (isinstance(self.frames, int) and self.frames >= 1):
            raise OptionError(f"frames: found {self.frames!r}, expected an integer of 1 or more")


class MaskedClips:
    """Draws batches of clips whose targets are the clusters of masked frames, and -1 elsewhere.

    Utterances are drawn in proportion to their duration. `clusters` holds those of each utterance's frames. Batch *n*
    depends on `seed` and *n* only.
    """

    def __init__(
        self, speech: Speech, clusters: Sequence[np.ndarray], options: MaskOptions, seed: int
    ) -> None:
        self.speech, self.clusters, self.options, self.seed = speech, clusters, options, seed
        lengths = np.array([samples for _, samples in lengths_of(speech)], float)
        if not lengths.sum():
            raise OptionError("found no speech to predict, expected some")
        self._shares = lengths / lengths.sum()

    def batch(self, number: int) -> Batch:
        """Batch `number`; every clip has at least one masked frame."""
        rng = np.random.default_rng([self.seed, number])
        shortest, longest = (seconds_to_samples(seconds) // HOP for seconds in self.options.length)
        frames = int(rng.integers(shortest, longest, endpoint=True))
        count = max(1, round(self.options.batch_seconds * SAMPLE_RATE / (frames * HOP)))
        waves = np.zeros((count, frames * HOP), np.float32)
        targets = np.full((count, frames), -1, np.int64)
        lengths = np.zeros(count, np.int64)
        for row, chosen in enumerate(rng.choice(len(self._shares), count, p=self._shares)):
            labels = self.clusters[chosen]
            first = int(rng.integers(max(len(labels) - frames, 0) + 1))
            part = to_float(self.speech[int(chosen)][1][first * HOP : (first + frames) * HOP])
            own = labels[first : first + frames]
            waves[row, : len(part)], lengths[row] = part, len(part)
            masked = draw_mask(rng, len(own), self.options.starts, self.options.frames)
            targets[row, : len(own)] = np.where(masked, own, -1)
        return Batch(waves, targets, lengths=lengths)


def draw_mask(rng: np.random.Generator, frames: int, starts: float, span: int) -> np.ndarray:
    """Which of `frames` frames are masked, bool: `span` frames from each of a share `starts` of them, at least one.

    >>> int(draw_mask(np.random.default_rng(0), 100, 0.04, 10).sum()) in range(10, 41)
    True
    """
    count = max(1, round(starts * frames))
    masked = np.zeros(frames, bool)
    for first in rng.choice(max(frames - span, 0) + 1, min(count, max(frames - span, 0) + 1), replace=False):
        masked[first : first + span] = True
    return masked
