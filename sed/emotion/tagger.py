"""The `Tagger` protocol: 16 kHz mono audio in, emotion posteriors of every 20 ms frame out."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from sed.errors import OptionError
from sed.grid import HOP, samples_to_seconds

MULTI_LABEL = "multi_label"
"""Key of a card: true if the posteriors of a frame are independent, several labels at once, and do not sum to 1."""


def is_multi_label(tagger: Any) -> bool:
    """Whether the card of `tagger` states that its posteriors are independent."""
    return bool((getattr(tagger, "card", None) or {}).get(MULTI_LABEL))


def is_window(samples: Any) -> bool:
    """Whether `samples` is a valid window length: a positive multiple of `HOP`.

    >>> is_window(80_000), is_window(12_345), is_window(None)
    (True, False, False)
    """
    return isinstance(samples, int) and samples > 0 and samples % HOP == 0


def check_waves(waves: np.ndarray, max_samples: int | None) -> None:
    """Raise `OptionError` if `waves` is not ``(batch, samples)``, has no samples, or more than `max_samples`."""
    if waves.ndim != 2 or waves.shape[1] == 0:
        raise OptionError(f"waves of shape {waves.shape}: expected (batch, samples) with samples > 0")
    if max_samples and waves.shape[1] > max_samples:
        raise OptionError(
            f"{samples_to_seconds(waves.shape[1])} s of audio at once: expected at most"
            f" {samples_to_seconds(max_samples)} s (split longer audio into windows)"
        )


@runtime_checkable
class Tagger(Protocol):
    """A frame-level emotion classifier.

    Taggers are stateless and deterministic; windows and their overlap are handled by `sed.emotion.windows`. The
    implementations, all created by `sed.emotion.load_tagger`, are `sed.emotion.onnx.OnnxTagger` (the bundled model, or
    any ONNX file with a model card) and `sed.emotion.neural.TorchTagger` (models written by ``sed-train``, and
    SpeechBrain's WavLM, HuBERT and wav2vec 2.0 models).

    Any object with these four attributes can be used. The attribute `batch`, the preferred number of windows per call,
    is optional. A tagger that also estimates dimensions such as arousal has two more: `dimensions`, their names, and
    ``outputs(waves)``, which returns the posteriors and the dimensions, ``(batch, frames, dimensions)`` float32 from 0
    to 1.
    """

    labels: tuple[str, ...]
    """Emotion names, in the order of the last axis of the posteriors."""

    frame_rate: int
    """Frames per second; 50 (`sed.grid.FRAME_RATE`)."""

    window: int
    """Preferred input length in samples, a multiple of `sed.grid.HOP` (80,000 is 5 s)."""

    def posteriors(self, waves: np.ndarray) -> np.ndarray:
        """Posteriors of a batch of waves.

        `waves` is ``(batch, samples)`` float32 at 16 kHz, full scale 1. Returns ``(batch, frames, labels)`` float32,
        which sum to 1 over the labels, where ``frames = ceil(samples / 320)``.
        """
        ...


def dimensions_of(tagger: Tagger) -> tuple[str, ...]:
    """The names of the dimensions that `tagger` estimates, such as arousal; empty if it estimates none."""
    return tuple(getattr(tagger, "dimensions", ()))


def frame_rows(tagger: Tagger, waves: np.ndarray) -> np.ndarray:
    """Everything that `tagger` estimates for each frame of `waves` ``(batch, samples)``, from one run of the model:
    ``(batch, frames, labels + dimensions)`` float32, the posteriors first."""
    if not dimensions_of(tagger):
        return tagger.posteriors(waves)
    return np.concatenate(tagger.outputs(waves), axis=2)  # type: ignore[attr-defined]
