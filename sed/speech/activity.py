"""The speech detector protocol, and the default detector, which uses the segmentation network.

In: 16 kHz float32 blocks of any size. Out: one bool per 20 ms frame of `sed.grid`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from sed.grid import HOP, frame_count
from sed.speech.segmentation import WINDOW_FRAMES, Segmentation, SegmentationStream


class SpeechSession(Protocol):
    """Detects the speech of one recording that arrives in blocks, in bounded memory."""

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Process the next ``(n,)`` float32 samples; returns ``(frames,)`` bool of the frames decided by them."""
        ...

    def close(self) -> np.ndarray:
        """The remaining frames; in total there are ``sed.grid.frame_count(samples)``."""
        ...


class SpeechDetector(Protocol):
    """A speech detector; holds the model and may process several recordings one after another."""

    def begin(self) -> SpeechSession:
        """Start a new recording."""
        ...


class SegmentationDetector:
    """Speech is where the segmentation network finds an active speaker with a probability of at least `onset`.

    `network` is a `Segmentation` (None: the bundled one with `threads` CPU threads on `device`), `step` the hop between
    windows in seconds. The probabilities of overlapping windows are averaged.

    >>> session = SegmentationDetector().begin()
    >>> len(session.push(np.zeros(40_000, np.float32))) + len(session.close())
    125
    """

    def __init__(
        self,
        network: Segmentation | None = None,
        step: float = 5.0,
        onset: float = 0.5,
        threads: int = 1,
        device: str = "auto",
    ) -> None:
        self.network = network or Segmentation(threads=threads, device=device)
        self.step, self.onset = step, onset

    def begin(self) -> SegmentationSpeechSession:
        """Start a new recording."""
        return SegmentationSpeechSession(self)


class SegmentationSpeechSession:
    """State of one recording for a `SegmentationDetector`."""

    def __init__(self, detector: SegmentationDetector) -> None:
        self._onset = detector.onset
        self._stream = SegmentationStream(detector.network.activities, detector.step)
        self._total = np.zeros(WINDOW_FRAMES, np.float32)  # summed probabilities of frames not yet returned
        self._weight = np.zeros(WINDOW_FRAMES, np.float32)  # number of windows in each sum
        self._samples = self._returned = 0

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Process the next samples; returns the frames decided by them."""
        self._samples += len(samples)
        return self._accumulate(self._stream.push(samples))

    def _accumulate(self, windows: Iterable[tuple[int, np.ndarray]]) -> np.ndarray:
        hop = self._stream.step // HOP
        decided = []
        for _, activities in windows:
            self._total += activities.max(1)
            self._weight += 1
            decided.append(self._total[:hop] >= self._onset * self._weight[:hop])
            self._total = np.append(self._total[hop:], np.zeros(hop, np.float32))
            self._weight = np.append(self._weight[hop:], np.zeros(hop, np.float32))
            self._returned += hop
        return np.concatenate([np.zeros(0, bool), *decided])

    def close(self) -> np.ndarray:
        """The remaining frames."""
        rest = self._accumulate(self._stream.close())
        rest = np.append(rest, self._total >= self._onset * np.maximum(self._weight, 1))
        missing = frame_count(self._samples) - (self._returned - (len(rest) - len(self._total)))
        return rest[:missing]
