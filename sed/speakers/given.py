"""Speakers that need no clustering: turns that are given, and everything spoken as one speaker's.

In: a reference, or a way to detect speech. Out: `Turns` on the 20 ms grid.
"""

from __future__ import annotations

import numpy as np

from sed.grid import frame_count, seconds_to_frames
from sed.result import Diarization
from sed.speakers.smoothing import in_order, speaker_names, united
from sed.speakers.turns import Turns, runs
from sed.speech.activity import SpeechDetector, SpeechSession


class ReferenceTurns:
    """Turns that are known: those of `annotation`, whose speaker names are kept.

    Times are rounded to the nearest 20 ms and end with the recording. Segments without a speaker become those
    of ``spk00``.

    >>> from sed.result import Segment
    >>> session = ReferenceTurns(Diarization("call", 1.0, [Segment(0.1, 0.5, "Ann")])).begin()
    >>> session.push(np.zeros(16_000, np.float32))
    >>> turns = session.close()
    >>> turns.names, np.flatnonzero(turns.active[:, 0])[[0, -1]].tolist()
    (('Ann',), [5, 24])
    """

    def __init__(self, annotation: Diarization) -> None:
        self.annotation = annotation

    def begin(self) -> ReferenceSession:
        """Start on a new recording."""
        return ReferenceSession(self.annotation)


class ReferenceSession:
    """One recording whose turns are known; of its audio only the length matters."""

    def __init__(self, annotation: Diarization) -> None:
        self._annotation = annotation
        self._samples = 0

    def push(self, samples: np.ndarray) -> None:
        """Take the next ``(n,)`` samples."""
        self._samples += len(samples)

    def close(self) -> Turns:
        """The given turns, cut off at the end of what was pushed."""
        frames = frame_count(self._samples)
        spans: dict[str, list[tuple[int, int]]] = {}
        for segment in self._annotation:
            start, end = seconds_to_frames(segment.start), seconds_to_frames(segment.end)
            if start < frames and end > start:
                name = segment.speaker or speaker_names(1)[0]
                spans.setdefault(name, []).append((start, min(end, frames)))
        return Turns(tuple(united(np.array(own)) for own in spans.values()), tuple(spans), frames)


class OneSpeaker:
    """Everything spoken is ``spk00``'s: for recordings of one person, or a channel a speaker.

    `speech` detects speech. `fill` and `shortest` are seconds: pauses up to the one are bridged, then speech
    shorter than the other is dropped.

    >>> from sed.speech.webrtc import WebRtcDetector
    >>> session = OneSpeaker(WebRtcDetector()).begin()
    >>> session.push(np.zeros(16_000, np.float32))
    >>> session.close().active.shape
    (50, 0)
    """

    def __init__(self, speech: SpeechDetector, fill: float = 0.3, shortest: float = 0.1) -> None:
        self.speech = speech
        self.fill, self.shortest = seconds_to_frames(fill), seconds_to_frames(shortest)

    def begin(self) -> OneSpeakerSession:
        """Start on a new recording."""
        return OneSpeakerSession(self.speech.begin(), self.fill, self.shortest)


class OneSpeakerSession:
    """One recording of one speaker."""

    def __init__(self, speech: SpeechSession, fill: int, shortest: int) -> None:
        self._speech, self._fill, self._shortest = speech, fill, shortest
        self._found = bytearray()  # one a frame

    def push(self, samples: np.ndarray) -> None:
        """Take the next ``(n,)`` float32 samples at 16 kHz."""
        self._found += self._speech.push(samples).tobytes()

    def close(self) -> Turns:
        """The turns of everything pushed."""
        self._found += self._speech.close().tobytes()
        speech = np.frombuffer(self._found, bool)
        return in_order([runs(speech)], len(speech), self._fill, self._shortest)
