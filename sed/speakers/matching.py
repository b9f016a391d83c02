"""Gives speakers the names of enrolled ones by their profiles: an open set, a speaker who matches none stays unknown.

In: `Turns` with profiles, and the profiles of enrolled speakers by name. Out: `Turns` with names.

Each speaker gets the name of the most similar enrolled one if their cosine reaches a threshold. Two speakers with the
same name become one, since the clustering has split a speaker, unless they speak at the same time: then the less
similar one stays unknown. (In 60 simulated conversations of `train` and `valid` speakers joining them lowered DER from
24.4 to 24.2 %, and never raised it.) `benchmarks/tuning/enrolment.py` prints the rates by threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sed.grid import FRAME_RATE
from sed.result import SpeakerProfile
from sed.speakers.smoothing import merge_spans, speaker_names
from sed.speakers.turns import Turns

MATCH_THRESHOLD = 0.5
"""Cosine of two profiles from which they are taken for one speaker."""

_MAX_OVERLAP = 0.5  # seconds that parts of one speaker may overlap, by errors of the segmentation


def best_match(
    profile: SpeakerProfile, known: Mapping[str, SpeakerProfile], threshold: float = MATCH_THRESHOLD
) -> tuple[str, float] | None:
    """The name of the most similar of `known` and its cosine; None if that is below `threshold`.

    >>> known = {"ann": SpeakerProfile(np.array([1.0, 0.0]), 9.0), "bob": SpeakerProfile(np.array([0.0, 1.0]), 9.0)}
    >>> best_match(SpeakerProfile(np.array([0.6, 0.8]), 5.0), known)
    ('bob', 0.8)
    >>> best_match(SpeakerProfile(np.array([0.0, -1.0]), 5.0), known) is None
    True
    """
    similarities = {name: profile.similarity(other) for name, other in known.items()}
    name = max(similarities, key=lambda n: similarities[n], default=None)
    if name is None or similarities[name] < threshold:
        return None
    return name, similarities[name]


def name_speakers(
    turns: Turns, enrolled: Mapping[str, SpeakerProfile], threshold: float = MATCH_THRESHOLD
) -> Turns:
    """`turns` with the names of `enrolled` speakers; the others are ``spk00``, ``spk01``, ... in order of appearance.
    Without enrolled speakers, or without profiles, the same as before.

    >>> profiles = {f"spk{n:02d}": SpeakerProfile(np.eye(3)[n], 5.0) for n in range(3)}
    >>> turns = Turns(tuple(np.array([[9 * n, 9 * n + 9]]) for n in range(3)), tuple(profiles), 27, profiles)
    >>> name_speakers(turns, {"ann": profiles["spk01"]}).names
    ('spk00', 'ann', 'spk01')
    """
    if not enrolled or not turns.profiles:
        return turns
    profiles = turns.profiles
    matches = {n: found for n, p in profiles.items() if (found := best_match(p, enrolled, threshold))}
    groups: dict[str, list[int]] = {}  # columns of turns by enrolled name, most similar first
    for name in sorted(matches, key=lambda n: -matches[n][1]):
        column = turns.names.index(name)
        group = groups.setdefault(matches[name][0], [])
        if all(_overlap(turns, column, other) <= _MAX_OVERLAP * FRAME_RATE for other in group):
            group.append(column)
    taken = {column for group in groups.values() for column in group}
    joined = [(name, sorted(group)) for name, group in groups.items()]
    joined += [("", [column]) for column in range(len(turns.names)) if column not in taken]
    joined.sort(key=lambda item: min(int(turns.spans[column][0, 0]) for column in item[1]))
    anonymous = iter(speaker_names(len(turns.names)))
    names = tuple(name or next(anonymous) for name, _ in joined)
    spans = tuple(merge_spans(np.concatenate([turns.spans[c] for c in columns])) for _, columns in joined)
    own = {
        name: [profiles[turns.names[c]] for c in columns if turns.names[c] in profiles]
        for name, (_, columns) in zip(names, joined, strict=True)
    }
    merged = {name: SpeakerProfile.merged(parts) for name, parts in own.items() if parts}
    return replace(turns, spans=spans, names=names, profiles=merged)


def name_channels(
    turns: Turns, enrolled: Mapping[str, SpeakerProfile], threshold: float = MATCH_THRESHOLD
) -> Turns:
    """`turns` of separate channels with the names of `enrolled` speakers: each channel is another speaker, in order.

    A channel without a match, or less similar than another one of the same name, keeps its name.

    >>> profiles = {f"channel{n}": SpeakerProfile(np.array([1.0, n / 9]), 5.0) for n in (1, 2)}
    >>> turns = Turns((np.array([[0, 9]]), np.array([[9, 18]])), tuple(profiles), 18, profiles)
    >>> name_channels(turns, {"ann": profiles["channel2"]}).names
    ('channel1', 'ann')
    """
    profiles = turns.profiles or {}
    matches = {n: found for n, p in profiles.items() if (found := best_match(p, enrolled, threshold))}
    new: dict[str, str] = {}
    for name in sorted(matches, key=lambda n: -matches[n][1]):
        if matches[name][0] not in new.values():
            new[name] = matches[name][0]
    renamed = {new.get(name, name): profile for name, profile in profiles.items()}
    names = tuple(new.get(name, name) for name in turns.names)
    return replace(turns, names=names, profiles=None if turns.profiles is None else renamed)


def _overlap(turns: Turns, one: int, other: int) -> int:
    """Frames in which two speakers of `turns` are both active."""
    active = np.zeros(turns.frames, bool)
    for start, end in turns.spans[one]:
        active[start:end] = True
    return sum(int(active[start:end].sum()) for start, end in turns.spans[other])
