"""Speaker activity tidied up: short pauses bridged, short turns dropped, speakers in order of appearance.

In and out: bool activity ``(frames, speakers)`` on the 20 ms grid; lengths are in frames.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from sed.speakers.turns import Turns


def runs(mask: np.ndarray) -> np.ndarray:
    """Start and end (exclusive) of every stretch of true values in ``(n,)``, as ``(stretches, 2)``.

    >>> runs(np.array([True, False, True, True])).tolist()
    [[0, 1], [2, 4]]
    """
    padded = np.zeros(len(mask) + 2, np.int8)
    padded[1:-1] = mask
    return np.flatnonzero(np.diff(padded)).reshape(-1, 2)


def smooth(mask: np.ndarray, fill: int, shortest: int) -> np.ndarray:
    """Bridge pauses of at most `fill` frames, then drop turns of less than `shortest` frames; ``(n,)`` bool.

    >>> smooth(np.array([1, 0, 1, 0, 0, 1], bool), fill=1, shortest=2).astype(int).tolist()
    [1, 1, 1, 0, 0, 0]
    """
    out = np.array(mask, bool)
    found = runs(out)
    for (_, end), (start, _) in pairwise(found):
        if start - end <= fill:
            out[end:start] = True
    for start, end in runs(out):
        if end - start < shortest:
            out[start:end] = False
    return out


def speaker_names(count: int) -> tuple[str, ...]:
    """Names of `count` anonymous speakers.

    >>> speaker_names(2)
    ('spk00', 'spk01')
    """
    return tuple(f"spk{number:02d}" for number in range(count))


def turns_of(active: np.ndarray, fill: int = 0, shortest: int = 0) -> Turns:
    """`Turns` with smoothed columns in order of first appearance; speakers who never speak are left out.

    `active` is ``(frames, speakers)`` bool.

    >>> turns_of(np.array([[0, 0, 1], [1, 0, 1]], bool)).active.astype(int).tolist()
    [[1, 0], [1, 1]]
    """
    smoothed = [smooth(column, fill, shortest) for column in active.T]
    smoothed = [column for column in smoothed if column.any()]
    smoothed.sort(key=lambda column: int(column.argmax()))
    frames = len(active)
    joined = np.stack(smoothed, 1) if smoothed else np.zeros((frames, 0), bool)
    return Turns(joined, speaker_names(joined.shape[1]))
