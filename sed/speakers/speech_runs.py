"""Cuts the speech of tracks into runs of one speaker, and selects the frames of a run that are embedded.

In: the bool activity of the tracks of one section (`sed.speakers.stitching`), ``(frames, tracks)`` on the 20 ms grid,
and the frames where a track may change its speaker. Out: runs, and frames to embed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sed.grid import FRAME_RATE, seconds_to_frames
from sed.speakers.turns import runs

MIN_OVERLAP_FRAMES = 25  # minimum overlap of two runs that have different speakers for certain
MIN_OVERLAP_SHARE = 0.6  # and its minimum share of the shorter run
OFF_CENTRE_COST = (
    0.05  # activity that a cut of a long run at its end, instead of its middle, must be lower by
)
_LOOKBACK = 12  # number of preceding runs that are checked for overlap


@dataclass(frozen=True)
class SpeechRunOptions:
    """How the speech of local speakers is cut into runs and embedded; times in seconds.

    min_pause: shortest pause of a local speaker that ends a run, as another speaker may follow.
    min_run: a run is cut where a window sees a change if at least this is left on both sides.
    max_run: longer runs are cut where the activity is lowest, as the network sometimes misses a change of speakers.
    max_embed_seconds: maximum clean speech of a run that is embedded; more costs time and adds little.
    target_embed_seconds: if a run has less clean speech than `min_clean_seconds`, overlapped speech is added up to
        this.
    min_embed_seconds: runs with less speech are not embedded.
    min_clean_seconds: clean speech (of a single speaker) from which the embedding uses no other.
    """

    min_pause: float = 0.5
    min_run: float = 0.8
    max_run: float = 4.0
    max_embed_seconds: float = 2.5
    target_embed_seconds: float = 1.0
    min_embed_seconds: float = 0.3
    min_clean_seconds: float = 0.5


@dataclass(frozen=True, eq=False, slots=True)
class SpeechRun:
    """Speech of one track (`sed.speakers.stitching`) without a long pause or a change of speakers.

    `start` and `end` are frames of the recording, `bits` is the packed activity (see `active`), `track` the
    number of the track. `vector` is the unit embedding or None, `seconds` the clean
    speech that was embedded (0: too little, so the run takes no part in the clustering), `views` how the windows see
    the run (`sed.speakers.shared_windows`).
    """

    start: int
    end: int
    bits: bytes
    track: int
    vector: np.ndarray | None
    seconds: float
    views: np.ndarray

    @classmethod
    def from_active(
        cls,
        start: int,
        active: np.ndarray,
        track: int,
        vector: np.ndarray | None,
        seconds: float,
        views: np.ndarray | None = None,
    ) -> SpeechRun:
        """A run from frame `start` with speech where `active` ``(frames,)`` is true.

        >>> SpeechRun.from_active(7, np.array([True, False, True]), 0, None, 0.0).spans.tolist()
        [[7, 8], [9, 10]]
        """
        if views is None:
            views = np.zeros((0, 2))
        return cls(start, start + len(active), np.packbits(active).tobytes(), track, vector, seconds, views)

    @property
    def active(self) -> np.ndarray:
        """Frames with speech, ``(end - start,)`` bool."""
        return np.unpackbits(np.frombuffer(self.bits, np.uint8), count=self.end - self.start).view(bool)

    @property
    def spans(self) -> np.ndarray:
        """Start and end (exclusive) of the speech in frames of the recording, ``(n, 2)``."""
        return runs(self.active) + self.start


def find_speech_runs(
    active: np.ndarray, activity: np.ndarray, cuts: np.ndarray, options: SpeechRunOptions
) -> list[tuple[int, int]]:
    """Start and end (exclusive) of the runs of one track, `active` ``(frames,)`` bool, which may change its speaker
    where `cuts` ``(frames,)`` bool is true, and less likely where its `activity` ``(frames,)`` is low.

    >>> active = np.repeat([True, False, True, False, True], [50, 10, 140, 100, 50])
    >>> cuts = np.zeros(350, bool); cuts[[5, 120]] = True
    >>> find_speech_runs(active, active, cuts, SpeechRunOptions(min_pause=0.5, min_run=0.8))
    [(0, 120), (120, 200), (300, 350)]
    """
    min_pause, min_run = seconds_to_frames(options.min_pause), seconds_to_frames(options.min_run)
    merged: list[tuple[int, int]] = []
    for start, end in runs(active).tolist():
        if merged and start - merged[-1][1] < min_pause:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    found = []
    for start, end in merged:
        for cut in (np.flatnonzero(cuts[start:end]) + start).tolist():
            if min(cut - start, end - cut) >= min_run:
                found.append((start, cut))
                start = cut
        found.append((start, end))
    found = [part for start, end in found for part in _split_long(activity, start, end, options)]
    return [(start, end) for start, end in found if active[start:end].any()]


def _split_long(
    activity: np.ndarray, start: int, end: int, options: SpeechRunOptions
) -> list[tuple[int, int]]:
    """The parts of a run of at most `options.max_run`, cut where the activity (mean over 0.1 s) is lowest,
    near the middle if it is about the same everywhere."""
    if end - start <= seconds_to_frames(options.max_run):
        return [(start, end)]
    margin = seconds_to_frames(options.max_run) // 4
    smooth = np.convolve(activity[start:end].astype(np.float64), np.ones(5) / 5, "same")[margin:-margin]
    off_centre = np.abs(np.linspace(-1, 1, len(smooth)))
    cut = start + margin + int((smooth + OFF_CENTRE_COST * off_centre).argmin())
    return [*_split_long(activity, start, cut, options), *_split_long(activity, cut, end, options)]


def frames_to_embed(
    active: np.ndarray, column: int, start: int, end: int, options: SpeechRunOptions
) -> tuple[np.ndarray, float]:
    """The frames to embed for the run from `start` to `end` of track `column` in `active` ``(frames, tracks)`` bool.

    Returns their indices in ascending order (empty if there is too little speech), and the seconds of clean speech
    among them (0 if overlapped speech had to be added).

    >>> frames, seconds = frames_to_embed(np.ones((100, 1), bool), 0, 0, 100, SpeechRunOptions())
    >>> len(frames), seconds
    (100, 2.0)
    """
    speech = active[start:end, column]
    clean = speech & (active[start:end].sum(1) == 1)
    chosen = _from_longest_runs(clean, seconds_to_frames(options.max_embed_seconds))
    seconds = len(chosen) / FRAME_RATE
    if seconds < options.min_clean_seconds:
        seconds = 0.0
        missing = seconds_to_frames(options.target_embed_seconds) - len(chosen)
        chosen = np.concatenate([chosen, _from_longest_runs(speech & ~clean, missing)])
    if len(chosen) < max(1, seconds_to_frames(options.min_embed_seconds)):
        chosen = chosen[:0]
    return start + np.sort(chosen), seconds


def overlapping_pairs(speech_runs: Sequence[SpeechRun]) -> np.ndarray:
    """Index pairs ``(pairs, 2)`` of runs, in order of their starts, that overlap for long.

    That is, both are active for at least half a second, and for most of the shorter run.

    >>> long, short = (SpeechRun.from_active(0, np.ones(n, bool), n, None, 0.0) for n in (100, 30))
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
            if _is_long(both.sum(), first.sum(), second.sum()):
                pairs.append((earlier, later))
    return np.array(pairs, np.int64).reshape(-1, 2)


def overlap_for_long(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two runs, active in the distinct frame numbers `one` ``(n,)`` and `other` ``(m,)``, overlap for long.

    As in `overlapping_pairs`: for at least half a second, and for most of the shorter run.

    >>> overlap_for_long(np.arange(100), np.arange(70, 110)), overlap_for_long(np.arange(100), np.arange(80, 110))
    (True, False)
    """
    return _is_long(len(np.intersect1d(one, other, assume_unique=True)), len(one), len(other))


def _is_long(both: int, one: int, other: int) -> bool:
    """Whether `both` frames of overlap are long for runs of `one` and `other` active frames."""
    return both >= max(MIN_OVERLAP_FRAMES, MIN_OVERLAP_SHARE * min(one, other))


def _from_longest_runs(mask: np.ndarray, limit: int) -> np.ndarray:
    """Up to `limit` frames at which `mask` is true, from the longest runs first."""
    found = runs(mask)
    chosen = [np.zeros(0, np.int64)]
    for start, end in found[np.argsort(found[:, 0] - found[:, 1], kind="stable")]:
        count = min(limit, end - start)
        chosen.append(np.arange(start, start + count))
        limit -= count
    return np.concatenate(chosen)
