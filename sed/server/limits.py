"""How fast a client may send: one rule for the server, which enforces it, and the client, which keeps it."""

from __future__ import annotations

MESSAGE_COST = 0.005  # seconds of audio that a message counts at least, so that empty ones are not free


class Bucket:
    """A token bucket in seconds of audio: `burst` at once, then `rate` a second of the clock.

    >>> bucket = Bucket(rate=2.0, burst=10.0, now=0.0)
    >>> bucket.take(10.0, now=0.0), bucket.take(2.0, now=0.0)  # full burst; two more are a second too early
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
        """Take a message of `seconds` of audio out; returns by how many seconds it was too early."""
        self._level = min(self.burst, self._level + (now - self._last) * self.rate)
        self._last = now
        self._level -= max(seconds, MESSAGE_COST)
        return max(0.0, -self._level / self.rate)
