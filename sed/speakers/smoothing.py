"""Speaker activity tidied up: short pauses bridged, short turns dropped, speakers in order of appearance.

In and out: turns as ``(n, 2)`` spans of frames, or bool activity ``(frames, speakers)``, on the 20 ms grid; lengths are
in frames.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sed.speakers.turns import Turns, runs


def united(spans: np.ndarray, fill: int = 0, shortest: int = 0) -> np.ndarray:
    """Spans ``(n, 2)``, which may overlap and stand in any order, as ascending ones with pauses between them.

    Pauses of at most `fill` frames are bridged, then what is shorter than `shortest` frames is dropped.

    >>> united(np.array([[6, 9], [0, 2], [1, 4], [11, 12]]), fill=1, shortest=2).tolist()
    [[0, 4], [6, 9]]
    """
    if not len(spans):
        return spans
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    until = np.maximum.accumulate(spans[:, 1])
    pauses = spans[1:, 0] - until[:-1] > fill
    first, last = np.append(True, pauses), np.append(pauses, True)
    joined = np.stack([spans[first, 0], until[last]], 1)
    return joined[joined[:, 1] - joined[:, 0] >= shortest]


def smooth(mask: np.ndarray, fill: int, shortest: int) -> np.ndarray:
    """Bridge pauses of at most `fill` frames, then drop turns of less than `shortest` frames; ``(n,)`` bool.

    >>> smooth(np.array([1, 0, 1, 0, 0, 1], bool), fill=1, shortest=2).astype(int).tolist()
    [1, 1, 1, 0, 0, 0]
    """
    out = np.zeros(len(mask), bool)
    for start, end in united(runs(mask), fill, shortest):
        out[start:end] = True
    return out


def speaker_names(count: int) -> tuple[str, ...]:
    """Names of `count` anonymous speakers.

    >>> speaker_names(2)
    ('spk00', 'spk01')
    """
    return tuple(f"spk{number:02d}" for number in range(count))


def in_order(spans: Iterable[np.ndarray], frames: int, fill: int = 0, shortest: int = 0) -> Turns:
    """`Turns` from each speaker's spans, `united`, in order of first appearance; who never speaks is left out.

    >>> turns = in_order([np.array([[3, 5]]), np.array([[0, 1], [8, 9]])], 10, fill=2)
    >>> turns.names, [own.tolist() for own in turns.spans]
    (('spk00', 'spk01'), [[[0, 1], [8, 9]], [[3, 5]]])
    """
    found = [own for own in (united(one, fill, shortest) for one in spans) if len(own)]
    found.sort(key=lambda own: int(own[0, 0]))
    return Turns(tuple(found), speaker_names(len(found)), frames)
