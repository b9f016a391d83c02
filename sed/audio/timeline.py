"""Places decoded samples at the times of a container's timestamps, as a player does; gaps become silence.

A container gives every packet a timestamp. Where packets are missing (a lost uplink, a muted track, discontinuous
transmission), or the audio starts after the video, the decoded samples alone would be too early. `Timeline` decides how
much silence belongs before each block of samples; `TimedSamples` inserts it.

Time 0 is the start of the earliest audio or video, as in players. Jitter, a start up to `TOLERANCE` late, and the
first packets of a codec that yield no samples are not gaps. Audio before 0 (the priming of a codec) is not cut, and
neither is audio that overlaps the block before it. Where timestamps go back, as in files joined end to end, they
continue from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from sed.audio.blocks import OUTPUT_FORMAT, TICKS_PER_SECOND, timed_blocks

TIMING_ENTRIES = "stream=index,codec_type,start_time:stream_disposition=attached_pic:program_stream=index"
"""The ffprobe entries (``-show_entries``) that `Start.from_probe` needs."""

TOLERANCE = 0.05  # seconds by which samples and timestamps may differ: jitter and rounding
MAX_GAP = 4 * 3600.0  # seconds; a longer one is a damaged timestamp
MAX_SILENCE = 12 * 3600.0  # seconds of silence inserted into one file
END_MARGIN = 60.0  # seconds by which audio may exceed the end that the file states
CODEC_DELAY = 0.25  # seconds of first packets from which a decoder may yield no samples
MAX_LAG = 1.0  # seconds by which the audio may be longer than its timestamps state before that is reported

_ORIGIN = 1000.0  # seconds at which ffmpeg's output starts, so that no timestamp is negative and gets shifted
_RESET = 0.25  # seconds; timestamps that go back by more have been reset
# ffmpeg would replace timestamps that go back by the last one. Variable 0 is the offset added to the timestamps, 1 the
# end of the previous block.
_MONOTONIC = f"asetpts='if(lt(PTS,ld(1)-{_RESET}/TB),st(0,ld(0)+ld(1)-PTS));st(1,PTS+S/SR/TB);PTS+ld(0)'"


class Start(NamedTuple):
    """The start of a `file` and of the packets of its `audio` track, in seconds of the container's timestamps."""

    file: float
    audio: float

    @classmethod
    def from_probe(cls, probed: Mapping[str, Any], track: Mapping[str, Any]) -> Start:
        """From the ffprobe output of a file (`TIMING_ENTRIES`) and the audio stream `track` in it.

        A file starts with the earliest audio or video of the programme with that stream: other programmes of a
        transport stream have separate clocks. A cover image is not video.
        """
        streams = probed.get("streams") or []
        for program in probed.get("programs") or []:
            members = {stream.get("index") for stream in program.get("streams") or []}
            if track.get("index") in members:
                streams = [stream for stream in streams if stream.get("index") in members]
                break
        starts = [
            _seconds(stream.get("start_time"))
            for stream in streams
            if stream.get("codec_type") in ("audio", "video")
            and not (stream.get("disposition") or {}).get("attached_pic")
        ]
        first = min((start for start in starts if start is not None), default=0.0)
        own = _seconds(track.get("start_time"))
        return cls(first, first if own is None else own)


def _seconds(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):  # missing, or "N/A"
        return None


def input_options(start: Start) -> list[str]:
    """ffmpeg's options before ``-i`` with which `TimedSamples` gets times relative to the start of the file.

    By default ffmpeg would move the first audio to 0, and close gaps of more than 10 s in some containers.
    """
    return ["-copyts", "-itsoffset", f"{_ORIGIN - start.file:.6f}"]


def output_options() -> list[str]:
    """ffmpeg's options before its output with which `TimedSamples` can read it."""
    return ["-af", _MONOTONIC, *OUTPUT_FORMAT]


class TimedSamples:
    """Samples of `channels` channels from a running ffmpeg, with silence in the gaps.

    `read` returns bytes of its output (see `input_options`, `output_options`).
    """

    def __init__(self, read: Callable[[int], bytes], timeline: Timeline, channels: int) -> None:
        self._timeline = timeline
        self._channels = channels
        self._blocks = timed_blocks(read)
        self._silence = 0
        self._pending = np.zeros((0, channels), np.float32)

    def read(self, frames: int) -> np.ndarray:
        """The next `frames` samples ``(n, channels)``, float32; fewer only at the end."""
        parts: list[np.ndarray] = []
        while frames > 0 and (self._silence or len(self._pending) or self._read_block()):
            if self._silence:
                part = np.zeros((min(frames, self._silence), self._channels), np.float32)
                self._silence -= len(part)
            else:
                part, self._pending = self._pending[:frames], self._pending[frames:]
            parts.append(part)
            frames -= len(part)
        return np.concatenate(parts) if parts else np.zeros((0, self._channels), np.float32)

    def _read_block(self) -> bool:
        for ticks, data in self._blocks:
            self._pending = np.frombuffer(data, "<f4").reshape(-1, self._channels)
            self._silence = self._timeline.place(ticks / TICKS_PER_SECOND - _ORIGIN, len(self._pending))
            return True
        return False


