"""WebRTC's voice activity detector: a few microseconds per frame, for constrained devices and clean audio.

In: 16 kHz float32 blocks of any size. Out: one bool per 20 ms frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sed.errors import MissingDependencyError, OptionError
from sed.grid import HOP, SAMPLE_RATE


def load_webrtc(aggressiveness: int) -> Any:
    """A new detector of the package webrtcvad, whose ``is_speech(pcm, rate)`` judges 10, 20 or 30 ms.

    Raises `OptionError` unless `aggressiveness` is 0 to 3, `MissingDependencyError` if the package is missing.
    """
    if aggressiveness not in (0, 1, 2, 3):
        raise OptionError(f"WebRTC aggressiveness {aggressiveness}: expected 0, 1, 2 or 3")
    try:
        import webrtcvad
    except ImportError as error:
        raise MissingDependencyError(
            f"the webrtc detector needs the package webrtcvad, which does not import ({error}): "
            "pip install webrtcvad-wheels"
        ) from error
    return webrtcvad.Vad(aggressiveness)


class WebRtcDetector:
    """Speech as detected by the package webrtcvad.

    `aggressiveness` from 0 to 3: higher values reject more frames as non-speech. `hangover`: seconds that are
    labelled as speech after the last detected frame, so that word endings are included.

    Raises `OptionError` on other values and `MissingDependencyError` if the package webrtcvad is missing; there is no
    fallback.

    >>> session = WebRtcDetector().begin()
    >>> session.push(np.zeros(640, np.float32)).tolist(), len(session.close())
    ([False, False], 0)
    """

    def __init__(self, aggressiveness: int = 2, hangover: float = 0.1) -> None:
        if hangover < 0:
            raise OptionError(f"a hangover of {hangover} s: expected 0 or more")
        load_webrtc(aggressiveness)
        self.aggressiveness = aggressiveness
        self.hangover = round(hangover * SAMPLE_RATE / HOP)

    def begin(self) -> WebRtcSession:
        """Start a new recording."""
        return WebRtcSession(load_webrtc(self.aggressiveness), self.hangover)


class WebRtcSession:
    """State of one recording for a `WebRtcDetector`; `hangover` is in frames."""

    def __init__(self, vad: Any, hangover: int) -> None:
        self._vad, self._hangover = vad, hangover
        self._rest = np.zeros(0, np.float32)  # samples of the incomplete frame
        self._remaining = 0  # remaining frames of speech, including the hangover

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Process the next samples; returns the frames decided by them."""
        audio = np.concatenate([self._rest, np.asarray(samples, np.float32)])
        frames = len(audio) // HOP
        self._rest = audio[frames * HOP :]
        pcm = np.rint(audio[: frames * HOP].clip(-1, 1) * 32767).astype("<i2").reshape(frames, HOP)
        speech = np.zeros(frames, bool)
        for number, frame in enumerate(pcm):
            if self._vad.is_speech(frame.tobytes(), SAMPLE_RATE):
                self._remaining = self._hangover + 1
            speech[number] = self._remaining > 0
            self._remaining = max(0, self._remaining - 1)
        return speech

    def close(self) -> np.ndarray:
        """The last, incomplete frame if there is one, padded with its last value."""
        return self.push(np.repeat(self._rest[-1:], -len(self._rest) % HOP))
