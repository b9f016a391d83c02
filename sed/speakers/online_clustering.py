"""`OnlineClusteringSession`: tracks local speakers across windows, and identifies them by their embeddings.

In: at each step the latest audio. Out: `LiveTurns` of all frames that are not final yet. Local speakers are matched
from window to window (`sed.speakers.tracks`). As the segmentation network occasionally merges two speakers, a track is
cut into short runs; the clean speech of each run is embedded and assigned to a speaker (`sed.speakers.registry`), with
a preference for the speaker of the previous run. An embedding is computed again when the speech of a run has doubled,
and when the run has ended, not at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from sed.audio.fbank import FEATURE_HOP, FEATURE_WINDOW, filter_bank
from sed.errors import SedError
from sed.grid import HOP, frames_to_seconds, seconds_to_frames
from sed.result import SpeakerProfile
from sed.speakers.embedding import SpeakerEmbedding
from sed.speakers.evidence import Candidate, Speaker
from sed.speakers.online import LiveTurns
from sed.speakers.online_smoothing import MIN_DURATION_ON, OnlineSmoother, most_active
from sed.speakers.projection import Projection
from sed.speakers.recent_runs import RecentRuns
from sed.speakers.refining import Refinement
from sed.speakers.registry import RegistryOptions, SpeakerRegistry
from sed.speakers.speech_runs import overlap_for_long
from sed.speakers.tracks import ACTIVE_THRESHOLD, Track, Tracker, TrackRun
from sed.speakers.turns import Turns

ActivitySource = Callable[[np.ndarray, int], np.ndarray]
"""Samples and the number of their first frame -> activity ``(frames, local speakers)`` from 0 to 1."""

MIN_ADDED = 0.1  # seconds of clean speech for which a run that has ended is embedded once more


@dataclass(frozen=True)
class OnlineClusteringOptions:
    """Options of online diarization; times in seconds. Tuned on AMI clips of part train and on conversations simulated
    from `train` speakers (`benchmarks/tuning/online_speakers.py`).

    window: audio processed at each step; the segmentation network was trained on 10 s.
    max_run_seconds: maximum clean speech of a run; more starts a new run.
    min_pause: shortest silence in a track that starts a new run.
    min_duration_off: pauses of one speaker up to this length are bridged.
    min_duration_on: turns shorter than this go to the speaker whose turn they touch, or are dropped
        (`sed.speakers.online_smoothing`).
    min_embed_seconds: clean speech from which a run is embedded, again whenever it has doubled, and at its end.
    registry: when a run is assigned to a known speaker.
    """

    window: float = 10.0
    max_run_seconds: float = 1.5
    min_pause: float = 0.3
    min_duration_off: float = 0.1
    min_duration_on: float = MIN_DURATION_ON
    min_embed_seconds: float = 0.4
    registry: RegistryOptions = field(default_factory=RegistryOptions)

    def with_max_speakers(self, max_speakers: int | None) -> OnlineClusteringOptions:
        """The same options with that maximum number of speakers (None: unchanged).

        >>> OnlineClusteringOptions().with_max_speakers(2).registry.max_speakers
        2
        """
        if max_speakers is None:
            return self
        return replace(self, registry=replace(self.registry, max_speakers=max_speakers))


class OnlineClusteringSession:
    """Finds the speakers of one live stream; an `OnlineSession`. Sessions may share the networks.

    `activity` is the source of local speaker activity (such as `sed.speakers.online.SegmentationActivity`), `embedding`
    the embedding network, `projection` what its embeddings are projected by; `enrolled` are the profiles of known
    speakers by name, of the same networks.

    >>> silent = lambda audio, start: np.zeros((len(audio) // HOP, 3), np.float32)
    >>> session = OnlineClusteringSession(silent, SpeakerEmbedding())
    >>> session.step(np.zeros(16_000, np.float32), 0, 25).names
    ()
    """

    def __init__(
        self,
        activity: ActivitySource,
        embedding: SpeakerEmbedding,
        options: OnlineClusteringOptions | None = None,
        projection: Projection | None = None,
        refinement: Refinement | None = None,
        enrolled: Mapping[str, SpeakerProfile] | None = None,
    ) -> None:
        self._refinement = refinement
        self._relabels = 0  # number of merged speakers that have been reported
        self._activity = activity
        self._projection = projection
        self._embedding = embedding
        self._options = options or OnlineClusteringOptions()
        self.window = seconds_to_frames(self._options.window)
        self._max_run_frames = seconds_to_frames(self._options.max_run_seconds)
        self._min_embed_frames = seconds_to_frames(self._options.min_embed_seconds)
        self._min_added_frames = seconds_to_frames(MIN_ADDED)
        self._min_pause_frames = seconds_to_frames(self._options.min_pause)
        self._tracker = Tracker()
        self._recent = RecentRuns()
        self._registry = SpeakerRegistry(self._options.registry, enrolled)
        self._smoother = OnlineSmoother(
            seconds_to_frames(self._options.min_duration_off),
            seconds_to_frames(self._options.min_duration_on),
        )
        self._active_speakers: dict[int, Speaker] = {}  # those active at the last step, by key
        self._numbered = 0  # speakers with a number

    def step(self, audio: np.ndarray, start: int, final: int) -> LiveTurns:
        """As `OnlineSession.step`."""
        activities = self._activity(audio, start)
        if self._refinement is not None:
            self._refinement.step(audio, start, activities)
        self._tracker.step(activities, start)
        self._update_runs(audio, activities, start)
        turns = self._turns(final)
        self._finalise(final)
        return turns

    def refined(self) -> Turns:
        """The turns of the whole stream, as offline; only for a session with a `refinement`."""
        if self._refinement is None:
            raise SedError("this stream keeps nothing to refine: expected refine=True when it starts")
        return self._refinement.close()

    def take_relabels(self) -> list[tuple[str, str]]:
        """Pairs of names since the last call: the first speaker is the second one, from now on and before."""
        new = self._registry.merged[self._relabels :]
        self._relabels += len(new)
        return [(_name(one, one.number), _name(other, other.number)) for one, other in new]

    def _update_runs(self, audio: np.ndarray, activities: np.ndarray, start: int) -> None:
        """Divide the tracks into runs, embed new speech, and assign the runs to speakers."""
        active = activities > ACTIVE_THRESHOLD
        single = active.sum(1) == 1
        latest: list[tuple[Track, TrackRun, np.ndarray]] = []
        for track in self._tracker.tracks:
            if track.column is None:
                continue
            frames = np.flatnonzero(active[:, track.column]) + start
            latest += [(track, *run) for run in self._divide(track, frames, single, start)]
        self._recent.step(activities, start, [(run.sample, frames) for _, run, frames in latest])
        candidates = []
        end = start + len(activities)
        for track, run, frames in latest:
            ended = run is not track.runs[-1] or end - frames[-1] > self._min_pause_frames
            self._embed(run, frames[single[frames - start]], audio, start, ended)
            elsewhere = [(other.sample, theirs) for owner, other, theirs in latest if owner is not track]
            overlapping = [sample for sample, theirs in elsewhere if overlap_for_long(frames, theirs)]
            interleaved = [
                sample for sample, theirs in elsewhere if theirs[0] < frames[-1] and frames[0] < theirs[-1]
            ]
            index = track.runs.index(run)
            earlier = [track.speaker, *(one.sample.speaker for one in track.runs[:index])]
            others = {sample.speaker for sample, _ in elsewhere}
            speakers = tuple(speaker for speaker in others.difference(earlier) if speaker is not None)
            candidates.append(Candidate(run.sample, overlapping, earlier[-1], speakers, interleaved))
        self._registry.assign(candidates, frames_to_seconds(end))
        for _, run, frames in latest:
            if (speaker := run.sample.speaker) is not None:
                speaker.last = max(speaker.last, int(frames[-1]))

    def _divide(
        self, track: Track, active: np.ndarray, single: np.ndarray, start: int
    ) -> list[tuple[TrackRun, np.ndarray]]:
        """The runs of a track that may still change, each with its part of the `active` frames.

        A new run starts after a pause, and when the previous one has the maximum clean speech.
        """
        if not track.runs:
            track.runs.append(TrackRun(max(self._tracker.final - self._max_run_frames, int(active[0]))))
        found = []
        for run, following in zip(track.runs[:-1], track.runs[1:], strict=True):
            frames = active[(active >= run.start) & (active < following.start)]
            if len(frames):
                found.append((run, frames))
        run = track.runs[-1]
        frames = active[active >= run.start]
        while len(frames):
            pauses = np.flatnonzero(np.diff(frames) > self._min_pause_frames)
            end = int(pauses[0]) + 1 if len(pauses) else len(frames)
            clean = np.flatnonzero(single[frames[:end] - start])
            if len(clean) > self._max_run_frames:
                end = min(end, int(clean[self._max_run_frames]))
            found.append((run, frames[:end]))
            frames = frames[end:]
            if len(frames):
                run = TrackRun(int(frames[0]))
                track.runs.append(run)
        return found

    def _embed(self, run: TrackRun, clean: np.ndarray, audio: np.ndarray, start: int, ended: bool) -> None:
        """Embed the clean frames of a run if they have doubled or reached the maximum, or once it has `ended`."""
        sample = run.sample
        clean = clean[: self._max_run_frames]
        embedded = seconds_to_frames(sample.seconds)
        needed = max(self._min_embed_frames, min(2 * embedded, self._max_run_frames))
        if ended and not run.complete:
            needed = max(self._min_embed_frames, embedded + self._min_added_frames)
        if run.full or len(clean) < needed:
            return
        run.full, run.complete = len(clean) == self._max_run_frames, ended
        parts = np.split(clean, np.flatnonzero(np.diff(clean) != 1) + 1)
        features = [filter_bank(_audio_of(audio, start, frames)) for frames in parts]
        vector = self._embedding(np.concatenate(features))
        sample.vector = vector if self._projection is None else self._projection(vector)
        sample.seconds = frames_to_seconds(len(clean))

    def _finalise(self, final: int) -> None:
        """Make the frames before `final` final, and with them the runs that end before."""
        for track in self._tracker.finalise(final):
            for run in track.runs:
                self._registry.finalise(run.sample)
        for track in self._tracker.tracks:
            while len(track.runs) > 1 and track.runs[1].start <= final:
                sample = track.runs.pop(0).sample
                track.speaker = sample.speaker
                self._registry.finalise(sample)

    def _turns(self, final: int) -> LiveTurns:
        activity, offset = self._tracker.activity(), self._tracker.final
        scores: dict[int, np.ndarray] = {}
        speakers = self._active_speakers
        for track, own in zip(self._tracker.tracks, activity.T, strict=True):
            starts = [run.start for run in track.runs]
            for index, run in enumerate(track.runs):
                low = max(run.start - offset, 0) if index else 0
                high = starts[index + 1] - offset if index + 1 < len(starts) else None
                part = np.zeros(len(own))
                part[low:high] = own[low:high]
                if (speaker := run.sample.speaker) is not None:
                    speakers[speaker.key] = speaker
                    scores[speaker.key] = scores.get(speaker.key, 0.0) + part
        count = final - offset
        active = self._smoother.step(most_active(scores), len(activity), count, ends=count == len(activity))
        speakers = self._active_speakers = {key: speakers[key] for key in active}
        # Numbers follow the order of first final speech; speakers without final speech show the next free ones.
        unnumbered = sorted(
            (key for key, speaker in speakers.items() if not speaker.reported),
            key=lambda key: (int(active[key].argmax()), key),
        )
        numbers = {key: one.number for key, one in speakers.items() if one.number is not None}
        for index, key in enumerate(unnumbered):
            numbers[key] = self._numbered + index
            if active[key][:count].any():
                speakers[key].number = numbers[key]
        self._numbered += sum(speakers[key].number is not None for key in unnumbered)
        keys = tuple(sorted(speakers))
        frames = len(activity)
        return LiveTurns(
            np.stack([active[key] for key in keys], 1) if keys else np.zeros((frames, 0), bool),
            keys,
            tuple(_name(speakers[key], numbers.get(key)) for key in keys),
        )


def _name(speaker: Speaker, number: int | None) -> str:
    """The name of a speaker who has, or shows, that number unless enrolled."""
    return speaker.enrolled_name or f"spk{number:02d}"


def _audio_of(audio: np.ndarray, start: int, frames: np.ndarray) -> np.ndarray:
    """The samples that the features of consecutive `frames` depend on, padded with silence at the end."""
    first = (int(frames[0]) - start) * HOP
    last = (int(frames[-1]) + 1 - start) * HOP + FEATURE_WINDOW - FEATURE_HOP
    part = audio[first:last]
    return np.pad(part, (0, last - first - len(part)))
