"""The `Tagger` protocol: 16 kHz mono audio in, posteriors of every emotion for every 20 ms frame out."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from sed.grid import HOP


def is_window(samples: Any) -> bool:
    """Whether `samples` is a number of them that a tagger can hear at once: a positive multiple of `HOP`.

    >>> is_window(80_000), is_window(12_345), is_window(None)
    (True, False, False)
    """
    return isinstance(samples, int) and samples > 0 and samples % HOP == 0


@runtime_checkable
class Tagger(Protocol):
    """A frame-level emotion classifier.

    Taggers keep no state between calls and are deterministic; windows and their overlap are the caller's
    business (`sed.emotion.windows`). The kinds that come with the package, all behind `sed.emotion.load_tagger`:
    `sed.emotion.onnx.OnnxTagger` (the bundled model, or any ONNX file with a card) and
    `sed.emotion.neural.TorchTagger` (what ``sed-train`` wrote, and WavLM and its kin from SpeechBrain).

    Anything with these four attributes will do. A fifth is optional: `batch`, the windows that the tagger
    wants to be given at once.
    """

    labels: tuple[str, ...]
    """Emotion names, in the order of the last axis of the posteriors."""

    frame_rate: int
    """Posteriors a second; 50 (`sed.grid.FRAME_RATE`)."""

    window: int
    """Samples of audio the tagger wants to hear at once, a multiple of `sed.grid.HOP` (80,000 is 5 s)."""

    def posteriors(self, waves: np.ndarray) -> np.ndarray:
        """Posteriors of a batch of equally long pieces of audio.

        `waves` is ``(batch, samples)`` float32 at 16 kHz, full scale 1. Returns ``(batch, frames, labels)``
        float32 with rows that sum to 1, where ``frames = ceil(samples / 320)``.
        """
        ...
