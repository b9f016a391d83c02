"""Silero's voice activity detector, run from the ONNX file in the silero-vad wheel; torch is not imported.

In: 16 kHz float32 blocks of any size. Out: one bool per 20 ms frame. The recurrent network processes windows of
512 samples (32 ms), each with the 64 samples before it as context.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sed.errors import MissingDependencyError, OptionError, install_hint
from sed.grid import HOP, SAMPLE_RATE
from sed.inference import open_model

_WINDOW = 512  # samples per step of the network
_CONTEXT = 64  # samples before each window that are part of the input


def silero_model() -> Path:
    """The ONNX file of the installed silero-vad package. Raises `MissingDependencyError` without it."""
    spec = find_spec("silero_vad")  # does not import the package, which would import torch
    folders = [Path(folder) / "data" for folder in (spec.submodule_search_locations or [])] if spec else []
    for folder in folders:
        if (file := folder / "silero_vad.onnx").is_file():
            return file
    found = f"silero-vad without data/silero_vad.onnx in {folders[0].parent}" if folders else "no silero-vad"
    raise MissingDependencyError(f"the silero detector found {found}: {install_hint('silero')}")


class SileroDetector:
    """Speech starts when the probability reaches `onset` and ends when it falls below `offset`.

    `model` is the path of another version of Silero's ONNX file, `threads` the number of CPU threads, `device` as in
    `sed.inference`. Raises `MissingDependencyError` if the package silero-vad is missing and `OptionError` on invalid
    thresholds.

    >>> session = SileroDetector().begin()
    >>> len(session.push(np.zeros(1_000, np.float32))) + len(session.close())
    4
    """

    def __init__(
        self,
        onset: float = 0.5,
        offset: float = 0.35,
        threads: int = 1,
        model: str | Path | None = None,
        device: str = "auto",
    ) -> None:
        if not 0 <= offset <= onset <= 1:
            raise OptionError(f"silero onset {onset} and offset {offset}: expected 0 <= offset <= onset <= 1")
        self.onset, self.offset = onset, offset
        self.session = open_model(model or silero_model(), threads, inputs=3, device=device)

    def begin(self) -> SileroSession:
        """Start a new recording."""
        return SileroSession(self)


class SileroSession:
    """State of one recording for a `SileroDetector`."""

    def __init__(self, detector: SileroDetector) -> None:
        self._detector = detector
        self._state = np.zeros((2, 1, 128), np.float32)
        self._rate = np.array(SAMPLE_RATE, np.int64)
        self._audio = np.zeros(_CONTEXT, np.float32)  # context and samples of the next window
        self._speaking = False
        self._samples = self._returned = 0
        self._windows: list[bool] = []  # decisions, from window number `_first`
        self._first = 0

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Process the next samples; returns the frames decided by them."""
        self._samples += len(samples)
        return self._process(np.asarray(samples, np.float32), self._samples)

    def _process(self, samples: np.ndarray, end: int) -> np.ndarray:
        self._audio = np.concatenate([self._audio, samples])
        position, detector = 0, self._detector
        while len(self._audio) - position >= _CONTEXT + _WINDOW:
            wave = self._audio[None, position : position + _CONTEXT + _WINDOW]
            feed = {"input": wave, "state": self._state, "sr": self._rate}
            probability, self._state = detector.session.run(None, feed)
            self._speaking = float(probability[0, 0]) >= (
                detector.offset if self._speaking else detector.onset
            )
            self._windows.append(self._speaking)
            position += _WINDOW
        self._audio = self._audio[position:]
        return self._frames(end)

    def _frames(self, end: int) -> np.ndarray:
        """The new frames, up to sample `end`, whose centre lies in a processed window."""
        processed = (self._first + len(self._windows)) * _WINDOW
        decided = min((processed + HOP // 2 - 1) // HOP, -(-end // HOP))
        centres = np.arange(self._returned, max(decided, self._returned)) * HOP + HOP // 2
        speech = np.array(self._windows, bool)[centres // _WINDOW - self._first]
        self._returned += len(speech)
        obsolete = max(0, (self._returned * HOP + HOP // 2) // _WINDOW - self._first)
        del self._windows[:obsolete]
        self._first += obsolete
        return speech

    def close(self) -> np.ndarray:
        """The remaining frames, decided after padding with silence."""
        return self._process(np.zeros(2 * _WINDOW, np.float32), self._samples)
