"""`Intake`: the audio of a live client that is not processed yet: checked frames in, chunks of 0.5 s out."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from sed.server.limits import Bucket
from sed.server.options import ServerOptions
from sed.server.protocol import ProtocolError

SAMPLE_BYTES = 2  # signed 16-bit little-endian
CHUNK = 0.5  # seconds of audio that are processed at once
MAX_BYTES = 8 << 20  # of queued audio, at any sample rate
SILENT = -100.0  # dBFS that represents digital silence


class Intake:
    """A bounded queue of audio at a sample rate of `rate` Hz, with the limits of `options`.

    max_waiting, burst: seconds of audio that may be queued, and that may arrive at once, at this rate.
    """

    def __init__(self, options: ServerOptions, rate: int) -> None:
        self._options = options
        self._byte_rate = rate * SAMPLE_BYTES
        self.max_waiting = min(options.queue, MAX_BYTES / self._byte_rate)
        self.burst = min(options.burst, self.max_waiting)
        self._bucket = Bucket(options.max_rate, self.burst, time.monotonic())
        self._pending = bytearray()
        self._received = 0  # bytes since the start
        self.ended = False  # whether the audio is complete
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> float:
        """Seconds of audio in the queue."""
        return self.seconds(self._pending)

    @property
    def samples(self) -> int:
        """Samples received since the start."""
        return self._received // SAMPLE_BYTES

    def seconds(self, data: bytes | bytearray) -> float:
        """The duration of `data` in seconds."""
        return len(data) / self._byte_rate

    def put(self, data: bytes) -> None:
        """Queue a frame. Raises `ProtocolError`: ``bad_frame``, ``too_long``, ``too_fast`` or ``overload``."""
        options = self._options
        if len(data) > options.max_message:
            raise ProtocolError("bad_frame", f"{len(data)} bytes: expected at most {options.max_message}")
        if len(data) % SAMPLE_BYTES:
            raise ProtocolError("bad_frame", f"{len(data)} bytes: expected an even number (16-bit samples)")
        self._received += len(data)
        if self._received > options.max_seconds * self._byte_rate:
            raise ProtocolError("too_long", f"more than {options.max_seconds:g} s of audio")
        if self._bucket.take(self.seconds(data), time.monotonic()) > 0:
            raise ProtocolError("too_fast", f"audio arrives faster than {options.max_rate:g} times real time")
        if len(self._pending) + len(data) > self.max_waiting * self._byte_rate:
            raise ProtocolError(
                "overload",
                f"{self.waiting:.1f} s of audio are queued: expected at most {self.max_waiting:g} s including "
                "this message (keep the audio sent minus the time in progress below limits.max_waiting)",
            )
        self._pending += data
        self._wake.set()

    def too_early(self) -> float:
        """Count an unexpected message; returns by how many seconds it exceeds the allowed rate."""
        return self._bucket.take(0.0, time.monotonic())

    def end(self) -> None:
        """Mark the end of the audio."""
        self.ended = True
        self._wake.set()

    async def next(self) -> bytes:
        """Wait for the next chunk of at most 0.5 s; empty at the end."""
        while not self._pending:
            if self.ended:
                return b""
            self._wake.clear()
            await self._wake.wait()
        size = max(1, int(CHUNK * self._byte_rate) // SAMPLE_BYTES) * SAMPLE_BYTES
        chunk = bytes(self._pending[:size])
        del self._pending[:size]
        return chunk


def decode(chunk: bytes) -> np.ndarray:
    """Convert s16le bytes to ``(n,)`` float32 samples of full scale 1, as `soundfile` does.

    >>> decode(b"\\x00\\x40\\x00\\x80")
    array([ 0.5, -1. ], dtype=float32)
    """
    return np.frombuffer(chunk, "<i2").astype(np.float32) / np.float32(32768)


def level(chunk: bytes) -> float:
    """RMS level of s16le samples in dBFS, -100 to 0.

    >>> level(b"\\x00\\x40" * 100)
    -6.0
    """
    power = float(np.mean(decode(chunk).astype(np.float64) ** 2))
    return round(max(SILENT, 10 * float(np.log10(power))), 1) if power else SILENT
