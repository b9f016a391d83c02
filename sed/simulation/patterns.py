"""The paper's transition patterns: utterances of one speaker joined into clips with exact references.

In: mono float32 arrays at 16 kHz, one emotion each. Out: ``(samples, events)``, where each `Event` has a first
sample, an end sample (exclusive) and a label. All functions are pure; randomness comes from a numpy generator. Wang
et al. (2023, arXiv 2306.12991) join silence-trimmed, loudness-equalised utterances of one speaker as neutral-emotion,
emotion-neutral, neutral-emotion-neutral, or emotion only, a quarter each.
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
    """Samples ``[start, end)`` have `label`; `source` is the number of the source utterance, -1 if unknown."""

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
    """Join `waves` with `gaps` samples of silence between them (``len(waves) - 1`` numbers; empty: no gaps).

    Each joint has linear fades of `fade` samples, which prevent clicks. The events cover the waves, not the gaps;
    adjacent events with the same label are not merged. `sources` are the numbers of the utterances (empty: -1).
    Raises `OptionError` if the numbers of waves, labels and gaps do not match.

    >>> samples, events = join([np.ones(4), np.ones(2)], ["neutral", "sad"], gaps=[1])
    >>> len(samples), events
    (7, [Event(start=0, end=4, label='neutral'), Event(start=5, end=7, label='sad')])
    """
    gaps = list(gaps) or [0] * (len(waves) - 1)
    sources = list(sources) or [-1] * len(waves)
    if len(labels) != len(waves) or len(gaps) != len(waves) - 1 or any(gap < 0 for gap in gaps):
        raise OptionError(
            f"cannot join {len(waves)} waves with {len(labels)} labels and gaps {gaps}: expected one label per wave"
            " and a gap of at least 0 samples between each two"
        )
    parts: list[np.ndarray] = []
    events: list[Event] = []
    position = 0
    for number, (wave, label) in enumerate(zip(waves, labels, strict=True)):
        part = np.array(wave, np.float32)
        ramp = np.linspace(0, 1, min(fade, len(part) // 2), endpoint=False, dtype=np.float32)
        if number > 0 and len(ramp):
            part[: len(ramp)] *= ramp
        if number < len(waves) - 1:
            if len(ramp):
                part[-len(ramp) :] *= ramp[::-1]
            part = np.concatenate([part, np.zeros(gaps[number], np.float32)])
        events.append(Event(position, position + len(wave), label, sources[number]))
        parts.append(part)
        position += len(part)
    return np.concatenate(parts), events


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
    """One clip of one speaker in one of the four `PATTERNS`: `pattern`, or one drawn uniformly.

    `neutral` and `emotional` are trimmed and equalised utterances of the speaker; a pattern with two neutral parts
    uses two different utterances if there are two. Gaps are drawn uniformly from the range `gap` in seconds.
    `sources` are the numbers of the neutral and of the emotional utterances, for the events. Raises `OptionError` for
    an unknown pattern or if there is no utterance to draw.
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
        index = int(rng.integers(len(pool))) if is_emotion else order[labels.count(NEUTRAL) % len(order)]
        waves.append(pool[index])
        numbers.append(-1 if sources is None else sources[is_emotion][index])
        labels.append(emotion if is_emotion else NEUTRAL)
    gaps = [round(rng.uniform(*gap) * SAMPLE_RATE) for _ in parts[1:]]
    return join(waves, labels, gaps, fade, numbers)


def frame_labels(
    events: Sequence[Event], samples: int, labels: Sequence[str], missing: int = -1
) -> np.ndarray:
    """The label index of each 20 ms frame of a clip of `samples` samples, ``(frames,)`` int64.

    A frame has the label of the event at its centre, or `missing` if there is no event or its label is not in
    `labels`. The centre of a partial last frame is that of its samples in the clip.

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
