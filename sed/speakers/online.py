"""Who speaks when, live: at each step the latest audio in, speakers of all frames that are not yet final out.

`OnlineSession` is what a live stream asks; `begin_online` finds the one that suits a diarizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sed.errors import OptionError
from sed.grid import HOP, frame_count, seconds_to_frames
from sed.result import Diarization
from sed.speakers.smoothing import smooth, speaker_names
from sed.speakers.steadying import SHORTEST, SteadyTurns
from sed.speech.activity import SegmentationDetector, SpeechDetector
from sed.speech.segmentation import MODEL_FIELD, WINDOW_FRAMES, Segmentation

DETECTED = 4.0  # seconds of speech that a detector's session keeps in sight


@dataclass(frozen=True, eq=False)
class LiveTurns:
    """Who is active in the frames that were not final before a step: `active` ``(frames, speakers)`` bool.

    `keys` number the speakers for good. `names` are final for those who have final frames.
    """

    active: np.ndarray
    keys: tuple[int, ...]
    names: tuple[str, ...]


class OnlineSession(Protocol):
    """Finds the speakers of one live stream in bounded memory."""

    window: int
    """Frames of audio that it wants to hear at each step."""

    def step(self, audio: np.ndarray, start: int, final: int) -> LiveTurns:
        """Hear ``(n,)`` samples from frame `start` to now, the latest `window` frames or all there are.

        Returns the speakers of the frames from the `final` of the step before on; those before the present
        `final` will not be asked for again.
        """
        ...


class LocalSpeakers:
    """Activity of local speakers by the segmentation network, ``(frames, 3)``."""

    def __init__(self, network: Segmentation) -> None:
        self._network = network

    def __call__(self, audio: np.ndarray, start: int) -> np.ndarray:
        """Of the samples ``(n,)`` from frame `start` on."""
        heard = np.pad(audio, (0, max(0, MODEL_FIELD - len(audio))))
        return self._network.activities(heard[None])[0][: frame_count(len(audio))]


class LocalSpeech:
    """Activity of anybody, as one local speaker ``(frames, 1)``, by a detector that hears each sample once."""

    def __init__(self, detector: SpeechDetector) -> None:
        self._session = detector.begin()
        self._known = np.zeros(0, bool)  # speech of the latest frames
        self._first = 0  # number of the first of them
        self._heard = 0  # samples

    def __call__(self, audio: np.ndarray, start: int) -> np.ndarray:
        """Of the samples ``(n,)`` from frame `start` on; frames that the detector is not sure of are silent."""
        new = audio[self._heard - start * HOP :]
        self._heard += len(new)
        self._known = np.append(self._known, self._session.push(new))[start - self._first :]
        self._first = start
        frames = frame_count(len(audio))
        return np.pad(self._known, (0, frames - len(self._known)))[:, None].astype(np.float32)


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


def begin_online(diarizer: object) -> OnlineSession:
    """The live form of `diarizer`: what its own `begin_online()` gives if it has that, else speakers by the
    same networks and detectors.

    Raises `OptionError` where it cannot work live.
    """
    from sed.speakers.diarizer import SegmentationDiarizer
    from sed.speakers.following import OnlineOptions, OnlineSpeakers
    from sed.speakers.given import OneSpeaker, ReferenceTurns
    from sed.speakers.windows import VoiceActivityDiarizer

    if (begin := getattr(diarizer, "begin_online", None)) is not None:
        return begin()
    if isinstance(diarizer, ReferenceTurns):
        return KnownTurns(diarizer.annotation)
    if isinstance(diarizer, OneSpeaker):
        return OneVoice(_local(diarizer.speech), diarizer.fill, diarizer.shortest)
    if isinstance(diarizer, SegmentationDiarizer):
        local: LocalSpeakers | LocalSpeech = LocalSpeakers(diarizer.segmentation)
    elif isinstance(diarizer, VoiceActivityDiarizer):
        local = _local(diarizer.speech)
    else:
        raise OptionError(
            f"{type(diarizer).__name__} cannot work live: expected diarizer 'segmentation' or 'none'"
        )
    return OnlineSpeakers(local, diarizer.embedding, OnlineOptions().with_at_most(diarizer.bounds[1]))


def _local(detector: SpeechDetector) -> LocalSpeakers | LocalSpeech:
    if isinstance(detector, SegmentationDetector):
        return LocalSpeakers(detector.network)
    return LocalSpeech(detector)
