"""Who speaks when, live: at each step the latest audio in, speakers of all frames that are not yet final out.

`OnlineSession` is what a live stream asks; every diarizer that can work live makes one in its `begin_online`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sed.errors import OptionError
from sed.grid import HOP, frame_count
from sed.speech.activity import SegmentationDetector, SpeechDetector
from sed.speech.segmentation import MODEL_FIELD, Segmentation


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


def begin_online(diarizer: object) -> OnlineSession:
    """The live form of `diarizer`, made by its `begin_online`. Raises `OptionError` where it has none."""
    if (begin := getattr(diarizer, "begin_online", None)) is None:
        raise OptionError(
            f"{type(diarizer).__name__} cannot work live: expected diarizer 'segmentation' or 'none'"
        )
    return begin()


def local_activity(detector: SpeechDetector) -> LocalSpeakers | LocalSpeech:
    """What a live stream asks for speech: the segmentation network itself, or a detector's own session."""
    if isinstance(detector, SegmentationDetector):
        return LocalSpeakers(detector.network)
    return LocalSpeech(detector)
