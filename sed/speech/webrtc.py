"""WebRTC's voice activity detector: a few microseconds a frame, for constrained devices and clean audio.

In: 16 kHz float32 blocks of any size. Out: a bool for every 20 ms frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sed.errors import MissingDependencyError, OptionError
from sed.grid import HOP, SAMPLE_RATE


class WebRtcDetector:
    """`aggressiveness` 0 to 3: how much must speak for speech; `hangover`: seconds that speech goes on after the
    detector last heard some, so that word endings survive.

    Raises `OptionError` on other values and `MissingDependencyError` where the package webrtcvad is missing:
    speech is never guessed without it.

    >>> session = WebRtcDetector().begin()
    >>> session.push(np.zeros(640, np.float32)).tolist(), len(session.close())
    ([False, False], 0)
    """

    def __init__(self, aggressiveness: int = 2, hangover: float = 0.1) -> None:
        if aggressiveness not in (0, 1, 2, 3):
            raise OptionError(f"WebRTC aggressiveness {aggressiveness}: expected 0, 1, 2 or 3")
        if hangover < 0:
            raise OptionError(f"a hangover of {hangover} s: expected 0 or more")
        try:
            import webrtcvad
        except ImportError as error:
            raise MissingDependencyError(
                f"the webrtc detector needs the package webrtcvad, which does not import ({error}): "
                "pip install webrtcvad-wheels"
            ) from error
        self._module: Any = webrtcvad
        self.aggressiveness = aggressiveness
        self.hangover = round(hangover * SAMPLE_RATE / HOP)

    def begin(self) -> WebRtcSession:
        """Start on a new recording."""
        return WebRtcSession(self._module.Vad(self.aggressiveness), self.hangover)


class WebRtcSession:
    """One recording on its way through a `WebRtcDetector`."""

    def __init__(self, vad: Any, hangover: int) -> None:
        self._vad, self._hangover = vad, hangover
        self._rest = np.zeros(0, np.float32)
        self._left = 0  # frames of hangover that are left

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take the next samples; returns the frames that have become known."""
        audio = np.concatenate([self._rest, np.asarray(samples, np.float32)])
        frames = len(audio) // HOP
        self._rest = audio[frames * HOP :]
        pcm = np.rint(audio[: frames * HOP].clip(-1, 1) * 32767).astype("<i2").reshape(frames, HOP)
        found = np.zeros(frames, bool)
        for number, frame in enumerate(pcm):
            if self._vad.is_speech(frame.tobytes(), SAMPLE_RATE):
                self._left = self._hangover + 1
            found[number] = self._left > 0
            self._left = max(0, self._left - 1)
        return found

    def close(self) -> np.ndarray:
        """The last, incomplete frame, filled up with its last value; nothing where there is none."""
        return self.push(np.repeat(self._rest[-1:], -len(self._rest) % HOP))
