"""Silence cut out of an utterance, as the paper on speech emotion diarization prepares its corpora.

In: mono float32 samples at 16 kHz. Out: the same without the frames that WebRTC's detector calls silent.
"""

from __future__ import annotations

import numpy as np

from sed.grid import SAMPLE_RATE
from sed.speech.webrtc import load_webrtc

FRAME = round(0.03 * SAMPLE_RATE)  # samples that the detector judges at once
MIN_SAMPLES = round(0.2 * SAMPLE_RATE)  # utterances with no more speech than this are dropped


def cut_silence(wave: np.ndarray, aggressiveness: int = 3) -> np.ndarray:
    """The 30 ms frames of `wave` that are speech and the one after each run of speech, joined; the rest is removed,
    pauses too.

    Equals the collector of SpeechBrain's recipe for ZED with its ring of one frame, which never reads the last frame.
    An utterance with at most 0.2 s of speech becomes empty. `aggressiveness` is 0 to 3. Raises
    `MissingDependencyError` if the package webrtcvad is missing.

    >>> len(cut_silence(np.zeros(16000, np.float32)))
    0
    """
    detector = load_webrtc(aggressiveness)
    frames = max(len(wave) - 1, 0) // FRAME
    pcm = np.rint(wave[: frames * FRAME].clip(-1, 1) * 32767).astype("<i2").reshape(frames, FRAME)
    speech = np.array([detector.is_speech(frame.tobytes(), SAMPLE_RATE) for frame in pcm], bool)
    kept = speech.copy()
    kept[1:] |= speech[:-1]
    found = wave[: frames * FRAME].reshape(frames, FRAME)[kept].reshape(-1)
    return found if len(found) > MIN_SAMPLES else wave[:0]
