"""Silero's voice activity detector, run from the ONNX file in the silero-vad wheel; torch is not imported.

In: 16 kHz float32 blocks of any size. Out: a bool for every 20 ms frame. The network hears windows of 512
samples (32 ms) with 64 samples before each, and remembers.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sed.errors import MissingDependencyError, OptionError, install_hint
from sed.grid import HOP, SAMPLE_RATE
from sed.inference import open_model

_WINDOW = 512  # samples that each step of the network hears
_CONTEXT = 64  # samples before them that it hears again


def silero_model() -> Path:
    """The ONNX file of the installed silero-vad package. Raises `MissingDependencyError` without it."""
    spec = find_spec("silero_vad")  # finds the package without importing it, and torch with it
    folders = [Path(folder) / "data" for folder in (spec.submodule_search_locations or [])] if spec else []
    for folder in folders:
        if (file := folder / "silero_vad.onnx").is_file():
            return file
    found = f"silero-vad without data/silero_vad.onnx in {folders[0].parent}" if folders else "no silero-vad"
    raise MissingDependencyError(f"the silero detector found {found}: {install_hint('silero')}")


class SileroDetector:
    """Speech begins where the probability reaches `onset` and ends where it falls below `offset`.

    `model` is the path of another file of the same kind, `threads` the number of processor threads. Raises
    `MissingDependencyError` where the package silero-vad is missing, `OptionError` on other thresholds.

    >>> session = SileroDetector().begin()
    >>> len(session.push(np.zeros(1_000, np.float32))) + len(session.close())
    4
    """

    def __init__(
        self, onset: float = 0.5, offset: float = 0.35, threads: int = 1, model: str | Path | None = None
    ) -> None:
        if not 0 <= offset <= onset <= 1:
            raise OptionError(f"silero onset {onset} and offset {offset}: expected 0 <= offset <= onset <= 1")
        self.onset, self.offset = onset, offset
        self.session = open_model(model or silero_model(), threads, inputs=3)

    def begin(self) -> SileroSession:
        """Start on a new recording."""
        return SileroSession(self)


class SileroSession:
    """One recording on its way through a `SileroDetector`."""

    def __init__(self, detector: SileroDetector) -> None:
        self._detector = detector
        self._state = np.zeros((2, 1, 128), np.float32)
        self._rate = np.array(SAMPLE_RATE, np.int64)
        self._audio = np.zeros(_CONTEXT, np.float32)  # the context and what follows
        self._speaking = False
        self._samples = self._given = 0
        self._windows: list[bool] = []  # decisions of the windows from `_first` on
        self._first = 0

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take the next samples; returns the frames that have become known."""
        self._samples += len(samples)
        return self._hear(np.asarray(samples, np.float32), self._samples)

    def _hear(self, samples: np.ndarray, end: int) -> np.ndarray:
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
        """The frames whose middle lies in a window that was heard, up to sample `end`."""
        heard = (self._first + len(self._windows)) * _WINDOW
        known = min((heard + HOP // 2 - 1) // HOP, -(-end // HOP))
        middle = np.arange(self._given, max(known, self._given)) * HOP + HOP // 2
        found = np.array(self._windows, bool)[middle // _WINDOW - self._first]
        self._given += len(found)
        gone = max(0, (self._given * HOP + HOP // 2) // _WINDOW - self._first)
        del self._windows[:gone]
        self._first += gone
        return found

    def close(self) -> np.ndarray:
        """The remaining frames, after as much silence as the network needs to decide on them."""
        return self._hear(np.zeros(2 * _WINDOW, np.float32), self._samples)
