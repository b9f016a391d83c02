"""`SegmentationDiarizer`: speaker diarization with overlap, in one pass over the audio.

In: 16 kHz float32 blocks of any size. Out: `Turns` on the 20 ms grid.

The segmentation network finds up to three local speakers in each window of 10 s. Windows overlap; what they see is
stitched together (`sed.speakers.stitching`). The speech of each track is cut into runs at pauses and where any window
sees a local speaker start or stop, as the network sometimes takes two speakers for one. The clean part of each run is
embedded, the embeddings are projected (`sed.speakers.projection`) and clustered, and each run is assigned to a speaker.

Only the runs are held in memory until the end: about a kilobyte each, 1.6 MB per hour of conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path

import numpy as np

from sed.audio.fbank import FEATURES_PER_FRAME
from sed.grid import FRAME_RATE, HOP, frame_count, seconds_to_frames
from sed.result import SpeakerProfile
from sed.speakers.bounds import speaker_bounds
from sed.speakers.clustering import ClusteringOptions, assign_speakers, find_speakers
from sed.speakers.embedding import FeatureStream, SpeakerEmbedding
from sed.speakers.online import SegmentationActivity
from sed.speakers.online_clustering import OnlineClusteringOptions, OnlineClusteringSession
from sed.speakers.projection import Projection
from sed.speakers.refining import Refinement
from sed.speakers.shared_windows import RecentWindows, SharedWindows
from sed.speakers.smoothing import make_turns
from sed.speakers.speech_runs import (
    SpeechRun,
    SpeechRunOptions,
    find_speech_runs,
    frames_to_embed,
    overlapping_pairs,
)
from sed.speakers.stitching import Section, Stitcher
from sed.speakers.turns import Turns
from sed.speech.segmentation import Segmentation, SegmentationStream


@dataclass(frozen=True)
class DiarizationOptions:
    """Options of the diarization; times in seconds. Tuned on AMI clips of part train and on conversations simulated
    from `train` speakers (`benchmarks/peers/diarization.py --tune`).

    step: hop between segmentation windows, up to 10; a multiple of 0.02.
    min_duration_off: pauses of a speaker up to this length are bridged.
    min_duration_on: turns shorter than this are dropped.
    speech_runs: how the speech of local speakers is cut into runs and embedded.
    clustering: how embeddings are grouped into speakers.
    """

    step: float = 5.0
    min_duration_off: float = 0.1
    min_duration_on: float = 0.1
    speech_runs: SpeechRunOptions = field(default_factory=SpeechRunOptions)
    clustering: ClusteringOptions = field(default_factory=ClusteringOptions)


class SegmentationDiarizer:
    """The default diarizer: the bundled segmentation-3.0 (trained further) and CAM++, and agglomerative clustering.

    speakers: number of speakers, if known. min_speakers, max_speakers: bounds on that number.
    threads: CPU threads. options: all other options.
    segmentation, embedding: the networks, or paths of ONNX files with the same input and output; None for the bundled
        ones. device: where they run, as in `sed.inference`.

    Fewer speakers than requested are found if there is too little speech, and rather than splitting one voice. Raises
    `OptionError` on invalid numbers and `ModelError` on unusable models.

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
        device: str = "auto",
    ) -> None:
        self.bounds = speaker_bounds(speakers, min_speakers, max_speakers)
        self.options = options or DiarizationOptions()
        if not isinstance(segmentation, Segmentation):
            segmentation = Segmentation(segmentation, threads, device)
        self.projection = Projection.bundled() if embedding is None else None
        if not isinstance(embedding, SpeakerEmbedding):
            embedding = SpeakerEmbedding(embedding, threads, device)
        self.segmentation, self.embedding = segmentation, embedding
        SegmentationStream(
            segmentation.activities, self.options.step
        )  # raises an error now, not at a recording

    def begin(self) -> SegmentationSession:
        """Start a new recording."""
        return SegmentationSession(self)

    def begin_online(
        self, refine: bool = False, enrolled: Mapping[str, SpeakerProfile] | None = None
    ) -> OnlineClusteringSession:
        """Start a live stream; it only enforces the maximum number of speakers. `refine`: offer `refined`, too;
        `enrolled`: profiles of speakers to be named, by name."""
        options = OnlineClusteringOptions().with_max_speakers(self.bounds[1])
        activity = SegmentationActivity(self.segmentation)
        refinement = Refinement(self.begin(), self.options.step) if refine else None
        networks = activity, self.embedding
        return OnlineClusteringSession(*networks, options, self.projection, refinement, enrolled)


