"""`VoiceActivityDiarizer`: any speech detector, with speakers from embeddings of short windows.

In: 16 kHz float32 blocks of any size. Out: `Turns` on the 20 ms grid, without overlap. Embeddings of 1.5 s windows
every 0.75 s are clustered; each 0.75 s of speech is assigned to the speaker most similar to the windows that contain
it. For detectors that find speech but do not distinguish speakers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sed.audio.fbank import FEATURES_PER_FRAME
from sed.grid import FRAME_RATE, SAMPLE_RATE, seconds_to_frames
from sed.result import SpeakerProfile
from sed.speakers.agglomeration import Linkage
from sed.speakers.bounds import speaker_bounds
from sed.speakers.clustering import ClusteringOptions, cosine_similarities, find_speakers
from sed.speakers.embedding import FeatureStream, SpeakerEmbedding
from sed.speakers.online import local_activity
from sed.speakers.online_clustering import OnlineClusteringOptions, OnlineClusteringSession
from sed.speakers.projection import Projection
from sed.speakers.smoothing import make_turns, smooth
from sed.speakers.turns import Turns, runs
from sed.speech.activity import SpeechDetector


@dataclass(frozen=True)
class WindowOptions:
    """Options of diarization by short windows; times in seconds.

    step: hop between windows; a window is two steps long.
    min_embed_seconds: minimum speech in a window that is embedded.
    min_duration_off, min_duration_on: pauses in speech up to the first are bridged, then runs of speech shorter than
        the second are dropped.
    clustering: how embeddings are grouped into speakers; embeddings of short windows are less similar than those of
        whole runs of speech.
    """

    step: float = 0.76
    min_embed_seconds: float = 0.5
    min_duration_off: float = 0.3
    min_duration_on: float = 0.1
    clustering: ClusteringOptions = field(
        default_factory=lambda: ClusteringOptions(
            0.3, 0.0, Linkage(), min_speaker_seconds=3.0, min_speaker_share=0.02
        )
    )


class VoiceActivityDiarizer:
    """Finds speakers without overlap in the speech of any detector.

    `speech` detects speech; `speakers`, `min_speakers`, `max_speakers`, `threads`, `embedding` and `device` are as for
    `SegmentationDiarizer`. Raises `OptionError` on invalid numbers.

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
        device: str = "auto",
    ) -> None:
        self.bounds = speaker_bounds(speakers, min_speakers, max_speakers)
        self.speech, self.options = speech, options or WindowOptions()
        self.projection = Projection.bundled() if embedding is None else None
        if not isinstance(embedding, SpeakerEmbedding):
            embedding = SpeakerEmbedding(embedding, threads, device)
        self.embedding = embedding

    def begin(self) -> VoiceActivitySession:
        """Start a new recording."""
        return VoiceActivitySession(self)

    def begin_online(self, enrolled: Mapping[str, SpeakerProfile] | None = None) -> OnlineClusteringSession:
        """Start a live stream; it only enforces the maximum number of speakers. `enrolled`: profiles of speakers to be
        named, by name."""
        options = OnlineClusteringOptions().with_max_speakers(self.bounds[1])
        networks = local_activity(self.speech), self.embedding
        return OnlineClusteringSession(*networks, options, self.projection, enrolled=enrolled)


