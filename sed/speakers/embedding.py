"""What a voice sounds like: Kaldi filter-bank features and CAM++ speaker embeddings.

In: 16 kHz float32 audio. Out: log-mel features ``(frames, 80)``, 100 frames a second, and from any selection
of such frames one unit vector of 192 numbers; the cosine of two vectors tells how alike two voices are.

CAM++: H. Wang et al., *CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware
Masking*, Interspeech 2023. The features are those of Kaldi (25 ms frames every 10 ms, pre-emphasis 0.97,
Povey window, 80 mel bands from 20 Hz to 8 kHz, no dither), which is what the network was trained on.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from sed.errors import ModelError
from sed.grid import FRAME_RATE, SAMPLE_RATE
from sed.inference import open_model

FEATURE_RATE = 100  # feature frames a second
FEATURE_HOP = SAMPLE_RATE // FEATURE_RATE  # samples from one feature frame to the next: 160
FEATURE_WINDOW = 400  # samples that a feature frame hears: 25 ms
FEATURES_PER_FRAME = FEATURE_RATE // FRAME_RATE  # feature frames that begin in one 20 ms frame: 2
MEL_BANDS = 80
SMALLEST_ENERGY = float(np.finfo(np.float32).eps)  # Kaldi's floor under the logarithm

_FFT = 512
# Feature frames in one product with the mel filters. OpenBLAS gives larger ones (above 2 ** 18 multiplications) to
# several threads, which spin while they wait: half of a run's processor time, for nothing.
_ROWS = 12
_PREEMPHASIS = 0.97
_LOWEST_HERTZ = 20.0


@cache
def kaldi_tables() -> tuple[np.ndarray, np.ndarray, float]:
    """The window ``(400,)``, the mel filters ``(257, 80)`` and the pre-emphasis of `filter_bank`."""
    angle = 2 * np.pi * np.arange(FEATURE_WINDOW) / (FEATURE_WINDOW - 1)
    povey = (0.5 - 0.5 * np.cos(angle)) ** 0.85

    def mel(hertz: np.ndarray | float) -> np.ndarray:
        return 1127.0 * np.log(1.0 + np.asarray(hertz) / 700.0)

    edges = np.linspace(mel(_LOWEST_HERTZ), mel(SAMPLE_RATE / 2), MEL_BANDS + 2)
    bins = mel(np.arange(_FFT // 2 + 1) * SAMPLE_RATE / _FFT)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    filters = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clip(0)
    filters[-1] = 0  # Kaldi's filters leave out the Nyquist bin
    return povey.astype(np.float32), filters.astype(np.float32), _PREEMPHASIS


def filter_bank(samples: np.ndarray) -> np.ndarray:
    """Kaldi log-mel features ``(frames, 80)`` float32 of ``(n,)`` samples, without mean subtraction.

    Frame ``i`` hears samples ``[160 i, 160 i + 400)``; less than 400 samples give no frame.

    >>> filter_bank(np.zeros(16_000, np.float32)).shape
    (98, 80)
    """
    samples = np.asarray(samples, np.float32)
    if len(samples) < FEATURE_WINDOW:
        return np.zeros((0, MEL_BANDS), np.float32)
    window, filters, preemphasis = kaldi_tables()
    frames = np.lib.stride_tricks.sliding_window_view(samples, FEATURE_WINDOW)[::FEATURE_HOP]
    frames = frames - frames.mean(1, keepdims=True)
    emphasised = np.empty_like(frames)
    emphasised[:, 1:] = frames[:, 1:] - preemphasis * frames[:, :-1]
    emphasised[:, 0] = (1 - preemphasis) * frames[:, 0]
    spectrum = np.fft.rfft(emphasised * window, _FFT)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)
    parts = [power[row : row + _ROWS] @ filters for row in range(0, len(power), _ROWS)]
    return np.log(np.maximum(np.concatenate(parts), SMALLEST_ENERGY))


class FeatureStream:
    """Features of a recording that arrives in blocks, kept until they are dropped.

    Every feature frame is computed once, on the absolute grid, whoever asks for it and however often. After
    ``n`` samples, a whole number of half seconds, all features are there that hear no more than those.

    >>> stream = FeatureStream()
    >>> for _ in range(10): stream.push(np.zeros(1_600, np.float32))
    >>> stream.between(10, 40).shape  # of 20 ms frames
    (60, 80)
    """

    _CHUNK = 50  # feature frames computed at once: a fixed grid keeps the sums the same in every cut
    _LEAD = 2  # features that begin before the recording: with them, chunks end on half seconds

    def __init__(self) -> None:
        self._audio = np.zeros(self._LEAD * FEATURE_HOP, np.float32)  # from the next feature frame on
        self._chunks: list[np.ndarray] = []
        self._first = 0  # number of the first chunk that is kept

    def push(self, samples: np.ndarray) -> None:
        """Take the next ``(n,)`` samples."""
        self._audio = np.concatenate([self._audio, np.asarray(samples, np.float32)])
        need = (self._CHUNK - 1) * FEATURE_HOP + FEATURE_WINDOW
        while len(self._audio) >= need:
            self._chunks.append(filter_bank(self._audio[:need]))
            self._audio = self._audio[self._CHUNK * FEATURE_HOP :]

    def close(self) -> None:
        """Compute the rest, filled up with silence so that every 20 ms frame has its features."""
        self.push(np.zeros((self._CHUNK - 1) * FEATURE_HOP + FEATURE_WINDOW, np.float32))

    def between(self, start: int, end: int) -> np.ndarray:
        """Features ``(2 * (end - start), 80)`` of the 20 ms frames from `start` to `end`.

        Raises `ValueError` where they are not there yet, or not any more.
        """
        first, last = (frame * FEATURES_PER_FRAME + self._LEAD for frame in (start, end))
        low, high = first // self._CHUNK - self._first, -(-last // self._CHUNK) - self._first
        if low < 0 or high > len(self._chunks):
            have = [(self._first + n) * self._CHUNK // FEATURES_PER_FRAME for n in (0, len(self._chunks))]
            raise ValueError(f"features of frames {start} to {end}: kept are about {have[0]} to {have[1]}")
        offset = (low + self._first) * self._CHUNK
        return np.concatenate(self._chunks[low:high])[first - offset : last - offset]

    def drop(self, before: int) -> None:
        """Forget what is needed only for 20 ms frames before frame `before`."""
        count = min(
            len(self._chunks), (before * FEATURES_PER_FRAME + self._LEAD) // self._CHUNK - self._first
        )
        if count > 0:
            del self._chunks[:count]
            self._first += count


class SpeakerEmbedding:
    """The CAM++ network: features of one voice in, a unit vector out. Keeps no state.

    `model` is the path of an ONNX file with CAM++'s input and output (None: the bundled one); `threads` is
    the number of processor threads. Raises `ModelError` on another kind of model.

    >>> voice = SpeakerEmbedding()
    >>> vector = voice(np.random.default_rng(0).normal(size=(150, 80)))
    >>> vector.shape, round(float(vector @ vector), 3)
    ((192,), 1.0)
    """

    def __init__(self, model: str | Path | None = None, threads: int = 1) -> None:
        self._session = open_model(model or "campplus-zh-en-int8.onnx", threads)
        self._input = self._session.get_inputs()[0].name
        shape = self._session.get_outputs()[0].shape
        if len(shape) != 2 or not isinstance(shape[1], int):
            raise ModelError(f"{model}: output of shape {shape}, expected (voices, dimensions)")
        self.dimension: int = shape[1]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """The unit vector ``(dimension,)`` float32 of ``(frames, 80)`` features; their mean is taken off."""
        features = np.asarray(features, np.float32)
        centred = features - features.mean(0)
        vector = self._session.run(None, {self._input: centred[None]})[0][0]
        return vector / max(float(np.linalg.norm(vector)), 1e-9)
