"""Online speaker diarization: the session protocol, and the sources of speaker activity that sessions use.

In: at each step the latest audio. Out: the speakers of all frames that are not final yet. A diarizer that supports
live streams creates its session in `begin_online`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Protocol

import numpy as np

from sed.errors import OptionError
from sed.grid import HOP, frame_count
from sed.result import SpeakerProfile
from sed.speech.activity import SegmentationDetector, SpeechDetector
from sed.speech.segmentation import MODEL_FIELD, Segmentation


@dataclass(frozen=True, eq=False)
class LiveTurns:
    """The active speakers of the frames that were not final before a step: `active` ``(frames, speakers)`` bool.

    `keys` identify the speakers permanently. `names` are permanent for speakers with final frames.
    """

    active: np.ndarray
    keys: tuple[int, ...]
    names: tuple[str, ...]


class OnlineSession(Protocol):
    """Finds the speakers of one live stream in bounded memory."""

    window: int
    """Number of frames of audio needed at each step."""

    def step(self, audio: np.ndarray, start: int, final: int) -> LiveTurns:
        """Process ``(n,)`` samples from frame `start` to now: the latest `window` frames, or all if there are fewer.

        Returns the speakers of the frames from the `final` of the previous step on. Frames before the new `final` are
        not returned again.
        """
        ...


class SegmentationActivity:
    """Activity of local speakers ``(frames, 3)``, as estimated by the segmentation network."""

    def __init__(self, network: Segmentation) -> None:
        self._network = network

    def __call__(self, audio: np.ndarray, start: int) -> np.ndarray:
        """Activity in the samples ``(n,)`` from frame `start` on."""
        padded = np.pad(audio, (0, max(0, MODEL_FIELD - len(audio))))
        return self._network.activities(padded[None])[0][: frame_count(len(audio))]


class DetectorActivity:
    """Speech ``(frames, 1)`` as found by a detector, which processes each sample once."""

    def __init__(self, detector: SpeechDetector) -> None:
        self._session = detector.begin()
        self._speech = np.zeros(0, bool)  # decided frames, from frame number `_first`
        self._first = 0
        self._processed = 0  # samples

    def __call__(self, audio: np.ndarray, start: int) -> np.ndarray:
        """Speech in the samples ``(n,)`` from frame `start` on; undecided frames are silence."""
        new = audio[self._processed - start * HOP :]
        self._processed += len(new)
        self._speech = np.append(self._speech, self._session.push(new))[start - self._first :]
        self._first = start
        frames = frame_count(len(audio))
        return np.pad(self._speech, (0, frames - len(self._speech)))[:, None].astype(np.float32)


def begin_online(
    diarizer: object, refine: bool = False, enrolled: Mapping[str, SpeakerProfile] | None = None
) -> OnlineSession:
    """The online session of `diarizer`; `refine`: one with a method `refined`, the offline result at the end;
    `enrolled`: one that names the speakers with these profiles.

    Raises `OptionError` if it has no method `begin_online`, or none with these arguments.
    """
    if (begin := getattr(diarizer, "begin_online", None)) is None:
        raise OptionError(
            f"{type(diarizer).__name__} does not support live streams: expected diarizer 'segmentation' or 'none'"
        )
    given = {name: value for name, value in (("refine", refine), ("enrolled", enrolled)) if value}
    for name in given:
        if name not in signature(begin).parameters:
            what = "refine a live stream" if name == "refine" else "name enrolled speakers in a live stream"
            raise OptionError(f"{type(diarizer).__name__} cannot {what}: expected diarizer 'segmentation'")
    session: OnlineSession = begin(**given)
    return session


def local_activity(detector: SpeechDetector) -> SegmentationActivity | DetectorActivity:
    """The activity source of a detector: the segmentation network itself, or a session of another detector."""
    if isinstance(detector, SegmentationDetector):
        return SegmentationActivity(detector.network)
    return DetectorActivity(detector)
