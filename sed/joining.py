"""Joins who speaks with what is felt: turns and posteriors in, segments out.

Each speaker's frames are strung together in time, decoded as one stretch (broken where he is silent for
long), and cut into segments wherever he pauses or his emotion changes. So emotions persist over a speaker's
pauses, changes prefer the start of a turn, and people who speak at once keep emotions of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sed.emotion.decoding import DecoderOptions, decode
from sed.grid import frames_to_seconds, seconds_to_frames
from sed.result import Segment
from sed.speakers.smoothing import runs
from sed.speakers.turns import Turns


def join(
    turns: Turns,
    posteriors: np.ndarray | Sequence[np.ndarray],
    labels: Sequence[str],
    duration: float,
    options: DecoderOptions | None = None,
) -> list[Segment]:
    """Segments of every speaker, in order.

    `posteriors` is ``(frames, labels)`` on the grid of `turns`, or one such array a speaker (channels that
    were recorded apart). No segment ends after `duration` seconds.

    >>> turns = Turns(np.ones((100, 1), bool), ("spk00",))
    >>> p = np.full((100, 2), [0.9, 0.1], np.float32); p[50:] = [0.2, 0.8]
    >>> for s in join(turns, p, ("neutral", "angry"), 2.0): print(s)
    Segment(start=0.0, end=1.0, speaker='spk00', emotion='neutral', confidence=0.9)
    Segment(start=1.0, end=2.0, speaker='spk00', emotion='angry', confidence=0.8)
    """
    options = options or DecoderOptions()
    several = turns.active.sum(1) > 1
    segments = []
    for number, name in enumerate(turns.names):
        own = posteriors if isinstance(posteriors, np.ndarray) else posteriors[number]
        apart = not isinstance(posteriors, np.ndarray)
        weights = np.where(several & (not apart), options.overlap_weight, 1.0)
        for stretch in _stretches(runs(turns.active[:, number]), options.memory):
            segments += _decode_stretch(stretch, own, weights, name, labels, duration, options)
    return sorted(segments)


def _stretches(turns: np.ndarray, memory: float) -> list[np.ndarray]:
    """Groups of turns ``(n, 2)`` with no silence over `memory` seconds inside."""
    if not len(turns):
        return []
    silences = turns[1:, 0] - turns[:-1, 1]
    return np.split(turns, np.flatnonzero(silences > seconds_to_frames(memory)) + 1)


def _decode_stretch(
    turns: np.ndarray,
    posteriors: np.ndarray,
    weights: np.ndarray,
    speaker: str,
    labels: Sequence[str],
    duration: float,
    options: DecoderOptions,
) -> list[Segment]:
    frames = np.concatenate([np.arange(start, end) for start, end in turns])
    turn_starts = np.cumsum(turns[:, 1] - turns[:, 0])[:-1]
    emotions = decode(posteriors[frames], options, turn_starts, weights[frames])
    changes = np.flatnonzero((np.diff(emotions) != 0) | (np.diff(frames) != 1)) + 1
    return [
        summarise(posteriors[part[0] : part[-1] + 1], int(part[0]), speaker, labels, emotion, duration)
        for part, emotion in zip(np.split(frames, changes), emotions[np.r_[0, changes]], strict=True)
    ]


def summarise(
    posteriors: np.ndarray, start: int, speaker: str, labels: Sequence[str], emotion: int, duration: float
) -> Segment:
    """The segment of `speaker` whose frames, from number `start` on, have these `posteriors`.

    The mean is taken in float64 and rounded to 4 decimals, so that equal frames give equal numbers.
    """
    mean = np.round(posteriors.mean(0, dtype=np.float64), 4)
    return Segment(
        start=frames_to_seconds(start),
        end=min(frames_to_seconds(start + len(posteriors)), duration),
        speaker=speaker,
        emotion=labels[emotion],
        confidence=float(mean[emotion]),
        probabilities=dict(zip(labels, map(float, mean), strict=True)),
    )
