"""CAM++ speaker embeddings, and the stream of Kaldi filter-bank features that they are computed from.

In: 16 kHz float32 audio. Out: log-mel features ``(frames, 80)``, 100 frames per second, and from any selection
of these frames one unit vector of 192 numbers; the cosine of two vectors is the similarity of two voices.

CAM++: H. Wang et al., *CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware
Masking*, Interspeech 2023. The network was trained on Kaldi's features (25 ms frames every 10 ms, pre-emphasis
0.97, Povey window, 80 mel bands from 20 Hz to 8 kHz, no dither).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sed.audio.fbank import FEATURE_HOP, FEATURE_WINDOW, FEATURES_PER_FRAME, filter_bank
from sed.errors import ModelError
from sed.inference import open_model


class FeatureStream:
    """Features of a recording that arrives in blocks, cached until they are dropped.

    Every feature frame is computed once, on an absolute grid. After a whole number of half seconds of audio, all
    features are available whose analysis window ends within that audio.

    >>> stream = FeatureStream()
    >>> for _ in range(10): stream.push(np.zeros(1_600, np.float32))
    >>> stream.between(10, 40).shape  # of 20 ms frames
    (60, 80)
    """

    _CHUNK = 50  # feature frames computed at once; a fixed grid makes rounding independent of the block sizes
    _LEAD = 2  # feature frames before the start of the recording, so that chunks end on half seconds

    def __init__(self) -> None:
        self._audio = np.zeros(self._LEAD * FEATURE_HOP, np.float32)  # from the next feature frame
        self._chunks: list[np.ndarray] = []
        self._first = 0  # number of the first cached chunk

    def push(self, samples: np.ndarray) -> None:
        """Process the next ``(n,)`` samples."""
        self._audio = np.concatenate([self._audio, np.asarray(samples, np.float32)])
        chunk = (self._CHUNK - 1) * FEATURE_HOP + FEATURE_WINDOW
        while len(self._audio) >= chunk:
            self._chunks.append(filter_bank(self._audio[:chunk]))
            self._audio = self._audio[self._CHUNK * FEATURE_HOP :]

    def close(self) -> None:
        """Compute the rest, padded with silence so that every 20 ms frame has features."""
        self.push(np.zeros((self._CHUNK - 1) * FEATURE_HOP + FEATURE_WINDOW, np.float32))

    def between(self, start: int, end: int) -> np.ndarray:
        """Features ``(2 * (end - start), 80)`` of the 20 ms frames from `start` to `end` (exclusive).

        Raises `ValueError` if they are not available yet or have been dropped.
        """
        first, last = (frame * FEATURES_PER_FRAME + self._LEAD for frame in (start, end))
        low, high = first // self._CHUNK - self._first, -(-last // self._CHUNK) - self._first
        if low < 0 or high > len(self._chunks):
            cached = [(self._first + n) * self._CHUNK // FEATURES_PER_FRAME for n in (0, len(self._chunks))]
            raise ValueError(
                f"features of frames {start} to {end} are not available: expected about {cached[0]} to {cached[1]}"
            )
        offset = (low + self._first) * self._CHUNK
        return np.concatenate(self._chunks[low:high])[first - offset : last - offset]

    def drop(self, before: int) -> None:
        """Drop features that are only needed for 20 ms frames before frame `before`."""
        count = min(
            len(self._chunks), (before * FEATURES_PER_FRAME + self._LEAD) // self._CHUNK - self._first
        )
        if count > 0:
            del self._chunks[:count]
            self._first += count


class SpeakerEmbedding:
    """The stateless CAM++ network: features of one speaker in, a unit vector out.

    `model` is the path of an ONNX file with the input and output of CAM++ (None: the bundled one); `threads` is
    the number of CPU threads, `device` as in `sed.inference`. Raises `ModelError` on another kind of model.

    >>> embed = SpeakerEmbedding()
    >>> vector = embed(np.random.default_rng(0).normal(size=(150, 80)))
    >>> vector.shape, round(float(vector @ vector), 3)
    ((192,), 1.0)
    """

    def __init__(self, model: str | Path | None = None, threads: int = 1, device: str = "auto") -> None:
        self._session = open_model(model or "campplus-zh-en-int8.onnx", threads, device=device)
        self._input = self._session.get_inputs()[0].name
        shape = self._session.get_outputs()[0].shape
        if len(shape) != 2 or not isinstance(shape[1], int):
            raise ModelError(f"{model}: output of shape {shape}, expected (batch, dimension)")
        self.dimension: int = shape[1]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """The unit vector ``(dimension,)`` float32 of features ``(frames, 80)``, whose mean is subtracted first."""
        features = np.asarray(features, np.float32)
        centred = features - features.mean(0)
        vector = self._session.run(None, {self._input: centred[None]})[0][0]
        return vector / max(float(np.linalg.norm(vector)), 1e-9)
