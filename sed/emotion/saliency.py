"""Saliency: which frames of a segment made a tagger choose its label.

In: any `Tagger`, a recording and a segment of it. Out: one value for each frame of the segment. It needs no gradients,
so it works for ONNX files, torch models and own taggers alike: a short piece of the audio is attenuated at a time
(occlusion, M. Zeiler and R. Fergus, ECCV 2014), and what the label loses is what the piece contributed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sed.emotion.tagger import Tagger
from sed.emotion.windows import posteriors_of
from sed.errors import OptionError
from sed.grid import FRAME_RATE, HOP, SAMPLE_RATE, frame_count, seconds_to_frames

ATTENUATION = 40.0  # dB; silence would be an input that no model was trained on
_FLOOR = 1e-5  # of a posterior


def saliency(
    tagger: Tagger, samples: np.ndarray, label: str, start: float, end: float, *, width: float = 0.2
) -> np.ndarray:
    """How much each frame from `start` to `end` (seconds) speaks for `label`, ``(frames,)`` float32.

    `samples` is ``(n,)`` float32 at 16 kHz, full scale 1. The value of a frame is the mean, over the pieces of `width`
    seconds that cover it, of how far the segment's mean log posterior of `label` falls if the piece is 40 dB softer:
    positive frames speak for the label, negative ones against it. Costs one run of the tagger on the segment and up to
    one window of context for each half of `width`.

    Raises `OptionError` if the tagger does not know the label, if the segment is empty or outside the recording, or if
    `width` is less than 0.04 s.

    >>> class Loud:  # "angry" where it is loud
    ...     labels, frame_rate, window = ("neutral", "angry"), 50, 16_000
    ...     def posteriors(self, waves):
    ...         level = np.abs(waves).reshape(len(waves), -1, 320).max(2).clip(0.05, 0.95)
    ...         return np.stack([1 - level, level], 2)
    >>> samples = np.full(32_000, 0.1, np.float32); samples[16_000:24_000] = 0.9
    >>> values = saliency(Loud(), samples, "angry", 0.0, 2.0)
    >>> values.shape, bool(values[55:70].min() > 1.5 * values[:45].max())
    ((100,), True)
    """
    samples = np.asarray(samples, np.float32)
    if label not in tagger.labels:
        raise OptionError(f"found the label {label!r}, expected one of {', '.join(tagger.labels)}")
    first, last = seconds_to_frames(start), min(seconds_to_frames(end), frame_count(len(samples)))
    if not 0 <= first < last:
        raise OptionError(
            f"found a segment from {start} to {end} s, expected one within 0 to {len(samples) / SAMPLE_RATE} s"
        )
    if width < 2 / FRAME_RATE:
        raise OptionError(f"found a width of {width} s, expected at least {2 / FRAME_RATE} s")
    context = max(0, tagger.window // HOP - (last - first)) // 2
    before = max(0, first - context)
    excerpt = samples[before * HOP : (last + context) * HOP]
    column, frames = tagger.labels.index(label), slice(first - before, last - before)

    def evidence(wave: np.ndarray) -> float:
        rows = posteriors_of(tagger, wave)[frames, column]
        return float(np.log(np.maximum(rows, _FLOOR)).mean())

    whole = evidence(excerpt)
    total, count = np.zeros(last - first), np.zeros(last - first)
    for low, high in _pieces(last - first, seconds_to_frames(width)):
        softer = excerpt.copy()
        softer[(frames.start + low) * HOP : (frames.start + high) * HOP] *= 10 ** (-ATTENUATION / 20)
        total[low:high] += whole - evidence(softer)
        count[low:high] += 1
    return (total / count).astype(np.float32)


def _pieces(frames: int, width: int) -> Iterator[tuple[int, int]]:
    """Pieces of `width` frames that overlap by half and cover all `frames`."""
    hop = max(1, width // 2)
    for start in range(0, max(1, frames - hop), hop):
        yield start, min(start + width, frames)
