"""`SpeakerRegistry`: the speakers of a live stream, found anew whenever there is new evidence.

In: samples of speech of one speaker each, embedded again as they grow, with the speaker of the previous sample in the
same track, which is likely to continue. Out: a `Speaker` for each sample, the same one whenever the speaker returns.

All evidence of the stream, of final samples and of those that may still change, is clustered as offline
(`sed.speakers.agglomeration`). So earlier decisions are revised when more is known: a speaker of two is split, and two
speakers with similar embeddings are merged. Clusters keep the speaker under whose name most of their final speech went
out; a cluster without one becomes a new speaker once it has enough clean speech. Shorter and overlapped speech joins
the most similar speaker. The speaker of a sample may change until the sample is final.

Memory is bounded: the most similar pieces of evidence of one speaker are merged when there are too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sed.errors import OptionError
from sed.speakers.agglomeration import Clusters, Linkage, agglomerate
from sed.speakers.clustering import merges_within_bounds


@dataclass(frozen=True)
class RegistryOptions:
    """How live speech is grouped into speakers. Tuned on the tuning data of `benchmarks.accuracy.live_speakers`.

    threshold: minimum similarity at which two clusters are merged.
    linkage: how similar two clusters are.
    min_evidence_seconds: samples with less clean speech join a speaker, but take no part in the clustering.
    min_seconds_to_match: samples with less clean speech are assigned to the expected speaker.
    min_seconds_to_create: clean speech of a new speaker.
    continuity_bonus: added to the cosine of a sample and the expected speaker.
    merge_patience: seconds for which two speakers must have been one before they are merged for good.
    max_evidence: maximum number of pieces of evidence.
    max_speakers: maximum number of speakers; further voices are assigned to the most similar speaker.
    """

    threshold: float = 0.28
    linkage: Linkage = field(default_factory=lambda: Linkage(0.6, 0.05, 0.05))
    min_evidence_seconds: float = 0.8
    min_seconds_to_match: float = 0.4
    min_seconds_to_create: float = 1.0
    continuity_bonus: float = 0.15
    merge_patience: float = 10.0
    max_evidence: int = 150
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
    """A speaker. `key` is unique. `number` is assigned once, with the first final speech; `last` is the last active
    frame; `centroid` ``(dimension,)`` is the mean direction of the embeddings, None before there is evidence."""

    key: int
    number: int | None = None
    last: int = -1
    centroid: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Candidate:
    """A sample to assign, with the samples of others at the same time, and the speaker of the previous sample in the
    same track, if there is one."""

    sample: VoiceSample
    overlapping: Sequence[VoiceSample] = ()
    expected: Speaker | None = None


@dataclass(eq=False)
class _Evidence:
    """Final speech: `total` is the sum of unit vectors times `seconds`; `speaker` is the one it was reported as."""

    total: np.ndarray
    seconds: float
    speaker: Speaker


class SpeakerRegistry:
    """All known speakers.

    >>> registry = SpeakerRegistry()
    >>> a, b = (VoiceSample(np.eye(3)[n], seconds=2) for n in range(2))
    >>> registry.assign([Candidate(a), Candidate(b, [a])], now=2.0)
    >>> a.speaker is b.speaker
    False
    >>> registry.finalise(a); again = VoiceSample(np.array([0.9, 0.1, 0.1]), seconds=1)
    >>> registry.assign([Candidate(b), Candidate(again)], now=3.0); again.speaker is a.speaker
    True
    """

    def __init__(self, options: RegistryOptions | None = None) -> None:
        self.options = options or RegistryOptions()
        self.speakers: list[Speaker] = []
        self.merged: list[tuple[Speaker, Speaker]] = []  # (speaker, the one that it is from now on)
        self._evidence: list[_Evidence] = []
        self._pending: dict[int, VoiceSample] = {}  # the samples that may still change
        self._since: dict[tuple[Speaker, Speaker], float] = {}  # since when two speakers have been one
        self._next_key = 0

    def assign(self, candidates: Sequence[Candidate], now: float) -> None:
        """Assign every sample that may still change to a speaker; `now` is the time in the stream in seconds."""
        options = self.options
        self._pending.update({id(candidate.sample): candidate.sample for candidate in candidates})
        evidence = [
            sample
            for sample in self._pending.values()
            if sample.vector is not None and sample.seconds >= options.min_evidence_seconds
        ]
        self._find_speakers(candidates, evidence, now)
        for candidate in candidates:
            self._choose(candidate)
        kept = {id(item.speaker) for item in self._evidence} | {
            id(sample.speaker) for sample in self._pending.values()
        }
        self.speakers = [one for one in self.speakers if one.number is not None or id(one) in kept]

    def finalise(self, sample: VoiceSample) -> None:
        """Keep the evidence of a final sample."""
        self._pending.pop(id(sample), None)
        speaker = sample.speaker
        if speaker is None or sample.vector is None or sample.seconds < self.options.min_evidence_seconds:
            return
        self._evidence.append(_Evidence(sample.vector * np.float32(sample.seconds), sample.seconds, speaker))
        if len(self._evidence) > self.options.max_evidence:
            self._merge_evidence()

    def _find_speakers(
        self, candidates: Sequence[Candidate], samples: Sequence[VoiceSample], now: float
    ) -> None:
        """Cluster all evidence, and give every cluster its speaker."""
        if not self._evidence and not samples:
            return
        clusters = self._clusters(candidates, samples)
        options = self.options
        history = agglomerate(clusters, options.linkage)
        merges = merges_within_bounds(
            clusters,
            history,
            history.count_above(options.threshold),
            options.min_seconds_to_create,
            1,
            options.max_speakers,
        )
        labels = history.labels(merges)
        found = clusters.merge(labels)
        reported = np.zeros((len(found), len(self.speakers)))  # seconds of a cluster reported as each speaker
        for item, label in zip(self._evidence, labels, strict=False):
            reported[label, self.speakers.index(item.speaker)] += item.seconds
        owners: dict[int, Speaker] = {}
        for label, column in _largest_first(reported):
            owners[label] = self.speakers[column]
        # A provisional speaker keeps the cluster of its samples, so that it has the same number from step to step.
        for sample, label in zip(samples, labels[len(self._evidence) :].tolist(), strict=True):
            speaker = sample.speaker
            if label not in owners and speaker in self.speakers and speaker not in owners.values():
                owners[label] = speaker
        for label in np.flatnonzero(found.seconds >= options.min_seconds_to_create).tolist():
            if label not in owners and (created := self._create()):
                owners[label] = created
        for speaker in self.speakers:
            speaker.centroid = None
        for label, speaker in owners.items():
            speaker.centroid = found.centroids[label]
        self._merge_speakers(reported, owners, now)

    def _clusters(self, candidates: Sequence[Candidate], samples: Sequence[VoiceSample]) -> Clusters:
        sums = [item.total for item in self._evidence]
        sums += [one.vector * one.seconds for one in samples if one.vector is not None]
        seconds = [item.seconds for item in self._evidence] + [one.seconds for one in samples]
        index = {id(sample): n for n, sample in enumerate(samples, len(self._evidence))}
        overlapping = np.zeros((len(sums), len(sums)), bool)
        for candidate in candidates:
            for other in candidate.overlapping:
                pair = index.get(id(candidate.sample)), index.get(id(other))
                if None not in pair:
                    overlapping[pair], overlapping[pair[::-1]] = True, True
        return Clusters(np.asarray(sums, np.float32), np.asarray(seconds, np.float32), overlapping)

    def _choose(self, candidate: Candidate) -> None:
        """Assign a sample to the most similar speaker that no overlapping sample has."""
        options, sample = self.options, candidate.sample
        taken = [other.speaker for other in candidate.overlapping if other.speaker]
        free = [speaker for speaker in self.speakers if speaker not in taken]
        expected = candidate.expected if candidate.expected in free else None
        known = [speaker for speaker in free if speaker.centroid is not None]
        if sample.vector is not None and sample.seconds >= options.min_seconds_to_match and known:
            scores = [
                float(sample.vector @ speaker.centroid)
                + (options.continuity_bonus if speaker is expected else 0.0)
                for speaker in known
            ]
            sample.speaker = known[int(np.argmax(scores))]
        elif sample.speaker is None or sample.speaker not in free:
            latest = max(free, key=lambda speaker: speaker.last, default=None)
            sample.speaker = expected or latest or self._create()

    def _merge_speakers(self, reported: np.ndarray, owners: dict[int, Speaker], now: float) -> None:
        """Merge a speaker for good whose speech has been in the cluster of another one for long."""
        since: dict[tuple[Speaker, Speaker], float] = {}
        present = set(owners.values())
        for column in np.flatnonzero(reported.any(0)).tolist():
            speaker, label = self.speakers[column], int(reported[:, column].argmax())
            if speaker in present or label not in owners:
                continue
            pair = speaker, owners[label]
            since[pair] = self._since.get(pair, now)
        self._since = since
        for (speaker, other), start in since.items():
            if now - start >= self.options.merge_patience:
                self.merge(speaker, other)
                return  # the rest at the next step, when the clusters are known again

    def merge(self, speaker: Speaker, other: Speaker) -> None:
        """From now on `speaker` is `other`."""
        for item in self._evidence:
            if item.speaker is speaker:
                item.speaker = other
        for sample in self._pending.values():
            if sample.speaker is speaker:
                sample.speaker = other
        self.speakers.remove(speaker)
        if other.number is None:
            other.number = speaker.number
        elif speaker.number is not None:
            self.merged.append((speaker, other))

    def _merge_evidence(self) -> None:
        """Merge the two most similar pieces of evidence of one speaker; the latest if no speaker has two."""
        totals = np.stack([item.total for item in self._evidence])
        unit = totals / np.maximum(np.linalg.norm(totals, axis=1, keepdims=True), 1e-9)
        keys = np.array([item.speaker.key for item in self._evidence])
        similarity = np.where(keys[:, None] == keys[None], unit @ unit.T, -2.0)
        np.fill_diagonal(similarity, -3.0)
        first, second = sorted(divmod(int(similarity.argmax()), len(keys)))
        kept, merged = self._evidence[first], self._evidence.pop(second)
        if similarity[first, second] > -2:
            kept.total, kept.seconds = kept.total + merged.total, kept.seconds + merged.seconds

    def _create(self) -> Speaker | None:
        if len(self.speakers) >= self.options.max_speakers:
            return None
        speaker = Speaker(self._next_key)
        self._next_key += 1
        self.speakers.append(speaker)
        return speaker


def _largest_first(weights: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of a row and a column of `weights`, each used once, the largest weight first; without those of 0.

    >>> _largest_first(np.array([[3, 5], [0, 4]]))
    [(0, 1)]
    """
    weights, found = weights.copy(), []
    while weights.size and weights.max() > 0:
        row, column = divmod(int(weights.argmax()), weights.shape[1])
        found.append((row, column))
        weights[row], weights[:, column] = 0, 0
    return found
