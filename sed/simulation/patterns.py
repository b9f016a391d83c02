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


@dataclass(frozen=True, order=True)
class Event:
    """Samples ``[start, end)`` carry `label`; `source` is the number of the utterance they are from, -1 where
    nobody counts."""

    start: int
    end: int
    label: str
    source: int = field(default=-1, repr=False, compare=False)


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
