"""Who speaks within ten seconds: pyannote's segmentation-3.0 on overlapping windows of an absolute grid.

In: 16 kHz float32 audio. Out: for every window the probability that each of up to three local speakers is
active, for every 20 ms frame of `sed.grid`. Local speaker 0 of one window has nothing to do with local
speaker 0 of the next; `sed.speakers` finds out who is who.

The network (H. Bredin and A. Laurent, *End-to-end speaker segmentation for overlap-aware resegmentation*,
Interspeech 2021; A. Plaquet and H. Bredin, *Powerset multi-class cross entropy loss for neural speaker
diarization*, Interspeech 2023) gives 589 frames for 10 s: frame ``i`` hears samples
``[270 i, 270 i + 991)`` of its window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from sed.errors import ModelError, OptionError
from sed.grid import HOP, SAMPLE_RATE, frame_count, seconds_to_samples
from sed.inference import open_model

WINDOW = 10 * SAMPLE_RATE  # samples that the network hears at once
WINDOW_FRAMES = WINDOW // HOP  # 20 ms frames in a window: 500
LOCAL_SPEAKERS = 3  # people told apart within one window
MODEL_STEP = 270  # samples from one frame of the network to the next
MODEL_FIELD = 991  # samples that one frame of the network hears

# Which local speakers each powerset class means: silence, 1, 2, 3, 1+2, 1+3, 2+3.
POWERSET = np.array(
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=np.float32
)


def model_frames(samples: int) -> int:
    """Frames that the network gives for `samples` samples.

    >>> model_frames(160_000)
    589
    """
    return max(0, (samples - MODEL_FIELD) // MODEL_STEP + 1)


def nearest_model_frames(samples: int) -> np.ndarray:
    """For each 20 ms frame of a window of `samples` samples, the network's frame with the nearest centre."""
    centres = np.arange(frame_count(samples)) * HOP + (HOP - 1) / 2
    nearest = np.rint((centres - (MODEL_FIELD - 1) / 2) / MODEL_STEP).astype(np.int64)
    return nearest.clip(0, model_frames(samples) - 1)


class Segmentation:
    """The network: windows of audio in, activity of local speakers out. Keeps no state.

    `model` is the path of an ONNX file with segmentation-3.0's input and output (None: the bundled one);
    `threads` is the number of processor threads. Raises `ModelError` on another kind of model.

    >>> Segmentation().activities(np.zeros((2, WINDOW), np.float32)).shape
    (2, 500, 3)
    """

    def __init__(self, model: str | Path | None = None, threads: int = 1) -> None:
        self._session = open_model(model or "segmentation-3.0-int8.onnx", threads)
        self._input = self._session.get_inputs()[0].name
        shape = self._session.get_outputs()[0].shape
        if len(shape) != 3 or shape[2] != len(POWERSET):
            raise ModelError(f"{model}: output of shape {shape}, expected (windows, frames, {len(POWERSET)})")

    def powerset(self, waves: np.ndarray) -> np.ndarray:
        """Posteriors of the seven powerset classes, ``(windows, model frames, 7)``.

        `waves` is ``(windows, samples)`` float32 at 16 kHz, full scale 1; 10 s is what the network knows.
        """
        feed = np.ascontiguousarray(waves, np.float32)[:, None]
        return np.exp(self._session.run(None, {self._input: feed})[0])

    def activities(self, waves: np.ndarray) -> np.ndarray:
        """Probability that each local speaker is active, ``(windows, frames, 3)`` float32 on the 20 ms grid.

        `waves` is ``(windows, samples)`` as for `powerset`; ``frames = sed.grid.frame_count(samples)``.
        """
        return (self.powerset(waves) @ POWERSET)[:, nearest_model_frames(waves.shape[1])]

    def active(self, waves: np.ndarray) -> np.ndarray:
        """Who is active by the likeliest powerset class, ``(windows, frames, 3)`` bool; else as `activities`."""
        return (POWERSET[self.powerset(waves).argmax(2)] > 0)[:, nearest_model_frames(waves.shape[1])]


class SegmentationStream:
    """Runs the network over a recording that arrives in blocks of any size.

    Window ``k`` begins at sample ``k * step``. Windows go to the network in groups of `batch`, whose
    membership depends on ``k`` alone, so the outcome does not depend on how the audio was cut. The last
    windows are filled up with silence; together the windows cover every sample. Memory is one group of
    windows.

    `hear` is `Segmentation.activities` or `Segmentation.active`. `push` and `close` yield ``(k, activities)`` in
    order of ``k``, activities ``(500, 3)`` as `hear` gives them.

    >>> stream = SegmentationStream(Segmentation().active, step=5.0)
    >>> len(list(stream.push(np.zeros(400_000, np.float32)))) + len(list(stream.close()))
    4
    """

    def __init__(self, hear: Callable[[np.ndarray], np.ndarray], step: float = 5.0, batch: int = 4) -> None:
        self._hear = hear
        self.step = seconds_to_samples(step)
        if not 0 < self.step <= WINDOW or self.step % HOP:
            raise OptionError(f"a segmentation step of {step} s: expected a multiple of 0.02 s, up to 10 s")
        self._batch = batch
        self._audio = np.zeros(0, np.float32)  # from the start of the next window on
        self._next = 0  # number of the next window

    def push(self, samples: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Take the next ``(n,)`` samples; yields the windows that have become complete."""
        self._audio = np.concatenate([self._audio, np.asarray(samples, np.float32)])
        return self._groups()

    def _groups(self) -> Iterator[tuple[int, np.ndarray]]:
        while len(self._audio) >= WINDOW + (self._batch - 1) * self.step:
            yield from self._run(self._batch)

    def close(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the remaining windows, so that all samples are covered."""
        yield from self._groups()
        beyond = len(self._audio) - (WINDOW - self.step if self._next else 0)  # heard by no window yet
        if beyond <= 0:
            return
        count = 1 + max(0, -(-(len(self._audio) - WINDOW) // self.step))
        # Filled up with the mean, so that an offset of the recording ends without a click.
        fill, mean = WINDOW + (count - 1) * self.step - len(self._audio), self._audio.mean()
        self._audio = np.pad(self._audio, (0, fill), constant_values=mean)
        yield from self._run(count)

    def _run(self, count: int) -> Iterator[tuple[int, np.ndarray]]:
        waves = np.lib.stride_tricks.sliding_window_view(self._audio, WINDOW)[:: self.step][:count]
        found = self._hear(waves)
        self._audio = self._audio[count * self.step :]
        first, self._next = self._next, self._next + count
        yield from enumerate(found, first)
