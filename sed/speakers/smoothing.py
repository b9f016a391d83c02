"""Post-processing of speaker activity: bridge short pauses, drop short turns, order and name the speakers.

In and out: spans ``(n, 2)`` of frames (start, exclusive end), or masks ``(n,)`` bool, on the 20 ms grid. Durations are
in frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from sed.result import SpeakerProfile
from sed.speakers.turns import Turns, runs


def merge_spans(spans: np.ndarray, min_duration_off: int = 0, min_duration_on: int = 0) -> np.ndarray:
    """Merge `spans` ``(n, 2)``, which may overlap and be in any order, into ascending ones with gaps between them.

    Gaps of at most `min_duration_off` frames are bridged, then spans shorter than `min_duration_on` are dropped.

    >>> merge_spans(np.array([[6, 9], [0, 2], [1, 4], [11, 12]]), min_duration_off=1, min_duration_on=2).tolist()
    [[0, 4], [6, 9]]
    """
    if not len(spans):
        return spans
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    ends = np.maximum.accumulate(spans[:, 1])
    gaps = spans[1:, 0] - ends[:-1] > min_duration_off
    first, last = np.append(True, gaps), np.append(gaps, True)
    merged = np.stack([spans[first, 0], ends[last]], 1)
    return merged[merged[:, 1] - merged[:, 0] >= min_duration_on]


def smooth(mask: np.ndarray, min_duration_off: int, min_duration_on: int) -> np.ndarray:
    """As `merge_spans`, for a mask ``(n,)`` bool.

    >>> mask = np.array([1, 0, 1, 0, 0, 1], bool)
    >>> smooth(mask, min_duration_off=1, min_duration_on=2).astype(int).tolist()
    [1, 1, 1, 0, 0, 0]
    """
    smoothed = np.zeros(len(mask), bool)
    for start, end in merge_spans(runs(mask), min_duration_off, min_duration_on):
        smoothed[start:end] = True
    return smoothed


def speaker_names(count: int) -> tuple[str, ...]:
    """Names of `count` anonymous speakers.

    >>> speaker_names(2)
    ('spk00', 'spk01')
    """
    return tuple(f"spk{number:02d}" for number in range(count))


def make_turns(
    spans: Iterable[np.ndarray],
    frames: int,
    min_duration_off: int = 0,
    min_duration_on: int = 0,
    profiles: Sequence[SpeakerProfile | None] | None = None,
) -> Turns:
    """`Turns` from the spans of each speaker, merged, in order of first appearance; silent speakers are dropped.

    `profiles` has the profile of each speaker, in the order of `spans`; None for those without clean speech.

    >>> turns = make_turns([np.array([[3, 5]]), np.array([[0, 1], [8, 9]])], 10, min_duration_off=2)
    >>> turns.names, [spans.tolist() for spans in turns.spans]
    (('spk00', 'spk01'), [[[0, 1], [8, 9]], [[3, 5]]])
    """
    merged = [merge_spans(one, min_duration_off, min_duration_on) for one in spans]
    order = sorted((n for n, one in enumerate(merged) if len(one)), key=lambda n: int(merged[n][0, 0]))
    names = speaker_names(len(order))
    found = None
    if profiles is not None:
        own = zip(names, (profiles[n] for n in order), strict=True)
        found = {name: profile for name, profile in own if profile is not None}
    return Turns(tuple(merged[n] for n in order), names, frames, found)


def channel_turns(channels: Sequence[Turns]) -> Turns:
    """The turns of separate channels as one: the speakers of each are one speaker, ``channel1``, ``channel2``, ...

    >>> one = Turns((np.array([[0, 5]]), np.array([[3, 8]])), ("spk00", "spk01"), 9)
    >>> turns = channel_turns([one, Turns((), (), 9)])
    >>> turns.names, [spans.tolist() for spans in turns.spans]
    (('channel1', 'channel2'), [[[0, 8]], []])
    """
    names = tuple(f"channel{number}" for number in range(1, len(channels) + 1))
    spans = tuple(merge_spans(np.concatenate([np.zeros((0, 2), int), *own.spans])) for own in channels)
    profiles = None
    if all(own.profiles is not None for own in channels):
        pairs = [
            (name, list((own.profiles or {}).values())) for name, own in zip(names, channels, strict=True)
        ]
        profiles = {name: SpeakerProfile.merged(found) for name, found in pairs if found}
    return Turns(spans, names, channels[0].frames, profiles)
