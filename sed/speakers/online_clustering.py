"""`OnlineSpeakers`: local speakers followed from window to window, and told apart by their voices.

In: at each step the latest audio. Out: `LiveTurns` of all frames that are not yet final. A local speaker is
followed as a track (`sed.speakers.tracks`). The network now and then takes two people for one, so a track is
cut into short stretches, and every stretch of clean speech gets an embedding, which decides whose voice it is
(`sed.speakers.gallery`); the track says who is to be expected. An embedding is computed when the speech of a
stretch has doubled, not at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from sed.audio.fbank import FEATURE_HOP, FEATURE_WINDOW, filter_bank
from sed.grid import HOP, frames_to_seconds, seconds_to_frames
from sed.speakers.embedding import SpeakerEmbedding
from sed.speakers.gallery import Gallery, GalleryOptions, Person
from sed.speakers.online import LiveTurns
from sed.speakers.tracks import PRESENT, Stretch, Track, Tracker

Activities = Callable[[np.ndarray, int], np.ndarray]
"""What finds local speakers: samples from a frame on -> activity ``(frames, local speakers)``, 0 to 1."""


@dataclass(frozen=True)
class OnlineOptions:
    """Every number of the live speakers; times in seconds. Tuned on AMI clips of part train and on
    conversations simulated from `train` speakers (`benchmarks/tuning/online_speakers.py`).

    window: audio that is heard at each step; the segmentation network was trained on 10.
    chunk: clean speech that is embedded at once; more begins a new stretch.
    pause: silence in a track after which a new stretch begins.
    first: clean speech from which a stretch is embedded, again whenever it has doubled.
    gallery: when a voice is taken for a person.
    """

    window: float = 10.0
    chunk: float = 1.5
    pause: float = 0.3
    first: float = 0.4
    gallery: GalleryOptions = field(default_factory=GalleryOptions)

    def with_at_most(self, people: int | None) -> OnlineOptions:
        """The same, with that bound on the number of people (None: as it is).

        >>> OnlineOptions().with_at_most(2).gallery.people
        2
        """
        return self if people is None else replace(self, gallery=replace(self.gallery, people=people))


class OnlineSpeakers:
    """Speakers of one live stream; an `OnlineSession`. The networks may be shared.

    `activities` finds local speakers (`sed.speakers.online.LocalSpeakers`), `embedding` what they sound like.

    >>> silent = lambda audio, start: np.zeros((len(audio) // HOP, 3), np.float32)
    >>> OnlineSpeakers(silent, SpeakerEmbedding()).step(np.zeros(16_000, np.float32), 0, 25).names
    ()
    """

    def __init__(
        self, activities: Activities, embedding: SpeakerEmbedding, options: OnlineOptions | None = None
    ) -> None:
        self._activities = activities
        self._embedding = embedding
        self._options = options or OnlineOptions()
        self.window = seconds_to_frames(self._options.window)
        self._chunk = seconds_to_frames(self._options.chunk)
        self._first = seconds_to_frames(self._options.first)
        self._pause = seconds_to_frames(self._options.pause)
        self._tracker = Tracker()
        self._gallery = Gallery(self._options.gallery)
        self._named = 0  # people who have a number

    def step(self, audio: np.ndarray, start: int, final: int) -> LiveTurns:
        """As `OnlineSession.step`."""
        activities = self._activities(audio, start)
        self._tracker.step(activities, start)
        self._listen(audio, activities, start)
        turns = self._turns(final)
        self._settle(final)
        return turns

    def _listen(self, audio: np.ndarray, activities: np.ndarray, start: int) -> None:
        """Cut every track into stretches, embed what is new, and decide whose voice it is."""
        present = activities > PRESENT
        alone = present.sum(1) == 1
        latest: list[tuple[Track, Stretch, np.ndarray]] = []
        for track in self._tracker.tracks:
            if track.column is None:
                continue
            mine = np.flatnonzero(present[:, track.column]) + start
            for stretch, frames in self._cut(track, mine, alone, start):
                latest.append((track, stretch, frames))
        for track, stretch, frames in latest:
            news = self._embed(stretch, frames[alone[frames - start]], audio, start)
            rivals = [
                other.voice
                for another, other, theirs in latest
                if another is not track and theirs[0] < frames[-1] and frames[0] < theirs[-1]
            ]
            place = track.stretches.index(stretch)
            before = track.stretches[place - 1].voice.person if place else None
            clash = any(
                rival.person is stretch.voice.person and rival.seconds >= stretch.voice.seconds
                for rival in rivals
            )
            if news or stretch.voice.person is None or clash:
                self._gallery.place(stretch.voice, rivals, before)
            if stretch.voice.person:
                stretch.voice.person.last = max(stretch.voice.person.last, int(frames[-1]))

    def _cut(
        self, track: Track, mine: np.ndarray, alone: np.ndarray, start: int
    ) -> list[tuple[Stretch, np.ndarray]]:
        """The stretches of a track that may still change, each with its active frames.

        A new one begins after a pause, and when the one before has all the speech that is embedded at once.
        """
        if not track.stretches:
            track.stretches.append(Stretch(max(self._tracker.settled - self._chunk, int(mine[0]))))
        found = []
        for stretch in list(track.stretches[:-1]):
            end = track.stretches[track.stretches.index(stretch) + 1].start
            frames = mine[(mine >= stretch.start) & (mine < end)]
            if len(frames):
                found.append((stretch, frames))
        stretch = track.stretches[-1]
        frames = mine[mine >= stretch.start]
        while len(frames):
            gaps = np.flatnonzero(np.diff(frames) > self._pause)
            cut = int(gaps[0]) + 1 if len(gaps) else len(frames)
            clean = np.flatnonzero(alone[frames[:cut] - start])
            if len(clean) > self._chunk:
                cut = min(cut, int(clean[self._chunk]))
            found.append((stretch, frames[:cut]))
            frames = frames[cut:]
            if len(frames):
                stretch = Stretch(int(frames[0]))
                track.stretches.append(stretch)
        return found

    def _embed(self, stretch: Stretch, clean: np.ndarray, audio: np.ndarray, start: int) -> bool:
        """Embed the clean frames of a stretch if they have doubled, or are complete; whether that was so."""
        voice = stretch.voice
        clean = clean[: self._chunk]
        had = seconds_to_frames(voice.seconds)
        if stretch.full or len(clean) < max(self._first, min(2 * had, self._chunk)):
            return False
        stretch.full = len(clean) == self._chunk
        features = [filter_bank(_audio_of(audio, start, run)) for run in _runs(clean)]
        voice.vector = self._embedding(np.concatenate(features))
        voice.seconds = frames_to_seconds(len(clean))
        return True

    def _settle(self, final: int) -> None:
        """Everything before frame `final` has become final: stretches that end before leave."""
        for track in self._tracker.settle(final):
            for stretch in track.stretches:
                self._gallery.leave(stretch.voice)
        for track in self._tracker.tracks:
            while len(track.stretches) > 1 and track.stretches[1].start <= final:
                gone = track.stretches.pop(0)
                self._gallery.leave(gone.voice)
        self._gallery.merge()

    def _turns(self, final: int) -> LiveTurns:
        activity, settled = self._tracker.activity(), self._tracker.settled
        active: dict[int, np.ndarray] = {}
        people: dict[int, Person] = {}
        for track, scores in zip(self._tracker.tracks, activity.T, strict=True):
            flags = scores > PRESENT
            ends = [stretch.start for stretch in track.stretches[1:]]
            for place, stretch in enumerate(track.stretches):
                low = max(stretch.start - settled, 0) if place else 0
                part = np.zeros(len(flags), bool)
                part[low : ends[place] - settled if place < len(ends) else None] = True
                part &= flags
                if (person := stretch.voice.person) is not None and part.any():
                    people[person.key] = person
                    active[person.key] = active.get(person.key, False) | part
        count = final - self._tracker.settled
        # Names go by the order of first appearance; those without final speech yet have the next free ones.
        unnamed = sorted(
            (key for key, person in people.items() if person.number is None),
            key=lambda key: (int(active[key].argmax()), key),
        )
        names = {key: person.number for key, person in people.items() if person.number is not None}
        for place, key in enumerate(unnamed):
            names[key] = self._named + place
            if active[key][:count].any():
                people[key].number = names[key]
        self._named += sum(people[key].number is not None for key in unnamed)
        keys = tuple(sorted(people))
        frames = len(activity)
        return LiveTurns(
            np.stack([active[key] for key in keys], 1) if keys else np.zeros((frames, 0), bool),
            keys,
            tuple(f"spk{names[key]:02d}" for key in keys),
        )


def _runs(frames: np.ndarray) -> list[np.ndarray]:
    return np.split(frames, np.flatnonzero(np.diff(frames) != 1) + 1)


def _audio_of(audio: np.ndarray, start: int, run: np.ndarray) -> np.ndarray:
    """The samples that the features of the frames `run` hear; silence after the end."""
    first, last = (
        (int(run[0]) - start) * HOP,
        (int(run[-1]) + 1 - start) * HOP + FEATURE_WINDOW - FEATURE_HOP,
    )
    part = audio[first:last]
    return np.pad(part, (0, last - first - len(part)))
