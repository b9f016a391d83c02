"""`ProfileCollector`: profiles of speakers whose turns another stage finds or knows, in one pass and bounded memory.

In: 16 kHz audio in blocks, and for its 20 ms frames who is active, at the same time or later. Out: `SpeakerProfile`s.
The first 15 s of clean speech of each speaker are embedded, in windows on an absolute grid, so that the result
does not depend on the blocks; after that they cost nothing.
"""

from __future__ import annotations

import numpy as np

from sed.audio.fbank import FEATURES_PER_FRAME
from sed.grid import FRAME_RATE, HOP, seconds_to_frames
from sed.result import SpeakerProfile
from sed.speakers.embedding import FeatureStream, SpeakerEmbedding
from sed.speakers.projection import Projection

WINDOW = seconds_to_frames(2.5)
MIN_FRAMES = seconds_to_frames(0.5)
"""Clean speech of a window that is embedded."""
MAX_SECONDS = 15.0
"""Clean speech of a speaker that is embedded."""


class ProfileCollector:
    """Collects the profiles of `speakers` speakers with the bundled networks; `embedding` is None or a shared one.

    >>> collector = ProfileCollector(2)
    >>> collector.push(np.random.default_rng(0).normal(0, 0.1, 80_000).astype(np.float32))
    >>> collector.decide(np.repeat([[True, False], [True, True]], 125, 0))
    >>> [profile and profile.seconds for profile in collector.close()]
    [2.5, None]
    """

    def __init__(self, speakers: int, embedding: SpeakerEmbedding | None = None) -> None:
        self._embedding, self._projection = embedding or SpeakerEmbedding(), Projection.bundled()
        self._features = FeatureStream()
        self._samples = 0
        self._pending = np.zeros((0, speakers), bool)  # who is active, from the start of the next window
        self._next = 0  # first frame of the next window
        self._sums: list[np.ndarray | float] = [0.0] * speakers
        self._seconds = np.zeros(speakers)

    @property
    def _complete(self) -> bool:
        return bool((self._seconds >= MAX_SECONDS).all())

    def push(self, samples: np.ndarray) -> None:
        """The next ``(n,)`` float32 samples."""
        self._samples += len(samples)
        if not self._complete:
            self._features.push(samples)

    def decide(self, active: np.ndarray) -> None:
        """The active speakers of the next frames, ``(frames, speakers)`` bool; their audio has been pushed."""
        if self._complete:
            return
        self._pending = np.concatenate([self._pending, active])
        ready = self._samples // HOP - FRAME_RATE  # features of these frames are available
        while len(self._pending) >= WINDOW and self._next + WINDOW <= ready:
            self._process()

    def close(self) -> list[SpeakerProfile | None]:
        """The profile of each speaker, None without clean speech."""
        self._features.close()
        while len(self._pending):
            self._process()
        found = zip(self._sums, self._seconds.tolist(), strict=True)
        return [SpeakerProfile.from_sum(np.asarray(total), s) if s else None for total, s in found]

    def _process(self) -> None:
        window, self._pending = self._pending[:WINDOW], self._pending[WINDOW:]
        start, self._next = self._next, self._next + WINDOW
        clean = window & (window.sum(1, keepdims=True) == 1)
        wanted = (clean.sum(0) >= MIN_FRAMES) & (self._seconds < MAX_SECONDS)
        if wanted.any():
            features = self._features.between(start, start + len(window))
            features = features.reshape(len(window), FEATURES_PER_FRAME, -1)
            for speaker in np.flatnonzero(wanted).tolist():
                own = features[clean[:, speaker]]
                seconds = len(own) / FRAME_RATE
                vector = self._projection(self._embedding(own.reshape(-1, own.shape[2])))
                self._sums[speaker] = self._sums[speaker] + vector * np.float64(seconds)
                self._seconds[speaker] += seconds
        self._features.drop(self._next)
        if self._complete:
            self._features, self._pending = FeatureStream(), self._pending[:0]
