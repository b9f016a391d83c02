"""The container's clock: decoded samples are placed where a player plays them, and holes become silence.

A container gives every packet a time. Where packets are missing (a lost uplink, a muted track, discontinuous
transmission), or the sound starts after the picture, the decoded samples alone would stand too early. `Timeline`
decides how much silence belongs before each block of samples; `TimedSamples` puts it there.

Time 0 is the start of the earliest sound or picture, as in players. No hole: jitter, a start up to `TOLERANCE` late,
and the first packets of a codec from which no samples come. What begins before 0 (the priming of a codec) is not cut,
and neither is sound that comes before the sound before it has ended. A clock that goes back, as where files were
joined, continues from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from sed.audio.blocks import FORMAT, SCALE, timed_blocks

CLOCK_ENTRIES = "stream=index,codec_type,start_time:stream_disposition=attached_pic:program_stream=index"
"""What `container_start` needs to know of ffprobe (``-show_entries``)."""

TOLERANCE = 0.05  # seconds that samples and clock may be apart: less is jitter, and rounded times
MAX_HOLE = 4 * 3600.0  # seconds; a longer one is a damaged time
MAX_SILENCE = 12 * 3600.0  # seconds of silence put into one file
MARGIN = 60.0  # seconds that a file may go on after the end that it states
DELAY = 0.25  # seconds of the first packets from which a decoder may make no samples
MAX_LAG = 1.0  # seconds that the sound may be longer than its clock says before that is stated

_ORIGIN = 1000.0  # seconds at which ffmpeg starts its clock: no time is negative then, and none gets shifted
_BACK = 0.25  # seconds; a clock that goes back by more was set anew
# ffmpeg would replace times that go back by the last one. Variable 0 is what is added to the times, 1 the end of
# the block before.
_MONOTONIC = f"asetpts='if(lt(PTS,ld(1)-{_BACK}/TB),st(0,ld(0)+ld(1)-PTS));st(1,PTS+S/SR/TB);PTS+ld(0)'"


class Start(NamedTuple):
    """Where a file starts (`zero`), and where the packets of its sound do (`sound`), in seconds of its own clock."""

    zero: float
    sound: float

    @classmethod
    def of(cls, probed: Mapping[str, Any], sound: Mapping[str, Any]) -> Start:
        """By what ffprobe found in a file (`CLOCK_ENTRIES`), and of it in the stream `sound`.

        A file starts with the earliest sound or picture of the programme with that stream: other programmes of a
        transport stream have clocks of their own. A cover is no picture.
        """
        streams = probed.get("streams") or []
        for program in probed.get("programs") or []:
            members = {stream.get("index") for stream in program.get("streams") or []}
            if sound.get("index") in members:
                streams = [stream for stream in streams if stream.get("index") in members]
                break
        starts = [
            _seconds(stream.get("start_time"))
            for stream in streams
            if stream.get("codec_type") in ("audio", "video")
            and not (stream.get("disposition") or {}).get("attached_pic")
        ]
        zero = min((start for start in starts if start is not None), default=0.0)
        own = _seconds(sound.get("start_time"))
        return cls(zero, zero if own is None else own)


def _seconds(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):  # none, or "N/A"
        return None


def input_options(start: Start) -> list[str]:
    """Options of ffmpeg before ``-i`` so that `TimedSamples` gets times from the start of the file on.

    ffmpeg would move the first sound to 0, and close holes of more than 10 s in some containers.
    """
    return ["-copyts", "-itsoffset", f"{_ORIGIN - start.zero:.6f}"]


def output_options() -> list[str]:
    """Options of ffmpeg before its output so that `TimedSamples` can read it."""
    return ["-af", _MONOTONIC, *FORMAT]


class TimedSamples:
    """Samples of `channels` channels at `rate` Hz from a running ffmpeg, in their places.

    `read` gives bytes of its output (see `input_options`, `output_options`).
    """

    def __init__(self, read: Callable[[int], bytes], timeline: Timeline, channels: int) -> None:
        self._timeline = timeline
        self._channels = channels
        self._blocks = timed_blocks(read)
        self._silence = 0
        self._left = np.zeros((0, channels), np.float32)

    def read(self, frames: int) -> np.ndarray:
        """The next ``(n, channels)`` float32 samples, fewer than `frames` only at the end."""
        parts: list[np.ndarray] = []
        while frames > 0 and (self._silence or len(self._left) or self._next()):
            if self._silence:
                part = np.zeros((min(frames, self._silence), self._channels), np.float32)
                self._silence -= len(part)
            else:
                part, self._left = self._left[:frames], self._left[frames:]
            parts.append(part)
            frames -= len(part)
        return np.concatenate(parts) if parts else np.zeros((0, self._channels), np.float32)

    def _next(self) -> bool:
        for ticks, data in self._blocks:
            self._left = np.frombuffer(data, "<f4").reshape(-1, self._channels)
            self._silence = self._timeline.place(ticks / SCALE - _ORIGIN, len(self._left))
            return True
        return False


class Timeline:
    """How much silence belongs before each block of samples at `rate` Hz, and what to state about it.

    `late` is how long after the file the packets of the sound start, and `end` what the container states as its
    end, None where it does not, both in seconds.

    Holes are bounded, as a damaged time can lie years ahead: by `MAX_HOLE`, by `MAX_SILENCE` in all, and by `end`
    and a `MARGIN` unless the sound has shown that to be wrong.

    >>> timeline = Timeline(1000)
    >>> [timeline.place(seconds, 500) for seconds in (0.0, 0.51, 1.0, 3.5)]
    [0, 0, 0, 2000]
    >>> timeline.report()
    '1 hole of 2.0 s (at 1.50 s) is kept as silence'
    """

    def __init__(self, rate: int, late: float = 0.0, end: float | None = None) -> None:
        self._rate = rate
        self._end = end
        self._grace = TOLERANCE if late > TOLERANCE else DELAY
        self._position = 0.0  # samples so far, silence included
        self._shift: float | None = None  # from the clock to the position, in seconds
        self._silence = 0.0  # seconds of it in all
        self._late = 0.0  # seconds
        self._holes = _Places()
        self._refused = _Places()
        self._lag = 0.0

    @property
    def seconds(self) -> float:
        """How long everything so far is, silence included."""
        return self._position / self._rate

    def restart(self) -> float:
        """Another recording follows, whose clock starts anew; returns the `seconds`."""
        self._shift = None
        return self.seconds

    def place(self, seconds: float, samples: float) -> int:
        """The silence before the next block, in samples; the block starts at `seconds` and has `samples`."""
        here = self.seconds
        if self._shift is None:  # a start that is not late is where the samples start
            self._shift = here - (seconds if seconds <= self._grace else 0.0)
        missing = seconds + self._shift - here
        silence = 0
        if missing <= TOLERANCE:
            self._lag = max(self._lag, -missing)
        elif self._is_plausible(missing, here):
            silence = round(missing * self._rate)
            self._silence += missing
            if self._position:
                self._holes.add(missing, here)
            else:
                self._late = missing
        else:
            self._shift -= missing
            self._refused.add(missing, here)
        self._position += silence + samples
        return silence

    def _is_plausible(self, missing: float, here: float) -> bool:
        if missing > MAX_HOLE or self._silence + missing > MAX_SILENCE:
            return False
        return self._end is None or here > self._end or here + missing <= self._end + MARGIN

    def report(self) -> str:
        """What was done, for the log; empty where the samples stand where the clock puts them."""
        parts = []
        if self._late:
            parts.append(f"the sound starts at {self._late:.2f} s; the silence before it is kept")
        if self._holes.count:
            parts.append(f"{self._holes.stated('hole of', 'holes of')} kept as silence")
        if self._refused.count:
            jumps = self._refused.stated("jump of its clock by", "jumps of its clock by")
            parts.append(f"{jumps} no plausible hole: no silence is inserted, and later times may be early")
        if MAX_LAG < self._lag < self._position / self._rate / 2:  # more means times that are none
            parts.append(
                f"the sound is up to {self._lag:.1f} s longer than its clock states: times may be late"
            )
        return "; ".join(parts)


class _Places:
    """Places where time is missing: how many, how much in all (seconds), and where the first is (seconds)."""

    def __init__(self) -> None:
        self.count = 0
        self._total = self._first = 0.0

    def add(self, missing: float, here: float) -> None:
        """One more, `missing` seconds at `here`."""
        if not self.count:
            self._first = here
        self.count += 1
        self._total += missing

    def stated(self, one: str, many: str) -> str:
        """As in "2 holes of 6.2 s in all (first at 4.20 s) are"."""
        if self.count == 1:
            return f"1 {one} {self._total:.1f} s (at {self._first:.2f} s) is"
        return f"{self.count} {many} {self._total:.1f} s in all (first at {self._first:.2f} s) are"