class SegmentationSession:
    """State of one recording for a `SegmentationDiarizer`."""

    def __init__(self, diarizer: SegmentationDiarizer) -> None:
        self._embedding, self._projection = diarizer.embedding, diarizer.projection
        self._options, self._bounds = diarizer.options, diarizer.bounds
        self._stream = SegmentationStream(diarizer.segmentation.activities, self._options.step)
        self._hop = self._stream.step // HOP
        self._features = FeatureStream()
        self._stitcher = Stitcher()
        self._windows = RecentWindows()
        self._samples = 0
        self.speech_runs: list[SpeechRun] = []

    def push(self, samples: np.ndarray) -> None:
        """Process the next ``(n,)`` float32 samples at 16 kHz."""
        for start in range(0, len(samples), self._stream.step):  # large blocks are split to bound the memory
            part = samples[start : start + self._stream.step]
            self.push_samples(part)
            for number, activities in self._stream.push(part):
                self.push_window(number * self._hop, activities, (number + 1) * self._hop)

    def push_samples(self, samples: np.ndarray) -> None:
        """Process the next ``(n,)`` samples, except for the segmentation (`sed.speakers.refining`)."""
        self._samples += len(samples)
        self._features.push(samples)

    def push_window(self, start: int, activities: np.ndarray, final: int) -> None:
        """Process a window from frame `start`; no further window sees a frame before `final`."""
        self._add_window(start, activities)
        self._process(self._stitcher.final(final))

    def _add_window(self, start: int, activities: np.ndarray) -> None:
        self._stitcher.push(start, activities)
        self._windows.push(start, activities)

    def _process(self, sections: Sequence[Section]) -> None:
        """Cut the speech of `sections` into runs and embed them."""
        for section in sections:
            if not section.tracks:
                continue
            frames = len(section.active)
            features = self._features.between(section.start, section.start + frames)
            features = features.reshape(frames, FEATURES_PER_FRAME, -1)
            for column, track in enumerate(section.tracks):
                active = section.active[:, column]
                activity = section.activity[:, column]
                for start, end in find_speech_runs(active, activity, section.cuts, self._options.speech_runs):
                    chosen, seconds = frames_to_embed(
                        section.active, column, start, end, self._options.speech_runs
                    )
                    vector = None
                    if len(chosen):
                        vector = self._embed(features[chosen].reshape(-1, features.shape[2]))
                    first, own = section.start + start, active[start:end]
                    views = self._windows.views(first, own)
                    self.speech_runs.append(SpeechRun.from_active(first, own, track, vector, seconds, views))
        self._features.drop(self._stitcher.first)
        self._windows.drop(self._stitcher.first)

    def _embed(self, features: np.ndarray) -> np.ndarray:
        vector = self._embedding(features)
        return vector if self._projection is None else self._projection(vector)

    def close(self) -> Turns:
        """The turns of the whole recording."""
        frames = frame_count(self._samples)
        for number, activities in self._stream.close():
            start = number * self._hop
            self._add_window(start, activities[: frames - start])
        return self.finish(frames)

    def finish(self, frames: int) -> Turns:
        """The turns of the whole recording of `frames` frames, whose windows have all been processed."""
        self._features.close()
        self._process(self._stitcher.close(frames))
        options = self._options
        return turns_of_speakers(
            self.speech_runs,
            self.speakers_of(self.speech_runs),
            frames,
            seconds_to_frames(options.min_duration_off),
            seconds_to_frames(options.min_duration_on),
        )

    def speakers_of(self, speech_runs: list[SpeechRun]) -> np.ndarray:
        """The speaker of each run ``(n,)``, or -1, if these were all (`sed.streaming.provisional`)."""
        return cluster_speech_runs(speech_runs, self._options.clustering, *self._bounds)


