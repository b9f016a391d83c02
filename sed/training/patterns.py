"""The paper's transition patterns: utterances of one speaker joined into clips with exact references.

Comes in: mono float32 arrays at 16 kHz, one emotion each. Goes out: ``(samples, events)``, where each `Event`
gives first sample, end sample (exclusive) and label. Everything is pure; randomness comes from a numpy
Generator. Wang et al. (2023, arXiv 2306.12991) join silence-trimmed, loudness-equalised utterances of one
speaker as neutral-emotion, emotion-neutral, neutral-emotion-neutral, or emotion only, a quarter each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sed.errors import OptionError
from sed.grid import HOP, SAMPLE_RATE, frame_count

PATTERNS: dict[str, tuple[bool, ...]] = {  # True: the emotion; False: neutral
    "neutral-emotion": (False, True),
    "emotion-neutral": (True, False),
    "neutral-emotion-neutral": (False, True, False),
    "emotion": (True,),
}
NEUTRAL = "neutral"
SPEECH_BELOW_PEAK = 35.0  # dB under the loud frames (95th percentile) that still count as speech
MARGIN = 2 * HOP  # samples kept before the first and after the last speech frame: soft onsets are speech
TARGET_LEVEL = -26.0  # dB relative to full scale, the usual active speech level (ITU-T P.56)
PEAK = 0.99  # equalised speech never exceeds this


@dataclass(frozen=True, order=True)
class Event:
    """Samples ``[start, end)`` carry `label`; `source` is the number of the utterance they are from, -1 where
    nobody counts."""

    start: int
    end: int
    label: str
    source: int = field(default=-1, repr=False, compare=False)


def frame_levels(wave: np.ndarray) -> np.ndarray:
    """Root mean square of each 20 ms frame in dB relative to full scale, ``(frames,)``; silence is -120."""
    frames = frame_count(len(wave))
    padded = np.zeros(frames * HOP, np.float64)
    padded[: len(wave)] = wave
    power = (padded.reshape(frames, HOP) ** 2).mean(axis=1)
    return 10 * np.log10(np.maximum(power, 1e-12))


def speech_frames(wave: np.ndarray, below_peak: float = SPEECH_BELOW_PEAK) -> np.ndarray:
    """Which 20 ms frames are within `below_peak` dB of the loud ones; ``(frames,)`` bool."""
    levels = frame_levels(wave)
    if len(levels) == 0 or levels.max() <= -100:
        return np.zeros(len(levels), bool)
    return levels > max(np.percentile(levels, 95) - below_peak, -100)


def trim_silence(wave: np.ndarray, below_peak: float = SPEECH_BELOW_PEAK, margin: int = MARGIN) -> np.ndarray:
    """`wave` from `margin` samples before its first speech frame to `margin` after its last.

    Returns an empty array where nothing is loud enough. Pauses inside are kept.

    >>> tone = np.sin(np.arange(3200) / 5).astype(np.float32)
    >>> silence = np.zeros(16000, np.float32)
    >>> len(trim_silence(np.concatenate([silence, tone, silence]), margin=0))
    3200
    """
    speech = np.flatnonzero(speech_frames(wave, below_peak))
    if len(speech) == 0:
        return wave[:0]
    start = max(int(speech[0]) * HOP - margin, 0)
    return wave[start : min((int(speech[-1]) + 1) * HOP + margin, len(wave))]


def equalise_loudness(wave: np.ndarray, level: float = TARGET_LEVEL) -> np.ndarray:
    """`wave` scaled so that its speech frames have a level of `level` dB, less where it would clip.

    >>> quiet = np.full(16000, 0.001, np.float32)
    >>> round(float(equalise_loudness(quiet, level=-20.0)[0]), 3)
    0.1
    """
    speech = speech_frames(wave)
    if not speech.any():
        return wave.astype(np.float32)
    power = np.mean(10 ** (frame_levels(wave)[speech] / 10))
    gain = min(10 ** (level / 20) / np.sqrt(power), PEAK / float(np.abs(wave).max()))
    return (wave * gain).astype(np.float32)


def join(
    waves: Sequence[np.ndarray],
    labels: Sequence[str],
    gaps: Sequence[int] = (),
    fade: int = 0,
    sources: Sequence[int] = (),
) -> tuple[np.ndarray, list[Event]]:
    """Join `waves` with `gaps` samples of silence between them (``len(waves) - 1`` numbers; none: no gap).

    `fade` samples at each joint rise or fall linearly, so that a joint doesn't click. The events cover the
    waves, not the gaps; neighbours with one label and no gap stay two events. `sources` gives each event its
    number (none: -1). Raises `OptionError` where the numbers of waves, labels and gaps don't fit.

    >>> samples, events = join([np.ones(4), np.ones(2)], ["neutral", "sad"], gaps=[1])
    >>> len(samples), events
    (7, [Event(start=0, end=4, label='neutral'), Event(start=5, end=7, label='sad')])
    """
    gaps = list(gaps) or [0] * (len(waves) - 1)
    sources = list(sources) or [-1] * len(waves)
    if len(labels) != len(waves) or len(gaps) != len(waves) - 1 or any(gap < 0 for gap in gaps):
        raise OptionError(
            f"cannot join {len(waves)} waves with {len(labels)} labels and gaps {gaps}: expected a label for"
            " each and a gap of at least 0 samples between neighbours"
        )
    pieces: list[np.ndarray] = []
    events: list[Event] = []
    position = 0
    for number, (wave, label) in enumerate(zip(waves, labels, strict=True)):
        piece = np.array(wave, np.float32)
        ramp = np.linspace(0, 1, min(fade, len(piece) // 2), endpoint=False, dtype=np.float32)
        if number > 0 and len(ramp):
            piece[: len(ramp)] *= ramp
        if number < len(waves) - 1:
            if len(ramp):
                piece[-len(ramp) :] *= ramp[::-1]
            piece = np.concatenate([piece, np.zeros(gaps[number], np.float32)])
        events.append(Event(position, position + len(wave), label, sources[number]))
        pieces.append(piece)
        position += len(piece)
    return np.concatenate(pieces), events


def transition_pattern(
    rng: np.random.Generator,
    neutral: Sequence[np.ndarray],
    emotional: Sequence[np.ndarray],
    emotion: str,
    pattern: str | None = None,
    gap: tuple[float, float] = (0.0, 0.0),
    fade: int = 80,
    sources: tuple[Sequence[int], Sequence[int]] | None = None,
) -> tuple[np.ndarray, list[Event]]:
    """One clip of one speaker in one of the four `PATTERNS`, drawn evenly unless `pattern` names it.

    `neutral` and `emotional` are that speaker's utterances, trimmed and equalised; two neutral ones are
    different where there are two. Gaps are drawn evenly from `gap` (seconds). `sources` are the numbers of the
    neutral and of the emotional utterances, for the events. Raises `OptionError` for an unknown pattern or
    where there is no utterance to draw.
    """
    name = pattern if pattern is not None else list(PATTERNS)[rng.integers(len(PATTERNS))]
    if name not in PATTERNS:
        raise OptionError(f"unknown pattern {name!r}: expected one of {', '.join(PATTERNS)}")
    parts = PATTERNS[name]
    if not emotional or (False in parts and not neutral):
        raise OptionError(
            f"pattern {name} needs neutral and {emotion} utterances: found {len(neutral)} and"
            f" {len(emotional)}"
        )
    order = rng.permutation(len(neutral)).tolist()
    waves: list[np.ndarray] = []
    labels: list[str] = []
    numbers: list[int] = []
    for is_emotion in parts:
        pool = emotional if is_emotion else neutral
        place = int(rng.integers(len(pool))) if is_emotion else order[labels.count(NEUTRAL) % len(order)]
        waves.append(pool[place])
        numbers.append(-1 if sources is None else sources[is_emotion][place])
        labels.append(emotion if is_emotion else NEUTRAL)
    gaps = [round(rng.uniform(*gap) * SAMPLE_RATE) for _ in parts[1:]]
    return join(waves, labels, gaps, fade, numbers)


def frame_labels(
    events: Sequence[Event], samples: int, labels: Sequence[str], missing: int = -1
) -> np.ndarray:
    """The label index of each 20 ms frame of a clip of `samples` samples: the event at the frame's centre.

    ``(frames,)`` int64; `missing` where no event is, or its label is not in `labels`. A last frame that is
    partly past the end is judged at the centre of what there is of it.

    >>> frame_labels([Event(0, 480, "neutral"), Event(480, 1000, "sad")], 1000, ["neutral", "sad"])
    array([0, 1, 1, 1])
    """
    frames = frame_count(samples)
    starts = np.arange(frames) * HOP
    centres = (starts + np.minimum(starts + HOP, samples)) // 2
    index = np.full(frames, missing, np.int64)
    for event in events:
        if event.label in labels:
            index[(centres >= event.start) & (centres < event.end)] = list(labels).index(event.label)
    return index
