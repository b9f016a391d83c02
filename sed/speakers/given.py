"""Speakers that need no clustering: turns that are given, and everything spoken as one speaker's.

In: a reference, or a way to detect speech. Out: `Turns` on the 20 ms grid.
"""

from __future__ import annotations

import numpy as np

from sed.grid import frame_count, seconds_to_frames
from sed.result import Diarization
from sed.speakers.online import LiveTurns, LocalSpeakers, LocalSpeech, local_activity
from sed.speakers.smoothing import in_order, smooth, speaker_names, united
from sed.speakers.steadying import SHORTEST, SteadyTurns
from sed.speakers.turns import Turns, runs
from sed.speech.activity import SpeechDetector, SpeechSession
from sed.speech.segmentation import WINDOW_FRAMES

DETECTED = 4.0  # seconds of speech that a detector's session keeps in sight


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

    def begin_online(self) -> KnownTurns:
        """Start on a live stream."""
        return KnownTurns(self.annotation)


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

    def begin_online(self) -> OneVoice:
        """Start on a live stream."""
        return OneVoice(local_activity(self.speech), self.fill, self.shortest)


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


class OneVoice:
    """Everything spoken is one speaker's: the live form of `sed.speakers.OneSpeaker`.

    >>> from sed.speech.webrtc import WebRtcDetector
    >>> OneVoice(LocalSpeech(WebRtcDetector()), 15, 5).step(np.zeros(16_000, np.float32), 0, 25).active.shape
    (50, 0)
    """

    def __init__(self, activities: LocalSpeakers | LocalSpeech, fill: int, shortest: int) -> None:
        self._activities = activities
        self._fill, self._shortest = fill, shortest
        self.window = WINDOW_FRAMES if isinstance(activities, LocalSpeakers) else seconds_to_frames(DETECTED)
        self._steady = SteadyTurns(fill, max(shortest, seconds_to_frames(SHORTEST)))
        self._settled = 0

    def step(self, audio: np.ndarray, start: int, final: int) -> LiveTurns:
        """As `OnlineSession.step`."""
        speech = np.any(self._activities(audio, start) > 0.5, axis=1)
        active = smooth(speech, self._fill, self._shortest)
        if start > self._settled:
            active = np.pad(active, (start - self._settled, 0))
        active = active[max(self._settled - start, 0) :]
        count, self._settled = final - self._settled, final
        steady = self._steady.step({0: active}, len(active), count, ends=count == len(active))
        if 0 not in steady:
            return LiveTurns(np.zeros((len(active), 0), bool), (), ())
        return LiveTurns(steady[0][:, None], (0,), speaker_names(1))


class KnownTurns:
    """Turns that are given: the live form of `sed.speakers.ReferenceTurns`.

    >>> from sed.result import Segment
    >>> session = KnownTurns(Diarization("call", 1.0, [Segment(0.1, 0.5, "Ann")]))
    >>> session.step(np.zeros(0), 50, 25).active.shape, session.step(np.zeros(0), 75, 75).names
    ((50, 1), ())
    """

    window = 0

    def __init__(self, annotation: Diarization) -> None:
        self._turns: dict[str, list[tuple[int, int]]] = {}
        for segment in annotation:
            name = segment.speaker or speaker_names(1)[0]
            span = (seconds_to_frames(segment.start), seconds_to_frames(segment.end))
            self._turns.setdefault(name, []).append(span)
        self._settled = 0

    def step(self, audio: np.ndarray, start: int, final: int) -> LiveTurns:
        """As `OnlineSession.step`."""
        now = np.arange(self._settled, start + frame_count(len(audio)))
        self._settled = final
        active = {
            key: np.any([(now >= low) & (now < high) for low, high in spans], axis=0)
            for key, spans in enumerate(self._turns.values())
        }
        keys = tuple(key for key, flags in active.items() if flags.any())
        names = tuple(self._turns)
        columns = np.stack([active[key] for key in keys], 1) if keys else np.zeros((len(now), 0), bool)
        return LiveTurns(columns, keys, tuple(names[key] for key in keys))
