"""`SegmentationDiarizer`: who speaks when, with overlap, from one pass over the audio in bounded memory.

In: 16 kHz float32 blocks of any size. Out: `Turns` on the 20 ms grid.

The segmentation network tells up to three local speakers apart in each window of 10 s. Of each window the middle
is used, where the network hears both sides (the windows' middles tile the recording). A local speaker's speech
falls into stretches at his pauses; every stretch gets an embedding of its clean part, the embeddings are
clustered into people, and each stretch goes to one of them. Stretches, not local speakers, because over 10 s the
network takes two people for one more often than one would like, and rarely without a pause in between.

What is kept of the recording are the stretches: about a kilobyte for each, 1.6 MB for an hour of conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path

import numpy as np

from sed.audio.fbank import FEATURES_PER_FRAME
from sed.errors import OptionError
from sed.grid import FRAME_RATE, HOP, frame_count, seconds_to_frames
from sed.speakers.bounds import speaker_bounds
from sed.speakers.clustering import ClusteringOptions, assign, find_people
from sed.speakers.embedding import FeatureStream, SpeakerEmbedding
from sed.speakers.following import OnlineOptions, OnlineSpeakers
from sed.speakers.online import LocalSpeakers
from sed.speakers.smoothing import in_order
from sed.speakers.stretches import Stretch, StretchOptions, frames_to_embed, pairs_at_once, stretches_of
from sed.speakers.turns import Turns
from sed.speech.segmentation import WINDOW_FRAMES, Segmentation, SegmentationStream


@dataclass(frozen=True)
class DiarizationOptions:
    """Every number of the diarization; times in seconds. Tuned on AMI clips of part train and on conversations
    simulated from `train` speakers (`benchmarks/peers/diarization.py --tune`).

    step: from one segmentation window to the next, and the length of its middle; a multiple of 0.04.
    fill: pauses of one speaker up to this length are bridged.
    shortest: turns shorter than this are dropped.
    stretches: how local speakers' speech is cut up and embedded.
    clustering: how voices are grouped into people.
    """

    step: float = 5.0
    fill: float = 0.1
    shortest: float = 0.1
    stretches: StretchOptions = field(default_factory=StretchOptions)
    clustering: ClusteringOptions = field(default_factory=ClusteringOptions)


class SegmentationDiarizer:
    """The default way to find speakers: segmentation-3.0, CAM++ and clustering, all bundled.

    speakers: how many people speak, if known. min_speakers, max_speakers: bounds on that number.
    threads: processor threads. options: every other number.
    segmentation, embedding: the networks, or paths of ONNX files of their kind; None for the bundled ones.

    Fewer people are found than asked for where there are not enough voices. Raises `OptionError`
    on numbers that make no sense and `ModelError` on unusable models.

    >>> session = SegmentationDiarizer().begin()
    >>> session.push(np.zeros(32_000, np.float32))
    >>> session.close().active.shape
    (100, 0)
    """

    def __init__(
        self,
        speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        threads: int = 1,
        options: DiarizationOptions | None = None,
        segmentation: Segmentation | str | Path | None = None,
        embedding: SpeakerEmbedding | str | Path | None = None,
    ) -> None:
        self.bounds = speaker_bounds(speakers, min_speakers, max_speakers)
        self.options = options or DiarizationOptions()
        if not isinstance(segmentation, Segmentation):
            segmentation = Segmentation(segmentation, threads)
        if not isinstance(embedding, SpeakerEmbedding):
            embedding = SpeakerEmbedding(embedding, threads)
        self.segmentation, self.embedding = segmentation, embedding
        if seconds_to_frames(self.options.step) % 2:
            raise OptionError(f"a step of {self.options.step} s: expected a multiple of 0.04 s")

    def begin(self) -> SegmentationSession:
        """Start on a new recording."""
        return SegmentationSession(self)

    def begin_online(self) -> OnlineSpeakers:
        """Start on a live stream; of the bounds only the maximum is kept."""
        options = OnlineOptions().with_at_most(self.bounds[1])
        return OnlineSpeakers(LocalSpeakers(self.segmentation), self.embedding, options)


class SegmentationSession:
    """One recording on its way through a `SegmentationDiarizer`."""

    def __init__(self, diarizer: SegmentationDiarizer) -> None:
        self._embedding, self._options, self._bounds = diarizer.embedding, diarizer.options, diarizer.bounds
        self._stream = SegmentationStream(diarizer.segmentation.active, self._options.step)
        self._hop = self._stream.step // HOP
        self._features = FeatureStream()
        self._held: tuple[int, np.ndarray] | None = None  # the latest window: it may be the last
        self._samples = 0
        self.stretches: list[Stretch] = []

    def push(self, samples: np.ndarray) -> None:
        """Take the next ``(n,)`` float32 samples at 16 kHz."""
        for start in range(0, len(samples), self._stream.step):  # a huge block costs no more memory
            piece = samples[start : start + self._stream.step]
            self._samples += len(piece)
            self._features.push(piece)
            for window in self._stream.push(piece):
                self._take(window)

    def _take(self, window: tuple[int, np.ndarray] | None) -> None:
        """Look at the window that is held back, now that it is known whether another one follows."""
        if self._held is not None:
            number, active = self._held
            self._listen(number, active, last=window is None)
            self._features.drop((number + 1) * self._hop)
        self._held = window

    def _listen(self, number: int, active: np.ndarray, last: bool) -> None:
        start, edge = number * self._hop, (WINDOW_FRAMES - self._hop) // 2
        if last:
            active = active[: frame_count(self._samples) - start]
        tile = slice(edge if number else 0, len(active) if last else WINDOW_FRAMES - edge)
        features: np.ndarray | None = None
        for column in range(active.shape[1]):
            voice = (number, column)
            for first, end in stretches_of(active[:, column], tile, self._options.stretches):
                frames, seconds = frames_to_embed(active, column, first, end, tile, self._options.stretches)
                vector = None
                if len(frames):
                    if features is None:
                        features = self._features.between(start, start + len(active))
                        features = features.reshape(len(active), FEATURES_PER_FRAME, -1)
                    vector = self._embedding(features[frames].reshape(-1, features.shape[2]))
                low, high = max(first, tile.start), min(end, tile.stop)
                self.stretches.append(
                    Stretch.of(start + low, active[low:high, column], voice, vector, seconds)
                )

    def close(self) -> Turns:
        """The turns of everything pushed."""
        self._features.close()
        for window in self._stream.close():
            self._take(window)
        self._take(None)
        options = self._options
        people = name_stretches(self.stretches, options.clustering, *self._bounds)
        fill, shortest = seconds_to_frames(options.fill), seconds_to_frames(options.shortest)
        return turns_of_people(self.stretches, people, frame_count(self._samples), fill, shortest)


def turns_of_people(
    stretches: Sequence[Stretch], people: np.ndarray, frames: int, fill: int, shortest: int
) -> Turns:
    """The turns of the person to whom each of `stretches` belongs (-1: nobody); lengths in frames."""
    spans: list[list[np.ndarray]] = [[] for _ in range(int(people.max(initial=-1)) + 1)]
    for stretch, person in zip(stretches, people.tolist(), strict=True):
        if person >= 0:
            spans[person].append(stretch.spans)
    return in_order((np.concatenate(own) for own in spans if own), frames, fill, shortest)


def name_stretches(
    stretches: list[Stretch], options: ClusteringOptions, at_least: int = 1, at_most: int | None = None
) -> np.ndarray:
    """The person of each stretch ``(n,)``; -1 where nothing tells who it is.

    A stretch without an embedding goes to the person of the nearest one of the same local speaker.
    """
    people = np.full(len(stretches), -1)
    order = sorted(range(len(stretches)), key=lambda n: (stretches[n].start, stretches[n].end))
    known = np.array([n for n in order if stretches[n].vector is not None], np.int64)
    if not len(known):
        return people
    vectors = [stretches[n].vector for n in known]
    seconds = np.array([stretches[n].seconds for n in known])
    pairs = pairs_at_once([stretches[n] for n in known])
    telling = seconds > 0
    if not telling.any():
        telling[:], seconds[:] = True, 1 / FRAME_RATE
    place = np.where(telling, np.cumsum(telling) - 1, -1)[pairs]  # among the telling ones
    place = place[(place >= 0).all(1)]
    choosing = list(compress(vectors, telling))
    centroids = find_people(choosing, seconds[telling], place, options, at_least, at_most)
    people[known] = assign(vectors, pairs, centroids)
    by_voice: dict[tuple[int, int], list[int]] = {}
    for n in known.tolist():
        by_voice.setdefault(stretches[n].voice, []).append(n)
    for n, stretch in enumerate(stretches):
        if stretch.vector is None and (same := by_voice.get(stretch.voice)):
            people[n] = people[min(same, key=lambda other: abs(stretches[other].start - stretch.start))]
    return people
