"""Diarizers without clustering: turns from a reference, and a single speaker for all speech.

In: a reference or a speech detector. Out: `Turns` on the 20 ms grid.
"""

from __future__ import annotations

import numpy as np

from sed.grid import HOP, frame_count, seconds_to_frames
from sed.result import Diarization, SpeakerProfile
from sed.speakers.embedding import SpeakerEmbedding
from sed.speakers.online import DetectorActivity, LiveTurns, SegmentationActivity, local_activity
from sed.speakers.online_smoothing import MIN_DURATION_ON, OnlineSmoother
from sed.speakers.profiling import ProfileCollector
from sed.speakers.smoothing import make_turns, merge_spans, smooth, speaker_names
from sed.speakers.turns import Turns, runs
from sed.speech.activity import SpeechDetector, SpeechSession
from sed.speech.segmentation import WINDOW_FRAMES

DETECTOR_WINDOW = 4.0  # seconds of audio that an online session needs with detectors other than segmentation


class ReferenceTurns:
    """The turns and speaker names of `annotation`; with an `embedding` network also the speakers' profiles.

    Times are rounded to the nearest 20 ms and clipped to the recording. Segments without a speaker belong to
    ``spk00``.

    >>> from sed.result import Segment
    >>> session = ReferenceTurns(Diarization("call", 1.0, [Segment(0.1, 0.5, "Ann")])).begin()
    >>> session.push(np.zeros(16_000, np.float32))
    >>> turns = session.close()
    >>> turns.names, np.flatnonzero(turns.active[:, 0])[[0, -1]].tolist()
    (('Ann',), [5, 24])
    """

    def __init__(self, annotation: Diarization, embedding: SpeakerEmbedding | None = None) -> None:
        self.annotation, self.embedding = annotation, embedding

    def begin(self) -> ReferenceSession:
        """Start a new recording."""
        return ReferenceSession(self.annotation, self.embedding)

    def begin_online(self) -> ReferenceOnlineSession:
        """Start a live stream."""
        return ReferenceOnlineSession(self.annotation)


