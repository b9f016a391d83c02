"""`SpeakerRegistry`: online clustering of speaker embeddings, revised while evidence accumulates.

In: samples of speech of one speaker each, embedded again as they grow, and the speaker of the previous sample in the
same track, which is likely to continue. Out: a `Speaker` for each sample, the same one whenever the voice returns. The
speaker of a sample may change until the sample is final; a speaker without samples and past evidence is removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sed.errors import OptionError


@dataclass(frozen=True)
class RegistryOptions:
    """When a sample is assigned to a known speaker. Tuned on AMI clips of part train and on conversations simulated
    from `train` speakers (`benchmarks/tuning/online_speakers.py`).

    match_threshold: minimum cosine at which a sample is assigned to a known speaker.
    min_seconds_to_match: samples with less clean speech are assigned to the expected speaker.
    min_seconds_to_create: clean speech from which a sample that matches no speaker creates a new one.
    continuity_bonus: added to the cosine with the expected speaker.
    merge_threshold: two speakers whose embeddings have at least this cosine are merged.
    memory: maximum weight in seconds of the past evidence of a speaker; older evidence fades.
    max_speakers: maximum number of speakers; further voices are assigned to the most similar speaker.
    """

    match_threshold: float = 0.4
    min_seconds_to_match: float = 0.4
    min_seconds_to_create: float = 1.5
    continuity_bonus: float = 0.15
    merge_threshold: float = 0.8
    memory: float = 120.0
    max_speakers: int = 32

    def __post_init__(self) -> None:
        if self.max_speakers < 1:
            raise OptionError(f"max_speakers is {self.max_speakers}: expected 1 or more")


@dataclass(eq=False)
class VoiceSample:
    """Speech of one speaker: its unit embedding `vector` (None until there is enough speech), the `seconds` of clean
    speech that were embedded, and the `speaker` to which it is currently assigned."""

    vector: np.ndarray | None = None
    seconds: float = 0.0
    speaker: Speaker | None = None


@dataclass(eq=False)
class Speaker:
    """A known speaker: `samples` may still change, `past` is the sum of vectors times seconds of the final ones.

    `key` is unique. `number` is assigned once, with the first final speech; `last` is the last active frame.
    """

    key: int
    number: int | None = None
    past: np.ndarray | None = None
    seconds: float = 0.0
    last: int = -1
    samples: list[VoiceSample] = field(default_factory=list)

    def summed_embedding(self, without: VoiceSample | None = None) -> np.ndarray | None:
        """Sum of the weighted vectors of this speaker, excluding one sample; None if there are none."""
        parts = [] if self.past is None else [self.past]
        for sample in self.samples:
            if sample is not without and sample.vector is not None:
                parts.append(sample.vector * sample.seconds)
        return np.sum(parts, axis=0) if parts else None


class SpeakerRegistry:
    """All known speakers.

    >>> registry = SpeakerRegistry()
    >>> a, b = (VoiceSample(np.eye(3)[n], seconds=2) for n in range(2))
    >>> registry.assign(a, []); registry.assign(b, [a])
    >>> a.speaker is b.speaker
    False
    >>> registry.finalise(a); again = VoiceSample(np.array([0.9, 0.1, 0.1]), seconds=1)
    >>> registry.assign(again, [b]); again.speaker is registry.speakers[0]
    True
    """

    def __init__(self, options: RegistryOptions | None = None) -> None:
        self.options = options or RegistryOptions()
        self.speakers: list[Speaker] = []
        self._next_key = 0

    def assign(
        self, sample: VoiceSample, overlapping: Sequence[VoiceSample], expected: Speaker | None = None
    ) -> None:
        """Assign `sample` to a speaker, or revise its speaker.

        `overlapping` are samples of other speakers at the same time; `expected` is the speaker of the previous sample
        in the same track.
        """
        options = self.options
        taken = [other.speaker for other in overlapping]
        free = [speaker for speaker in self.speakers if speaker not in taken]
        if expected not in free:
            expected = None
        if sample.vector is None or sample.seconds < options.min_seconds_to_match:
            if sample.speaker is None or sample.speaker in taken:
                latest = max(free, key=lambda speaker: speaker.last, default=None)
                self._move(sample, expected or latest or self._create())
            return
        scores = {}
        for speaker in free:
            if (embedding := speaker.summed_embedding(without=sample)) is not None:
                bonus = options.continuity_bonus if speaker is expected else 0.0
                scores[speaker] = _cosine(sample.vector, embedding) + bonus
        best = max(scores, key=lambda speaker: scores[speaker], default=None)
        if best and scores[best] >= options.match_threshold:
            self._move(sample, best)
        elif sample.speaker in free and sample.speaker not in scores:
            pass  # the only sample of its speaker, and unlike all others
        elif sample.seconds >= options.min_seconds_to_create or not best:
            self._move(sample, self._create() or best)
        else:
            self._move(sample, best)

    def finalise(self, sample: VoiceSample) -> None:
        """Add the evidence of a final sample to its speaker for good."""
        speaker = sample.speaker
        if speaker is None:
            return
        speaker.samples.remove(sample)
        if sample.vector is not None:
            vector = sample.vector * np.float32(sample.seconds)
            speaker.past = vector if speaker.past is None else speaker.past + vector
            speaker.seconds += sample.seconds
            if speaker.seconds > self.options.memory:
                speaker.past = speaker.past * np.float32(self.options.memory / speaker.seconds)
                speaker.seconds = self.options.memory
        self._remove_unused()

    def merge_similar(self) -> None:
        """Merge speakers whose embeddings have become similar, unless both are currently active."""
        for younger in self.speakers[::-1]:
            if younger.past is None or younger.seconds < self.options.min_seconds_to_create:
                continue
            for older in self.speakers:
                if older is younger:
                    break
                if (
                    older.past is None
                    or older.seconds < self.options.min_seconds_to_create
                    or (older.samples and younger.samples)
                ):
                    continue
                if _cosine(older.past, younger.past) >= self.options.merge_threshold:
                    self._merge(older, younger)
                    break

    def _merge(self, older: Speaker, younger: Speaker) -> None:
        for sample in list(younger.samples):
            self._move(sample, older)
        if younger.past is not None:
            older.past = younger.past if older.past is None else older.past + younger.past
            older.seconds += younger.seconds
        older.last = max(older.last, younger.last)
        if older.number is None:
            older.number = younger.number
        self.speakers.remove(younger)

    def _move(self, sample: VoiceSample, speaker: Speaker | None) -> None:
        if speaker is sample.speaker or speaker is None:
            return
        if sample.speaker:
            sample.speaker.samples.remove(sample)
        sample.speaker = speaker
        speaker.samples.append(sample)
        self._remove_unused()

    def _create(self) -> Speaker | None:
        if len(self.speakers) >= self.options.max_speakers:
            return None
        speaker = Speaker(self._next_key)
        self._next_key += 1
        self.speakers.append(speaker)
        return speaker

    def _remove_unused(self) -> None:
        self.speakers = [one for one in self.speakers if one.samples or one.past is not None]


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other) / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-9)
