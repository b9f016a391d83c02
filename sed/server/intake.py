"""What a live client has sent and is not processed yet: checked frames in, pieces of half a second out."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from sed.server.limits import Bucket
from sed.server.options import ServerOptions
from sed.server.protocol import ProtocolError

SAMPLE_BYTES = 2  # signed 16-bit little-endian
PIECE = 0.5  # seconds of audio that are processed at once
MAX_BYTES = 8 << 20  # of audio that waits, whatever its sample rate
SILENT = -100.0  # decibels relative to full scale that stand for nothing at all


class Intake:
    """A bounded queue of audio at `rate` samples a second, with the limits of `options`.

    max_waiting, burst: seconds of audio that may wait, and that may come at once, at this rate.
    """

    def __init__(self, options: ServerOptions, rate: int) -> None:
        self._options = options
        self._second = rate * SAMPLE_BYTES
        self.max_waiting = min(options.queue, MAX_BYTES / self._second)
        self.burst = min(options.burst, self.max_waiting)
        self._bucket = Bucket(options.max_rate, self.burst, time.monotonic())
        self._pending = bytearray()
        self._received = 0  # bytes since the start
        self._ended = False
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> float:
        """Seconds of audio in the queue."""
        return self.seconds(self._pending)

    def seconds(self, data: bytes | bytearray) -> float:
        """How long `data` lasts."""
        return len(data) / self._second

    def put(self, data: bytes) -> None:
        """Take a frame. Raises `ProtocolError`: ``bad_frame``, ``too_long``, ``too_fast`` or ``overload``."""
        options = self._options
        if len(data) > options.max_message:
            raise ProtocolError("bad_frame", f"{len(data)} bytes: expected at most {options.max_message}")
        if len(data) % SAMPLE_BYTES:
            raise ProtocolError("bad_frame", f"{len(data)} bytes: expected an even number (16-bit samples)")
        self._received += len(data)
        if self._received > options.max_seconds * self._second:
            raise ProtocolError("too_long", f"more than {options.max_seconds:g} s of audio")
        if self._bucket.take(self.seconds(data), time.monotonic()) > 0:
            raise ProtocolError("too_fast", f"audio comes faster than {options.max_rate:g} times real time")
        if len(self._pending) + len(data) > self.max_waiting * self._second:
            raise ProtocolError(
                "overload",
                f"{self.waiting:.1f} s of audio wait to be processed: expected at most {self.max_waiting:g} s with "
                "this message (send no further ahead of the time in progress than limits.max_waiting)",
            )
        self._pending += data
        self._wake.set()

    def too_early(self) -> float:
        """Count a message that is not wanted; returns by how many seconds it came too early."""
        return self._bucket.take(0.0, time.monotonic())

    def end(self) -> None:
        """No more will come."""
        self._ended = True
        self._wake.set()

    async def next(self) -> bytes:
        """The next piece of at most half a second, as soon as there is any; empty at the end."""
        while not self._pending:
            if self._ended:
                return b""
            self._wake.clear()
            await self._wake.wait()
        size = max(1, int(PIECE * self._second) // SAMPLE_BYTES) * SAMPLE_BYTES
        piece = bytes(self._pending[:size])
        del self._pending[:size]
        return piece


def decode(piece: bytes) -> np.ndarray:
    """``(n,)`` float32 samples of full scale 1 from s16le bytes: what `soundfile` reads from such a WAV.

    >>> decode(b"\\x00\\x40\\x00\\x80")
    array([ 0.5, -1. ], dtype=float32)
    """
    return np.frombuffer(piece, "<i2").astype(np.float32) / np.float32(32768)


def level(piece: bytes) -> float:
    """Loudness (root mean square) of s16le samples in decibels relative to full scale, -100 to 0.

    >>> level(b"\\x00\\x40" * 100)
    -6.0
    """
    power = float(np.mean(decode(piece).astype(np.float64) ** 2))
    return round(max(SILENT, 10 * float(np.log10(power))), 1) if power else SILENT