class VoiceActivitySession:
    """State of one recording for a `VoiceActivityDiarizer`."""

    def __init__(self, diarizer: VoiceActivityDiarizer) -> None:
        self._embedding, self._options, self._bounds = diarizer.embedding, diarizer.options, diarizer.bounds
        self._speech = diarizer.speech.begin()
        self._features = FeatureStream()
        self._active = bytearray()  # speech in all frames, one byte each
        self._pending = np.zeros(0, bool)  # speech from the start of the next window on
        self._step = seconds_to_frames(self._options.step)
        self._next = 0  # number of the next window
        self._projection = diarizer.projection
        self._numbers: list[int] = []
        self._vectors: list[np.ndarray] = []
        self._seconds: list[float] = []

    def push(self, samples: np.ndarray) -> None:
        """Process the next ``(n,)`` float32 samples at 16 kHz."""
        for start in range(0, len(samples), SAMPLE_RATE):  # large blocks are split to bound the memory
            part = samples[start : start + SAMPLE_RATE]
            self._features.push(part)
            self._process(self._speech.push(part))

    def _process(self, speech: np.ndarray, last: bool = False) -> None:
        self._active += speech.tobytes()
        self._pending = np.append(self._pending, speech)
        length = 2 * self._step
        margin = 0 if last else FRAME_RATE  # features are available up to a second after speech is decided
        while len(self._pending) >= length + margin or (last and len(self._pending) > 0):
            self._embed(self._pending[:length])
            self._pending = self._pending[self._step :]
            self._next += 1

    def _embed(self, speech: np.ndarray) -> None:
        start = self._next * self._step
        seconds = int(speech.sum()) / FRAME_RATE
        if seconds >= self._options.min_embed_seconds:
            features = self._features.between(start, start + len(speech))
            features = features.reshape(len(speech), FEATURES_PER_FRAME, -1)[speech]
            self._numbers.append(self._next)
            self._vectors.append(self._embedding(features.reshape(-1, features.shape[2])))
            self._seconds.append(seconds)
        self._features.drop(start + self._step)

    def close(self) -> Turns:
        """The turns of the whole recording."""
        self._features.close()
        self._process(self._speech.close(), last=True)
        speech = smooth(
            np.frombuffer(self._active, bool),
            seconds_to_frames(self._options.min_duration_off),
            seconds_to_frames(self._options.min_duration_on),
        )
        speakers = self._speakers(-(-len(speech) // self._step))
        found = range(int(speakers.max(initial=-1)) + 1)
        spans = (runs(speech & np.repeat(speakers == one, self._step)[: len(speech)]) for one in found)
        return make_turns(spans, len(speech), profiles=[self._profile(speakers == one) for one in found])

    def _profile(self, steps: np.ndarray) -> SpeakerProfile | None:
        """The profile of the speaker of `steps` ``(steps,)`` bool, of the windows within them; None without any."""
        within = np.append(steps, steps[-1:])
        own = [n for n, number in enumerate(self._numbers) if within[number : number + 2].all()]
        if not own:
            return None
        vectors = [self._vectors[n] for n in own]
        if self._projection is not None:
            vectors = [self._projection(vector) for vector in vectors]
        seconds = np.array([self._seconds[n] for n in own])
        total = np.sum([v * s for v, s in zip(vectors, seconds, strict=True)], axis=0)
        return SpeakerProfile.from_sum(total, seconds.sum() / 2)  # windows overlap by half

    def _speakers(self, steps: int) -> np.ndarray:
        """The speaker of each step ``(steps,)``: by the two windows that contain it, or else as the nearest step."""
        if not self._vectors:
            return np.zeros(steps, np.int64)
        seconds, numbers, no_pairs = (
            np.array(self._seconds),
            np.array(self._numbers),
            np.zeros((0, 2), np.int64),
        )
        centroids = find_speakers(self._vectors, seconds, no_pairs, self._options.clustering, *self._bounds)
        scores = np.zeros((steps + 1, len(centroids)))
        scores[numbers] = cosine_similarities(self._vectors, centroids) * seconds[:, None]
        scores[1:] += scores[:-1].copy()
        scored = np.zeros(steps + 1, bool)
        scored[numbers] = scored[numbers + 1] = True
        indices = np.flatnonzero(scored[:steps])
        every = np.arange(steps)
        after = indices[np.searchsorted(indices, every).clip(max=len(indices) - 1)]
        before = indices[(np.searchsorted(indices, every, "right") - 1).clip(0)]
        nearest = np.where(np.abs(before - every) <= np.abs(after - every), before, after)
        return scores[nearest].argmax(1)
