"""Cuts the speech of local speakers into runs, and selects the frames of a run that are embedded.

In: the bool activity of the local speakers of one window, ``(frames, local speakers)`` on the 20 ms grid, and the
tile: the slice of the window that belongs to no other window. Out: runs within the tile, and frames to embed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sed.grid import FRAME_RATE, seconds_to_frames
from sed.speakers.turns import runs

MIN_OVERLAP_FRAMES = 25  # minimum overlap of two runs that have different speakers for certain
MIN_OVERLAP_SHARE = 0.6  # and its minimum share of the shorter run
_LOOKBACK = 12  # number of preceding runs that are checked for overlap


@dataclass(frozen=True)
class SpeechRunOptions:
    """How the speech of local speakers is cut into runs and embedded; times in seconds.

    min_pause: shortest pause of a local speaker that ends a run, as another speaker may follow.
    max_embed_seconds: maximum clean speech of a run that is embedded; more costs time and adds little.
    target_embed_seconds: if a run has less clean speech within the tile, clean speech outside the tile is added.
    min_embed_seconds: runs with less speech are not embedded.
    min_clean_seconds: clean speech (of a single speaker) from which the embedding uses no other and takes part in the
        clustering; otherwise overlapped speech is added, and the embedding is only assigned to a speaker.
    """

    min_pause: float = 0.5
    max_embed_seconds: float = 3.0
    target_embed_seconds: float = 1.5
    min_embed_seconds: float = 0.3
    min_clean_seconds: float = 0.8


@dataclass(frozen=True, eq=False, slots=True)
class SpeechRun:
    """Speech of one local speaker without a long pause, within one tile.

    `start` and `end` are frames of the recording, `bits` is the packed activity (see `active`), `local_speaker` the
    numbers of the window and of the local speaker in it. `vector` is the unit embedding or None, `seconds` the clean
    speech that was embedded (0: too little, so the run takes no part in the clustering).
    """

    start: int
    end: int
    bits: bytes
    local_speaker: tuple[int, int]
    vector: np.ndarray | None
    seconds: float

    @classmethod
    def from_active(
        cls,
        start: int,
        active: np.ndarray,
        local_speaker: tuple[int, int],
        vector: np.ndarray | None,
        seconds: float,
    ) -> SpeechRun:
        """A run from frame `start` with speech where `active` ``(frames,)`` is true.

        >>> SpeechRun.from_active(7, np.array([True, False, True]), (0, 0), None, 0.0).spans.tolist()
        [[7, 8], [9, 10]]
        """
        return cls(start, start + len(active), np.packbits(active).tobytes(), local_speaker, vector, seconds)

    @property
    def active(self) -> np.ndarray:
        """Frames with speech, ``(end - start,)`` bool."""
        return np.unpackbits(np.frombuffer(self.bits, np.uint8), count=self.end - self.start).view(bool)

    @property
    def spans(self) -> np.ndarray:
        """Start and end (exclusive) of the speech in frames of the recording, ``(n, 2)``."""
        return runs(self.active) + self.start


def find_speech_runs(active: np.ndarray, tile: slice, options: SpeechRunOptions) -> list[tuple[int, int]]:
    """Start and end (exclusive) of the runs of one local speaker, `active` ``(frames,)`` bool, with speech in `tile`.

    They may start before the tile and end after it.

    >>> active = np.repeat([True, False, True, False, True], [50, 10, 40, 100, 50])
    >>> find_speech_runs(active, slice(60, 190), SpeechRunOptions(min_pause=0.5))
    [(0, 100)]
    """
    min_pause = seconds_to_frames(options.min_pause)
    merged: list[tuple[int, int]] = []
    for start, end in runs(active).tolist():
        if merged and start - merged[-1][1] < min_pause:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return [
        (start, end)
        for start, end in merged
        if start < tile.stop
        and end > tile.start
        and active[max(start, tile.start) : min(end, tile.stop)].any()
    ]


def frames_to_embed(
    active: np.ndarray, column: int, start: int, end: int, tile: slice, options: SpeechRunOptions
) -> tuple[np.ndarray, float]:
    """The frames to embed for the run from `start` to `end` of local speaker `column`.

    Returns their indices in ascending order (empty if there is too little speech), and the seconds of clean speech
    among them (0 if overlapped speech had to be added).

    >>> single = np.ones((100, 1), bool)
    >>> frames, seconds = frames_to_embed(single, 0, 0, 100, slice(0, 500), SpeechRunOptions())
    >>> len(frames), seconds
    (100, 2.0)
    """
    frames = np.arange(len(active))
    speech = active[:, column] & (frames >= start) & (frames < end)
    clean = speech & (active.sum(1) == 1)
    inside = (frames >= tile.start) & (frames < tile.stop)
    chosen = _from_longest_runs(clean & inside, seconds_to_frames(options.max_embed_seconds))
    missing = seconds_to_frames(options.target_embed_seconds) - len(chosen)
    if missing > 0:
        chosen = np.concatenate([chosen, _from_longest_runs(clean & ~inside, missing)])
    seconds = len(chosen) / FRAME_RATE
    if seconds < options.min_clean_seconds:
        seconds = 0.0
        missing = seconds_to_frames(options.target_embed_seconds) - len(chosen)
        chosen = np.concatenate([chosen, _from_longest_runs(speech & ~clean & inside, missing)])
    if len(chosen) < max(1, seconds_to_frames(options.min_embed_seconds)):
        chosen = chosen[:0]
    return np.sort(chosen), seconds


def overlapping_pairs(speech_runs: Sequence[SpeechRun]) -> np.ndarray:
    """Index pairs ``(pairs, 2)`` of runs, in order of their starts, that overlap for long.

    That is, both are active for at least half a second, and for most of the shorter run.

    >>> long, short = (SpeechRun.from_active(0, np.ones(n, bool), (0, n), None, 0.0) for n in (100, 30))
    >>> overlapping_pairs([long, short]).tolist()
    [[0, 1]]
    """
    pairs = []
    for later, two in enumerate(speech_runs):
        for earlier in range(later - 1, max(-1, later - _LOOKBACK), -1):
            one = speech_runs[earlier]
            start, end = max(one.start, two.start), min(one.end, two.end)
            if end - start < MIN_OVERLAP_FRAMES:
                continue
            first, second = one.active, two.active
            both = first[start - one.start : end - one.start] & second[start - two.start : end - two.start]
            shorter = min(first.sum(), second.sum())
            if both.sum() >= max(MIN_OVERLAP_FRAMES, MIN_OVERLAP_SHARE * shorter):
                pairs.append((earlier, later))
    return np.array(pairs, np.int64).reshape(-1, 2)


def _from_longest_runs(mask: np.ndarray, limit: int) -> np.ndarray:
    """Up to `limit` frames at which `mask` is true, from the longest runs first."""
    found = runs(mask)
    chosen = [np.zeros(0, np.int64)]
    for start, end in found[np.argsort(found[:, 0] - found[:, 1], kind="stable")]:
        count = min(limit, end - start)
        chosen.append(np.arange(start, start + count))
        limit -= count
    return np.concatenate(chosen)