def turns_of_speakers(
    speech_runs: Sequence[SpeechRun],
    speakers: np.ndarray,
    frames: int,
    min_duration_off: int,
    min_duration_on: int,
) -> Turns:
    """Turns from `speech_runs` and the speaker of each ``(n,)`` (-1: none); durations are in frames."""
    by_speaker: dict[int, list[SpeechRun]] = {}
    for run, speaker in zip(speech_runs, speakers.tolist(), strict=True):
        if speaker >= 0:
            by_speaker.setdefault(speaker, []).append(run)
    found = [by_speaker[speaker] for speaker in sorted(by_speaker)]
    spans = (np.concatenate([run.spans for run in own]) for own in found)
    profiles = [_profile_of(own) for own in found]
    return make_turns(spans, frames, min_duration_off, min_duration_on, profiles)


def _profile_of(speech_runs: Sequence[SpeechRun]) -> SpeakerProfile | None:
    """The profile of the speaker of `speech_runs`; None if none of them has clean speech."""
    clean = [run for run in speech_runs if run.vector is not None and run.seconds > 0]
    if not clean:
        return None
    total = np.sum([run.vector * np.float64(run.seconds) for run in clean], axis=0)  # type: ignore[operator]
    return SpeakerProfile.from_sum(total, sum(run.seconds for run in clean))


def cluster_speech_runs(
    speech_runs: list[SpeechRun],
    options: ClusteringOptions,
    min_speakers: int = 1,
    max_speakers: int | None = None,
) -> np.ndarray:
    """The speaker of each run ``(n,)``, or -1.

    A run without an embedding has the speaker of the nearest embedded run of the same track, if there is one.
    """
    speakers = np.full(len(speech_runs), -1)
    order = sorted(range(len(speech_runs)), key=lambda n: (speech_runs[n].start, speech_runs[n].end))
    embedded = np.array([n for n in order if speech_runs[n].vector is not None], np.int64)
    if not len(embedded):
        return speakers
    vectors = [speech_runs[n].vector for n in embedded]
    seconds = np.array([speech_runs[n].seconds for n in embedded])
    pairs = overlapping_pairs([speech_runs[n] for n in embedded])
    clean = seconds >= options.min_run_seconds
    if not clean.any():
        clean = seconds > 0
    if not clean.any():
        clean[:], seconds[:] = True, 1 / FRAME_RATE
    clean_pairs = np.where(clean, np.cumsum(clean) - 1, -1)[pairs]  # indices among the clean runs
    clean_pairs = clean_pairs[(clean_pairs >= 0).all(1)]
    clean_vectors = list(compress(vectors, clean))
    shared = SharedWindows.from_views([speech_runs[n].views for n in embedded])
    bounds = min_speakers, max_speakers
    centroids = find_speakers(
        clean_vectors, seconds[clean], clean_pairs, options, *bounds, shared.among(clean)
    )
    speakers[embedded] = assign_speakers(vectors, pairs, centroids, shared, options.window_bonus)
    by_track: dict[int, list[int]] = {}
    for n in embedded.tolist():
        by_track.setdefault(speech_runs[n].track, []).append(n)
    for n, run in enumerate(speech_runs):
        if run.vector is None and (same := by_track.get(run.track)):
            nearest = min(same, key=lambda other: abs(speech_runs[other].start - run.start))
            speakers[n] = speakers[nearest]
    return speakers