class Timeline:
    """Computes the silence before each block of samples at `rate` Hz, and describes it in a message.

    `delay` is the time from the start of the file to the first audio packet, and `end` the end that the container
    states (None if unknown), both in seconds.

    Gaps are bounded, as a damaged timestamp can lie years ahead: by `MAX_GAP`, by `MAX_SILENCE` in total, and by `end`
    plus `END_MARGIN` unless the audio already exceeds that end.

    >>> timeline = Timeline(1000)
    >>> [timeline.place(seconds, 500) for seconds in (0.0, 0.51, 1.0, 3.5)]
    [0, 0, 0, 2000]
    >>> timeline.report()
    '1 gap of 2.0 s (at 1.50 s) is filled with silence'
    """

    def __init__(self, rate: int, delay: float = 0.0, end: float | None = None) -> None:
        self._rate = rate
        self._end = end
        self._tolerated_start = TOLERANCE if delay > TOLERANCE else CODEC_DELAY
        self._position = 0.0  # samples so far, silence included
        self._shift: float | None = None  # from timestamps to positions, in seconds
        self._total_silence = 0.0  # seconds
        self._late_start = 0.0  # seconds
        self._gaps = _GapStatistics()
        self._ignored = _GapStatistics()
        self._lag = 0.0  # seconds by which samples are later than their timestamps, at most

    @property
    def seconds(self) -> float:
        """The duration so far, silence included."""
        return self._position / self._rate

    def restart(self) -> float:
        """Start another recording, whose timestamps are reset; returns the current `seconds`."""
        self._shift = None
        return self.seconds

    def place(self, seconds: float, samples: float) -> int:
        """The silence before the next block, in samples; the block starts at `seconds` and has `samples`."""
        here = self.seconds
        if self._shift is None:  # a tolerated delay at the start is no gap
            self._shift = here - (seconds if seconds <= self._tolerated_start else 0.0)
        missing = seconds + self._shift - here
        silence = 0
        if missing <= TOLERANCE:
            self._lag = max(self._lag, -missing)
        elif self._is_plausible(missing, here):
            silence = round(missing * self._rate)
            self._total_silence += missing
            if self._position:
                self._gaps.add(missing, here)
            else:
                self._late_start = missing
        else:
            self._shift -= missing
            self._ignored.add(missing, here)
        self._position += silence + samples
        return silence

    def _is_plausible(self, missing: float, here: float) -> bool:
        if missing > MAX_GAP or self._total_silence + missing > MAX_SILENCE:
            return False
        return self._end is None or here > self._end or here + missing <= self._end + END_MARGIN

    def report(self) -> str:
        """A message for the log; empty if samples and timestamps agree."""
        parts = []
        if self._late_start:
            parts.append(f"the audio starts at {self._late_start:.2f} s, after silence")
        if self._gaps.count:
            parts.append(f"{self._gaps.describe('gap of', 'gaps of')} filled with silence")
        if self._ignored.count:
            jumps = self._ignored.describe("jump of its timestamps by", "jumps of its timestamps by")
            parts.append(f"{jumps} not a plausible gap: no silence is inserted, and later times may be early")
        if MAX_LAG < self._lag < self._position / self._rate / 2:  # beyond that, the timestamps are invalid
            parts.append(
                f"the audio is up to {self._lag:.1f} s longer than its timestamps state: times may be late"
            )
        return "; ".join(parts)


class _GapStatistics:
    """The number of gaps, their total duration and the position of the first, in seconds."""

    def __init__(self) -> None:
        self.count = 0
        self._total = self._first = 0.0

    def add(self, missing: float, here: float) -> None:
        """Add a gap of `missing` seconds at `here`."""
        if not self.count:
            self._first = here
        self.count += 1
        self._total += missing

    def describe(self, one: str, many: str) -> str:
        """A phrase such as "2 gaps of 6.2 s in total (first at 4.20 s) are"."""
        if self.count == 1:
            return f"1 {one} {self._total:.1f} s (at {self._first:.2f} s) is"
        return f"{self.count} {many} {self._total:.1f} s in total (first at {self._first:.2f} s) are"
