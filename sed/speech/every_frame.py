"""`EveryFrame`: labels every frame as speech, for comparison with systems that also label silence, as ZED's do.

In: 16 kHz float32 blocks of any size. Out: one bool per 20 ms frame, always True.
"""

from __future__ import annotations

import numpy as np

from sed.grid import frame_count


class EveryFrame:
    """A speech detector that treats every frame as speech.

    >>> session = EveryFrame().begin()
    >>> session.push(np.zeros(330, np.float32)).tolist(), len(session.push(np.zeros(640, np.float32)))
    ([True, True], 2)
    """

    def begin(self) -> EveryFrameSession:
        """Start a new recording."""
        return EveryFrameSession()


class EveryFrameSession:
    """State of one recording; a frame is returned as soon as its first sample has been received."""

    def __init__(self) -> None:
        self._samples = self._returned = 0

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Process the next ``(n,)`` samples; returns the new frames."""
        self._samples += len(samples)
        frames = frame_count(self._samples)
        new, self._returned = frames - self._returned, frames
        return np.ones(new, bool)

    def close(self) -> np.ndarray:
        """The remaining frames: none."""
        return np.zeros(0, bool)