class ReferenceSession:
    """State of one recording for `ReferenceTurns`; without an `embedding` only the number of samples matters."""

    def __init__(self, annotation: Diarization, embedding: SpeakerEmbedding | None = None) -> None:
        self._samples = 0
        self._decided = 0  # frames
        spans: dict[str, list[tuple[int, int]]] = {}
        for segment in annotation:
            start, end = seconds_to_frames(segment.start), seconds_to_frames(segment.end)
            if end > start:
                spans.setdefault(segment.speaker or speaker_names(1)[0], []).append((start, end))
        self._spans = {name: merge_spans(np.array(own)) for name, own in spans.items()}
        self._profiles = None if embedding is None else ProfileCollector(len(spans), embedding)

    def push(self, samples: np.ndarray) -> None:
        """Process the next ``(n,)`` samples."""
        self._samples += len(samples)
        if self._profiles is not None:
            self._profiles.push(samples)
            self._decide(self._samples // HOP)

    def _decide(self, end: int) -> None:
        """Pass the active speakers of the frames up to `end` to the collector."""
        assert self._profiles is not None
        active = np.zeros((end - self._decided, len(self._spans)), bool)
        for column, spans in enumerate(self._spans.values()):
            for start, stop in spans[(spans[:, 1] > self._decided) & (spans[:, 0] < end)] - self._decided:
                active[max(start, 0) : stop, column] = True
        self._profiles.decide(active)
        self._decided = end

    def close(self) -> Turns:
        """The reference turns, clipped to the end of the recording."""
        frames, profiles = frame_count(self._samples), None
        if self._profiles is not None:
            self._decide(frames)
            found = zip(self._spans, self._profiles.close(), strict=True)
            profiles = {name: profile for name, profile in found if profile is not None}
        clipped = {n: np.minimum(own[own[:, 0] < frames], frames) for n, own in self._spans.items()}
        within = {name: own for name, own in clipped.items() if len(own)}
        return Turns(tuple(within.values()), tuple(within), frames, profiles)


class OneSpeaker:
    """All speech belongs to ``spk00``: for recordings of one speaker, or with one channel per speaker.

    `speech` detects speech. `min_duration_off` and `min_duration_on` are in seconds: pauses up to the first are
    bridged, then runs of speech shorter than the second are dropped. With an `embedding` network the speaker has a
    profile.

    >>> from sed.speech.webrtc import WebRtcDetector
    >>> session = OneSpeaker(WebRtcDetector()).begin()
    >>> session.push(np.zeros(16_000, np.float32))
    >>> session.close().active.shape
    (50, 0)
    """

    def __init__(
        self,
        speech: SpeechDetector,
        min_duration_off: float = 0.3,
        min_duration_on: float = 0.1,
        embedding: SpeakerEmbedding | None = None,
    ) -> None:
        self.speech, self.embedding = speech, embedding
        self.min_duration_off = seconds_to_frames(min_duration_off)
        self.min_duration_on = seconds_to_frames(min_duration_on)

    def begin(self) -> OneSpeakerSession:
        """Start a new recording."""
        durations = self.min_duration_off, self.min_duration_on
        return OneSpeakerSession(self.speech.begin(), *durations, self.embedding)

    def begin_online(self) -> OneSpeakerOnlineSession:
        """Start a live stream."""
        activity = local_activity(self.speech)
        return OneSpeakerOnlineSession(activity, self.min_duration_off, self.min_duration_on)


class OneSpeakerSession:
    """State of one recording for `OneSpeaker`; durations are in frames."""

    def __init__(
        self,
        speech: SpeechSession,
        min_duration_off: int,
        min_duration_on: int,
        embedding: SpeakerEmbedding | None = None,
    ) -> None:
        self._speech = speech
        self._profile = None if embedding is None else ProfileCollector(1, embedding)
        self._min_duration_off, self._min_duration_on = min_duration_off, min_duration_on
        self._active = bytearray()  # one byte per frame

    def push(self, samples: np.ndarray) -> None:
        """Process the next ``(n,)`` float32 samples at 16 kHz."""
        if self._profile is not None:
            self._profile.push(samples)
        self._decide(self._speech.push(samples))

    def _decide(self, speech: np.ndarray) -> None:
        self._active += speech.tobytes()
        if self._profile is not None:
            self._profile.decide(speech[:, None])

    def close(self) -> Turns:
        """The turns of the whole recording."""
        self._decide(self._speech.close())
        speech = np.frombuffer(self._active, bool)
        durations = self._min_duration_off, self._min_duration_on
        profiles: list[SpeakerProfile | None] | None = (
            None if self._profile is None else self._profile.close()
        )
        return make_turns([runs(speech)], len(speech), *durations, profiles)


class OneSpeakerOnlineSession:
    """The online session of `OneSpeaker`; durations are in frames.

    >>> from sed.speech.webrtc import WebRtcDetector
    >>> session = OneSpeakerOnlineSession(DetectorActivity(WebRtcDetector()), 15, 5)
    >>> session.step(np.zeros(16_000, np.float32), 0, 25).active.shape
    (50, 0)
    """

    def __init__(
        self, activity: SegmentationActivity | DetectorActivity, min_duration_off: int, min_duration_on: int
    ) -> None:
        self._activity = activity
        self._min_duration_off, self._min_duration_on = min_duration_off, min_duration_on
        segmentation = isinstance(activity, SegmentationActivity)
        self.window = WINDOW_FRAMES if segmentation else seconds_to_frames(DETECTOR_WINDOW)
        self._smoother = OnlineSmoother(
            min_duration_off, max(min_duration_on, seconds_to_frames(MIN_DURATION_ON))
        )
        self._final = 0

    def step(self, audio: np.ndarray, start: int, final: int) -> LiveTurns:
        """As `OnlineSession.step`."""
        speech = np.any(self._activity(audio, start) > 0.5, axis=1)
        active = smooth(speech, self._min_duration_off, self._min_duration_on)
        if start > self._final:
            active = np.pad(active, (start - self._final, 0))
        active = active[max(self._final - start, 0) :]
        count, self._final = final - self._final, final
        smoothed = self._smoother.step({0: active}, len(active), count, ends=count == len(active))
        if 0 not in smoothed:
            return LiveTurns(np.zeros((len(active), 0), bool), (), ())
        return LiveTurns(smoothed[0][:, None], (0,), speaker_names(1))


class ReferenceOnlineSession:
    """The online session of `ReferenceTurns`.

    >>> from sed.result import Segment
    >>> session = ReferenceOnlineSession(Diarization("call", 1.0, [Segment(0.1, 0.5, "Ann")]))
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
        self._final = 0

    def step(self, audio: np.ndarray, start: int, final: int) -> LiveTurns:
        """As `OnlineSession.step`."""
        frames = np.arange(self._final, start + frame_count(len(audio)))
        self._final = final
        active = {
            key: np.any([(frames >= low) & (frames < high) for low, high in spans], axis=0)
            for key, spans in enumerate(self._turns.values())
        }
        keys = tuple(key for key, flags in active.items() if flags.any())
        names = tuple(self._turns)
        columns = np.stack([active[key] for key in keys], 1) if keys else np.zeros((len(frames), 0), bool)
        return LiveTurns(columns, keys, tuple(names[key] for key in keys))
