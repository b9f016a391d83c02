"""Rate limit for audio messages: enforced by the server, respected by the client."""

from __future__ import annotations

MESSAGE_COST = (
    0.005  # minimum seconds of audio that a message is charged, so that empty messages are limited too
)


class Bucket:
    """A token bucket in seconds of audio: `burst` at once, then `rate` per second of wall-clock time.

    >>> bucket = Bucket(rate=2.0, burst=10.0, now=0.0)
    >>> bucket.take(10.0, now=0.0), bucket.take(2.0, now=0.0)  # the full burst; 2 s more are 1 s too early
    (0.0, 1.0)
    >>> bucket.take(2.0, now=2.0)
    0.0
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._last = now

    def take(self, seconds: float, now: float) -> float:
        """Charge a message of `seconds` of audio; returns by how many seconds it is too early."""
        self._level = min(self.burst, self._level + (now - self._last) * self.rate)
        self._last = now
        self._level -= max(seconds, MESSAGE_COST)
        return max(0.0, -self._level / self.rate)
