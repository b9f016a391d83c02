"""Is anyone speaking: the common form of every voice activity detector, and the default one.

In: 16 kHz float32 blocks of any size. Out: a bool for every 20 ms frame of `sed.grid`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from sed.grid import HOP, frame_count
from sed.speech.segmentation import WINDOW_FRAMES, Segmentation, SegmentationStream


class SpeechSession(Protocol):
    """Finds the speech of one recording whose samples arrive in blocks, in bounded memory."""

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take the next ``(n,)`` float32 samples; returns the ``(frames,)`` bool that have become known."""
        ...

    def close(self) -> np.ndarray:
        """The remaining frames; all together there are ``sed.grid.frame_count(samples)``."""
        ...


class SpeechDetector(Protocol):
    """A way to detect speech; may serve many recordings one after the other."""

    def begin(self) -> SpeechSession:
        """Start on a new recording."""
        ...


class SegmentationDetector:
    """Speech is where segmentation-3.0 hears anyone with a probability of `onset` or more.

    `network` is a `Segmentation` (None: the bundled one, on `threads` threads), `step` the seconds from one of
    its windows to the next, whose probabilities are averaged.

    >>> session = SegmentationDetector().begin()
    >>> len(session.push(np.zeros(40_000, np.float32))) + len(session.close())
    125
    """

    def __init__(
        self, network: Segmentation | None = None, step: float = 5.0, onset: float = 0.5, threads: int = 1
    ) -> None:
        self.network = network or Segmentation(threads=threads)
        self.step, self.onset = step, onset

    def begin(self) -> SegmentationSpeechSession:
        """Start on a new recording."""
        return SegmentationSpeechSession(self)


class SegmentationSpeechSession:
    """One recording on its way through a `SegmentationDetector`."""

    def __init__(self, detector: SegmentationDetector) -> None:
        self._onset = detector.onset
        self._stream = SegmentationStream(detector.network.activities, detector.step)
        self._total = np.zeros(WINDOW_FRAMES, np.float32)  # of the frames that a later window may hear again
        self._weight = np.zeros(WINDOW_FRAMES, np.float32)
        self._samples = self._given = 0

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take the next samples; returns the frames that have become known."""
        self._samples += len(samples)
        return self._take(self._stream.push(samples))

    def _take(self, windows: Iterable[tuple[int, np.ndarray]]) -> np.ndarray:
        hop = self._stream.step // HOP
        known = []
        for _, activities in windows:
            self._total += activities.max(1)
            self._weight += 1
            known.append(self._total[:hop] >= self._onset * self._weight[:hop])
            self._total = np.append(self._total[hop:], np.zeros(hop, np.float32))
            self._weight = np.append(self._weight[hop:], np.zeros(hop, np.float32))
            self._given += hop
        return np.concatenate([np.zeros(0, bool), *known])

    def close(self) -> np.ndarray:
        """The remaining frames."""
        rest = self._take(self._stream.close())
        rest = np.append(rest, self._total >= self._onset * np.maximum(self._weight, 1))
        missing = frame_count(self._samples) - (self._given - (len(rest) - len(self._total)))
        return rest[:missing]
