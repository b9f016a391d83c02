"""`VoiceActivityDiarizer`: any speech detector, then one speaker at a time by short windows of voice.

In: 16 kHz float32 blocks of any size. Out: `Turns` on the 20 ms grid, without overlap. Embeddings of 1.5 s
windows every 0.75 s are clustered; each 0.75 s of speech goes to the person whom the windows around it are
most like. For detectors that say that someone speaks but not who.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sed.audio.fbank import FEATURES_PER_FRAME
from sed.grid import FRAME_RATE, SAMPLE_RATE, seconds_to_frames
from sed.speakers.bounds import speaker_bounds
from sed.speakers.clustering import ClusteringOptions, find_people, likeness_of
from sed.speakers.embedding import FeatureStream, SpeakerEmbedding
from sed.speakers.following import OnlineOptions, OnlineSpeakers
from sed.speakers.online import local_activity
from sed.speakers.smoothing import in_order, smooth
from sed.speakers.turns import Turns, runs
from sed.speech.activity import SpeechDetector


@dataclass(frozen=True)
class WindowOptions:
    """Every number of the diarization by short windows; times in seconds.

    step: from one voice window to the next; each is two steps long.
    embed_at_least: speech in a window from which it gets an embedding.
    fill, shortest: pauses in speech up to the one are bridged, then speech shorter than the other is dropped.
    clustering: how voices are grouped into people; short windows of one person are less alike than stretches.
    """

    step: float = 0.76
    embed_at_least: float = 0.5
    fill: float = 0.3
    shortest: float = 0.1
    clustering: ClusteringOptions = field(
        default_factory=lambda: ClusteringOptions(0.3, smallest=3.0, smallest_share=0.02)
    )


class VoiceActivityDiarizer:
    """Speakers without overlap behind any detector of speech.

    `speech` detects speech; `speakers`, `min_speakers`, `max_speakers`, `threads` and `embedding` are as for
    `SegmentationDiarizer`. Raises `OptionError` on numbers that make no sense.

    >>> from sed.speech.webrtc import WebRtcDetector
    >>> session = VoiceActivityDiarizer(WebRtcDetector()).begin()
    >>> session.push(np.zeros(16_000, np.float32))
    >>> session.close().active.shape
    (50, 0)
    """

    def __init__(
        self,
        speech: SpeechDetector,
        speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        threads: int = 1,
        options: WindowOptions | None = None,
        embedding: SpeakerEmbedding | str | Path | None = None,
    ) -> None:
        self.bounds = speaker_bounds(speakers, min_speakers, max_speakers)
        self.speech, self.options = speech, options or WindowOptions()
        self.embedding = (
            embedding if isinstance(embedding, SpeakerEmbedding) else SpeakerEmbedding(embedding, threads)
        )

    def begin(self) -> VoiceActivitySession:
        """Start on a new recording."""
        return VoiceActivitySession(self)

    def begin_online(self) -> OnlineSpeakers:
        """Start on a live stream; of the bounds only the maximum is kept."""
        options = OnlineOptions().with_at_most(self.bounds[1])
        return OnlineSpeakers(local_activity(self.speech), self.embedding, options)


class VoiceActivitySession:
    """One recording on its way through a `VoiceActivityDiarizer`."""

    def __init__(self, diarizer: VoiceActivityDiarizer) -> None:
        self._embedding, self._options, self._bounds = diarizer.embedding, diarizer.options, diarizer.bounds
        self._speech = diarizer.speech.begin()
        self._features = FeatureStream()
        self._found = bytearray()  # speech of all frames, one byte each
        self._recent = np.zeros(0, bool)  # speech from the start of the next window on
        self._step = seconds_to_frames(self._options.step)
        self._next = 0  # number of the next window
        self._numbers: list[int] = []
        self._vectors: list[np.ndarray] = []
        self._seconds: list[float] = []

    def push(self, samples: np.ndarray) -> None:
        """Take the next ``(n,)`` float32 samples at 16 kHz."""
        for start in range(0, len(samples), SAMPLE_RATE):  # a huge block costs no more memory
            piece = samples[start : start + SAMPLE_RATE]
            self._features.push(piece)
            self._take(self._speech.push(piece))

    def _take(self, speech: np.ndarray, last: bool = False) -> None:
        self._found += speech.tobytes()
        self._recent = np.append(self._recent, speech)
        length = 2 * self._step
        ahead = 0 if last else FRAME_RATE  # features are there up to a second after speech is known
        while len(self._recent) >= length + ahead or (last and len(self._recent) > 0):
            self._embed(self._recent[:length])
            self._recent = self._recent[self._step :]
            self._next += 1

    def _embed(self, speech: np.ndarray) -> None:
        start = self._next * self._step
        seconds = int(speech.sum()) / FRAME_RATE
        if seconds >= self._options.embed_at_least:
            features = self._features.between(start, start + len(speech))
            features = features.reshape(len(speech), FEATURES_PER_FRAME, -1)[speech]
            self._numbers.append(self._next)
            self._vectors.append(self._embedding(features.reshape(-1, features.shape[2])))
            self._seconds.append(seconds)
        self._features.drop(start + self._step)

    def close(self) -> Turns:
        """The turns of everything pushed."""
        self._features.close()
        self._take(self._speech.close(), last=True)
        options = self._options
        speech = np.frombuffer(self._found, bool)
        speech = smooth(speech, seconds_to_frames(options.fill), seconds_to_frames(options.shortest))
        people = self._people(-(-len(speech) // self._step))
        spans = (
            runs(speech & np.repeat(people == person, self._step)[: len(speech)])
            for person in range(int(people.max(initial=-1)) + 1)
        )
        return in_order(spans, len(speech))

    def _people(self, steps: int) -> np.ndarray:
        """The person of each step ``(steps,)``: by its own and the previous window, or else the nearest."""
        if not self._vectors:
            return np.zeros(steps, np.int64)
        seconds, numbers, no_pairs = (
            np.array(self._seconds),
            np.array(self._numbers),
            np.zeros((0, 2), np.int64),
        )
        centroids = find_people(self._vectors, seconds, no_pairs, self._options.clustering, *self._bounds)
        likeness = np.zeros((steps + 1, len(centroids)))
        likeness[numbers] = likeness_of(self._vectors, centroids) * seconds[:, None]
        likeness[1:] += likeness[:-1].copy()
        known = np.zeros(steps + 1, bool)
        known[numbers] = known[numbers + 1] = True
        places = np.flatnonzero(known[:steps])
        after = places[np.searchsorted(places, np.arange(steps)).clip(max=len(places) - 1)]
        before = places[(np.searchsorted(places, np.arange(steps), "right") - 1).clip(0)]
        here = np.arange(steps)
        nearest = np.where(np.abs(before - here) <= np.abs(after - here), before, after)
        return likeness[nearest].argmax(1)
