"""Local speaker segmentation with pyannote's segmentation-3.0, on overlapping 10 s windows of an absolute grid.

The bundled weights are trained further, on simulated conversations (`sed/models/segmentation.md`).

In: 16 kHz float32 audio. Out: for every window, the activity probability of up to three local speakers in every
20 ms frame of `sed.grid`. The order of local speakers is arbitrary in each window; `sed.speakers` matches them
across windows.

The network (H. Bredin and A. Laurent, *End-to-end speaker segmentation for overlap-aware resegmentation*,
Interspeech 2021; A. Plaquet and H. Bredin, *Powerset multi-class cross entropy loss for neural speaker
diarization*, Interspeech 2023) returns 589 frames for 10 s; the receptive field of frame ``i`` is samples
``[270 i, 270 i + 991)`` of the window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from sed.errors import ModelError, OptionError
from sed.grid import HOP, SAMPLE_RATE, frame_count, seconds_to_samples
from sed.inference import open_model

WINDOW = 10 * SAMPLE_RATE  # samples per window
WINDOW_FRAMES = WINDOW // HOP  # 20 ms frames per window: 500
LOCAL_SPEAKERS = 3  # maximum number of speakers per window
MODEL_STEP = 270  # samples between frames of the network
MODEL_FIELD = 991  # receptive field of one frame of the network in samples

# Active local speakers of each powerset class: silence, 1, 2, 3, 1+2, 1+3, 2+3.
POWERSET = np.array(
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=np.float32
)


def model_frames(samples: int) -> int:
    """Number of frames that the network returns for `samples` samples.

    >>> model_frames(160_000)
    589
    """
    return max(0, (samples - MODEL_FIELD) // MODEL_STEP + 1)


def nearest_model_frames(samples: int) -> np.ndarray:
    """For each 20 ms frame of `samples` samples, the index of the network frame with the nearest centre."""
    centres = np.arange(frame_count(samples)) * HOP + (HOP - 1) / 2
    nearest = np.rint((centres - (MODEL_FIELD - 1) / 2) / MODEL_STEP).astype(np.int64)
    return nearest.clip(0, model_frames(samples) - 1)


class Segmentation:
    """The stateless network: windows of audio in, activity of local speakers out.

    `model` is the path of an ONNX file with the input and output of segmentation-3.0 (None: the bundled one);
    `threads` is the number of CPU threads, `device` as in `sed.inference`. Raises `ModelError` on another kind of
    model.

    >>> Segmentation().activities(np.zeros((2, WINDOW), np.float32)).shape
    (2, 500, 3)
    """

    def __init__(self, model: str | Path | None = None, threads: int = 1, device: str = "auto") -> None:
        self._session = open_model(model or "segmentation.onnx", threads, device=device)
        self._input = self._session.get_inputs()[0].name
        shape = self._session.get_outputs()[0].shape
        if len(shape) != 3 or shape[2] != len(POWERSET):
            raise ModelError(f"{model}: output of shape {shape}, expected (windows, frames, {len(POWERSET)})")

    def powerset(self, waves: np.ndarray) -> np.ndarray:
        """Posteriors of the seven powerset classes, ``(windows, model frames, 7)``.

        `waves` is ``(windows, samples)`` float32 at 16 kHz, full scale 1; the network was trained on 10 s.
        """
        feed = np.ascontiguousarray(waves, np.float32)[:, None]
        return np.exp(self._session.run(None, {self._input: feed})[0])

    def activities(self, waves: np.ndarray) -> np.ndarray:
        """Activity probability of each local speaker, ``(windows, frames, 3)`` float32 on the 20 ms grid.

        `waves` is ``(windows, samples)`` as for `powerset`; ``frames = sed.grid.frame_count(samples)``.
        """
        return (self.powerset(waves) @ POWERSET)[:, nearest_model_frames(waves.shape[1])]

    def active(self, waves: np.ndarray) -> np.ndarray:
        """Like `activities`, but ``(windows, frames, 3)`` bool: the speakers of the likeliest powerset class."""
        return (POWERSET[self.powerset(waves).argmax(2)] > 0)[:, nearest_model_frames(waves.shape[1])]


class SegmentationStream:
    """Runs the network over a recording that arrives in blocks of any size.

    Window ``k`` starts at sample ``k * step``. Windows are processed in batches of `batch`, which depend on ``k``
    only, so the result does not depend on the block sizes. The last windows are padded; together the windows cover
    every sample. Memory is one batch of windows.

    `segment` is `Segmentation.activities` or `Segmentation.active`. `push` and `close` yield ``(k, activities)`` in
    order of ``k``, where activities is the result of `segment` for one window, ``(500, 3)``.

    >>> stream = SegmentationStream(Segmentation().active, step=5.0)
    >>> len(list(stream.push(np.zeros(400_000, np.float32)))) + len(list(stream.close()))
    4
    """

    def __init__(
        self, segment: Callable[[np.ndarray], np.ndarray], step: float = 5.0, batch: int = 4
    ) -> None:
        self._segment = segment
        self.step = seconds_to_samples(step)
        if not 0 < self.step <= WINDOW or self.step % HOP:
            raise OptionError(f"a segmentation step of {step} s: expected a multiple of 0.02 s, up to 10 s")
        self._batch = batch
        self._audio = np.zeros(0, np.float32)  # from the start of the next window
        self._next = 0  # number of the next window

    def push(self, samples: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Process the next ``(n,)`` samples; yields the windows of all complete batches."""
        self._audio = np.concatenate([self._audio, np.asarray(samples, np.float32)])
        return self._full_batches()

    def _full_batches(self) -> Iterator[tuple[int, np.ndarray]]:
        while len(self._audio) >= WINDOW + (self._batch - 1) * self.step:
            yield from self._run(self._batch)

    def close(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the remaining windows, so that all samples are covered."""
        yield from self._full_batches()
        uncovered = len(self._audio) - (WINDOW - self.step if self._next else 0)
        if uncovered <= 0:
            return
        count = 1 + max(0, -(-(len(self._audio) - WINDOW) // self.step))
        # Padded with the mean, so that a DC offset does not end in a click.
        padding, mean = WINDOW + (count - 1) * self.step - len(self._audio), self._audio.mean()
        self._audio = np.pad(self._audio, (0, padding), constant_values=mean)
        yield from self._run(count)

    def _run(self, count: int) -> Iterator[tuple[int, np.ndarray]]:
        waves = np.lib.stride_tricks.sliding_window_view(self._audio, WINDOW)[:: self.step][:count]
        activities = self._segment(waves)
        self._audio = self._audio[count * self.step :]
        first, self._next = self._next, self._next + count
        yield from enumerate(activities, first)
