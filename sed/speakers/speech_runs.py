"""Local speakers' speech cut into stretches, and which frames of a stretch tell most about the voice.

In: the bool activity of the local speakers of one window, ``(frames, local speakers)`` on the 20 ms grid, and the
tile: the part of the window that counts. Out: stretches within the tile, and frames to embed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sed.grid import FRAME_RATE, seconds_to_frames
from sed.speakers.turns import runs

AT_ONCE_FRAMES = 25  # frames of both speaking that make two people of two stretches
AT_ONCE_SHARE = 0.6  # and the part of the shorter one that they must be
_NEIGHBOURS = 12  # stretches before one that may still sound with it


@dataclass(frozen=True)
class StretchOptions:
    """How local speakers' speech is cut up and embedded; times in seconds.

    pause: pauses of a local speaker from this length on end a stretch: another person may follow.
    embed_at_most: clean speech of a stretch that is embedded; more costs time and tells little.
    embed_enough: where a stretch has less clean speech within the tile, what it has beyond is added.
    embed_at_least: stretches with less speech than this get no embedding.
    clean_at_least: clean speech (nobody else speaks) from which an embedding rests on it alone and takes part in
        clustering; otherwise overlapped speech is added, and the embedding only gets assigned.
    """

    pause: float = 0.5
    embed_at_most: float = 3.0
    embed_enough: float = 1.5
    embed_at_least: float = 0.3
    clean_at_least: float = 0.8


@dataclass(frozen=True, eq=False, slots=True)
class Stretch:
    """Speech of one local speaker without a long pause, within one tile.

    `start` and `end` are frames of the recording, `bits` tell pauses from speech (`active`, eight frames a byte),
    `voice` is the window and column of the local speaker. `vector` is the unit embedding or None, `seconds` the
    clean speech that it rests on (0: too little, so it only gets assigned).
    """

    start: int
    end: int
    bits: bytes
    voice: tuple[int, int]
    vector: np.ndarray | None
    seconds: float

    @classmethod
    def of(
        cls, start: int, active: np.ndarray, voice: tuple[int, int], vector: np.ndarray | None, seconds: float
    ) -> Stretch:
        """From frame `start` on, with speech where `active` ``(frames,)`` is true.

        >>> Stretch.of(7, np.array([True, False, True]), (0, 0), None, 0.0).spans.tolist()
        [[7, 8], [9, 10]]
        """
        return cls(start, start + len(active), np.packbits(active).tobytes(), voice, vector, seconds)

    @property
    def active(self) -> np.ndarray:
        """Where there is speech, ``(end - start,)`` bool."""
        return np.unpackbits(np.frombuffer(self.bits, np.uint8), count=self.end - self.start).view(bool)

    @property
    def spans(self) -> np.ndarray:
        """Start and end of the speech in frames of the recording, ``(n, 2)``."""
        return runs(self.active) + self.start


def stretches_of(active: np.ndarray, tile: slice, options: StretchOptions) -> list[tuple[int, int]]:
    """Start and end (exclusive) of one local speaker's stretches that reach into `tile`; ``(frames,)`` bool in.

    They may begin before the tile and end after it.

    >>> talk = np.repeat([True, False, True, False, True], [50, 10, 40, 100, 50])
    >>> stretches_of(talk, slice(60, 190), StretchOptions(pause=0.5))
    [(0, 100)]
    """
    pause = seconds_to_frames(options.pause)
    joined: list[tuple[int, int]] = []
    for start, end in runs(active).tolist():
        if joined and start - joined[-1][1] < pause:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return [
        (start, end)
        for start, end in joined
        if start < tile.stop
        and end > tile.start
        and active[max(start, tile.start) : min(end, tile.stop)].any()
    ]


def frames_to_embed(
    active: np.ndarray, column: int, start: int, end: int, tile: slice, options: StretchOptions
) -> tuple[np.ndarray, float]:
    """Which frames to embed for the stretch from `start` to `end` of local speaker `column`.

    Returns their numbers in order of time (none where there is too little), and how many seconds of clean speech
    they are (0 where overlapped speech had to be added).

    >>> alone = np.ones((100, 1), bool)
    >>> frames, seconds = frames_to_embed(alone, 0, 0, 100, slice(0, 500), StretchOptions())
    >>> len(frames), seconds
    (100, 2.0)
    """
    frames = np.arange(len(active))
    mine = active[:, column] & (frames >= start) & (frames < end)
    clean = mine & (active.sum(1) == 1)
    inside = (frames >= tile.start) & (frames < tile.stop)
    chosen = _longest(clean & inside, seconds_to_frames(options.embed_at_most))
    lack = seconds_to_frames(options.embed_enough) - len(chosen)
    if lack > 0:
        chosen = np.concatenate([chosen, _longest(clean & ~inside, lack)])
    seconds = len(chosen) / FRAME_RATE
    if seconds < options.clean_at_least:
        seconds = 0.0
        lack = seconds_to_frames(options.embed_enough) - len(chosen)
        chosen = np.concatenate([chosen, _longest(mine & ~clean & inside, lack)])
    if len(chosen) < max(1, seconds_to_frames(options.embed_at_least)):
        chosen = chosen[:0]
    return np.sort(chosen), seconds


def pairs_at_once(stretches: Sequence[Stretch]) -> np.ndarray:
    """Which of `stretches`, in order of their starts, sound at once for long: their numbers, ``(pairs, 2)``.

    That is half a second or more in which both speak, and most of the shorter of the two.

    >>> long, short = (Stretch.of(0, np.ones(n, bool), (0, n), None, 0.0) for n in (100, 30))
    >>> pairs_at_once([long, short]).tolist()
    [[0, 1]]
    """
    found = []
    for later, two in enumerate(stretches):
        for earlier in range(later - 1, max(-1, later - _NEIGHBOURS), -1):
            one = stretches[earlier]
            start, end = max(one.start, two.start), min(one.end, two.end)
            if end - start < AT_ONCE_FRAMES:
                continue
            first, second = one.active, two.active
            both = first[start - one.start : end - one.start] & second[start - two.start : end - two.start]
            shorter = min(first.sum(), second.sum())
            if both.sum() >= max(AT_ONCE_FRAMES, AT_ONCE_SHARE * shorter):
                found.append((earlier, later))
    return np.array(found, np.int64).reshape(-1, 2)


def _longest(mask: np.ndarray, room: int) -> np.ndarray:
    """Up to `room` of the frames where `mask` is true, from the longest stretches first."""
    found = runs(mask)
    chosen = [np.zeros(0, np.int64)]
    for start, end in found[np.argsort(found[:, 0] - found[:, 1], kind="stable")]:
        take = min(room, end - start)
        chosen.append(np.arange(start, start + take))
        room -= take
    return np.concatenate(chosen)
