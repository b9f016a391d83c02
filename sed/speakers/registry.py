"""`SpeakerRegistry`: the speakers of a live stream, found anew whenever there is new evidence.

In: samples of speech of one speaker each, embedded again as they grow, with the speaker of the previous sample in the
same track, which is likely to continue. Out: a `Speaker` for each sample, the same one whenever the speaker returns.

All evidence of the stream, of final samples and of those that may still change, is clustered as offline
(`sed.speakers.agglomeration`). So earlier decisions are revised when more is known: a speaker of two is split, and two
speakers with similar embeddings are merged. Clusters keep the speaker under whose name most of their final speech went
out. A cluster without one becomes a new speaker once it has enough clean speech: the more, the more it resembles a
known speaker, since a little emotional speech of a known speaker is easily taken for that of a new one. Until then, and
if it is short or overlapped, speech joins the most similar speaker. The speaker of a sample may change until the sample
is final.

Enrolled speakers are an open set, as offline (`sed.speakers.matching`): a cluster whose cosine with a profile reaches
the threshold is that speaker's, all others are unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sed.errors import OptionError
from sed.result import SpeakerProfile
from sed.speakers.agglomeration import Clusters, Linkage, agglomerate
from sed.speakers.clustering import merge_threshold
from sed.speakers.evidence import Candidate, Evidence, Speaker, VoiceSample
from sed.speakers.matching import best_match
from sed.speakers.shared_windows import together_share


@dataclass(frozen=True)
class RegistryOptions:
    """How live speech is grouped into speakers. Tuned on the tuning data of `benchmarks.accuracy.live_speakers`.

    threshold, mean_share: minimum similarity at which two clusters are merged, as in `ClusteringOptions`.
    linkage: how similar two clusters are.
    min_evidence_seconds: samples with less clean speech join a speaker, but take no part in the clustering.
    min_seconds_to_match: samples with less clean speech are assigned to the expected speaker.
    min_seconds_to_create: clean speech of a new speaker.
    dissimilar: cosine with the most similar known speaker up to which that is enough.
    seconds_per_cosine: clean speech that a new speaker needs in addition for each unit of cosine beyond.
    continuity_bonus: added to the cosine of a sample and the expected speaker.
    window_bonus: added to the cosine of a sample and a speaker, as in `ClusteringOptions`, and to that of a new and a
        known speaker.
    window_penalty: subtracted from that of a new and a known speaker, times the share of windows in which they are
        different local speakers.
    min_cosine_to_interleave: cosine from which a sample may have the speaker of another track's sample in between.
    merge_patience: seconds for which two speakers must have been one before they are merged for good.
    max_evidence: maximum number of pieces of evidence.
    max_speakers: maximum number of speakers; further voices are assigned to the most similar speaker.
    """

    threshold: float = 0.21
    mean_share: float = 0.35
    linkage: Linkage = field(default_factory=lambda: Linkage(0.6, 0.11, 0.03, window_bonus=0.22))
    min_evidence_seconds: float = 0.6
    min_seconds_to_match: float = 0.4
    min_seconds_to_create: float = 0.6
    dissimilar: float = 0.1
    seconds_per_cosine: float = 10.0
    continuity_bonus: float = 0.15
    window_bonus: float = 0.3
    window_penalty: float = 0.3
    min_cosine_to_interleave: float = 0.4
    merge_patience: float = 10.0
    max_evidence: int = 150
    max_speakers: int = 32

    def __post_init__(self) -> None:
        if self.max_speakers < 1:
            raise OptionError(f"max_speakers is {self.max_speakers}: expected 1 or more")


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

    def __init__(
        self, options: RegistryOptions | None = None, enrolled: Mapping[str, SpeakerProfile] | None = None
    ) -> None:
        self.options = options or RegistryOptions()
        self._profiles = dict(enrolled or {})
        self._enrolled = {
            name: Speaker(key, enrolled_name=name, profile=profile)
            for key, (name, profile) in enumerate(self._profiles.items())
        }
        self.speakers: list[Speaker] = []  # those with speech
        self.merged: list[tuple[Speaker, Speaker]] = []  # (speaker, the one that it is from now on)
        self.evidence = Evidence(self.options.max_evidence)
        self._pending: dict[int, VoiceSample] = {}  # the samples that may still change
        self._since: dict[tuple[Speaker, Speaker], float] = {}  # since when two speakers have been one
        self._next_key = len(self._enrolled)

    def assign(self, candidates: Sequence[Candidate], now: float) -> None:
        """Assign every sample that may still change to a speaker; `now` is the time in the stream in seconds."""
        self._pending.update({id(candidate.sample): candidate.sample for candidate in candidates})
        samples = [
            sample
            for sample in self._pending.values()
            if sample.vector is not None and sample.seconds >= self.options.min_evidence_seconds
        ]
        if samples or self.evidence.pieces:
            self._find_speakers(candidates, samples, now)
        for candidate in candidates:
            self._choose(candidate)
        kept = self.evidence.speakers | {sample.speaker for sample in self._pending.values()}
        self.speakers = [one for one in self.speakers if one.number is not None or one in kept]

    def finalise(self, sample: VoiceSample) -> None:
        """Keep the evidence of a final sample."""
        self._pending.pop(id(sample), None)
        if sample.seconds >= self.options.min_evidence_seconds:
            self.evidence.add(sample)

    def _find_speakers(
        self, candidates: Sequence[Candidate], samples: Sequence[VoiceSample], now: float
    ) -> None:
        """Cluster all evidence, and give every cluster its speaker."""
        options = self.options
        clusters = self.evidence.clusters(samples, candidates)
        history = agglomerate(clusters, options.linkage)
        means = clusters.sums / np.maximum(clusters.seconds[:, None], 1e-9)
        threshold = merge_threshold(means, clusters.seconds, options.threshold, options.mean_share)
        labels = history.labels(history.count_above(threshold))  # the maximum is enforced by `_create`
        found = clusters.merge(labels)
        owners = self._match_enrolled(found)
        reported = self.evidence.reported(labels, len(found), self.speakers)
        self._keep_owners(owners, reported)
        provisional = zip(samples, labels[self.evidence.pieces :].tolist(), strict=True)
        self._create_owners(owners, found, list(provisional))
        for speaker in self.speakers:
            own = [label for label, owner in owners.items() if owner is speaker]
            total = found.sums[own].sum(0)
            speaker.centroid = total / max(float(np.linalg.norm(total)), 1e-9) if own else None
        self._merge_speakers(reported, owners, now)

    def _match_enrolled(self, found: Clusters) -> dict[int, Speaker]:
        """The enrolled speaker of each cluster that matches one; of two that overlap, only the more similar one."""
        matches = []
        for label, centroid in enumerate(found.centroids if self._enrolled else ()):
            profile = SpeakerProfile(centroid, float(found.seconds[label]))
            if match := best_match(profile, self._profiles):
                matches.append((match[1], label, self._enrolled[match[0]]))
        owners: dict[int, Speaker] = {}
        for _, label, speaker in sorted(matches, key=lambda match: -match[0]):
            if not any(one is speaker and found.overlapping[label, other] for other, one in owners.items()):
                owners[label] = speaker
                if speaker not in self.speakers:
                    self.speakers.append(speaker)
        return owners

    def _keep_owners(self, owners: dict[int, Speaker], reported: np.ndarray) -> None:
        """Give the other clusters to the unknown speakers as whom most of their final speech was reported."""
        weights = reported.copy()
        weights[list(owners)] = 0
        weights[:, [speaker.profile is not None for speaker in self.speakers]] = 0
        owners.update({label: self.speakers[column] for label, column in _largest_first(weights)})

    def _create_owners(
        self, owners: dict[int, Speaker], found: Clusters, provisional: Sequence[tuple[VoiceSample, int]]
    ) -> None:
        """Give clusters of new speakers an owner; `provisional` are the samples of the clusters that may change."""
        needed = self._seconds_to_create(found, [n for n, owner in owners.items() if owner.reported])
        large = found.seconds >= needed
        # A provisional speaker keeps the cluster of its samples, so that it has the same number from step to step.
        for sample, label in provisional:
            speaker = sample.speaker
            if label in owners or speaker not in self.speakers or speaker in owners.values():
                continue
            if speaker.number is not None or (large[label] and speaker.profile is None):
                owners[label] = speaker
        for label in np.flatnonzero(large).tolist():
            if label not in owners and (created := self._create()):
                owners[label] = created

    def _seconds_to_create(self, found: Clusters, known: Sequence[int]) -> np.ndarray:
        """Clean speech that each cluster needs to be a new speaker; `known` are the clusters of known speakers."""
        options, centroids = self.options, found.centroids
        needed = np.full(len(found), options.min_seconds_to_create)
        if known:
            cosines = centroids @ centroids[known].T
            if found.windows is not None:
                windows = found.windows[:, :, known]
                cosines += options.window_bonus * together_share(windows)
                cosines -= options.window_penalty * together_share(windows[::-1])
            needed += options.seconds_per_cosine * np.maximum(cosines.max(1) - options.dissimilar, 0)
        return needed

    def _choose(self, candidate: Candidate) -> None:
        """Assign a sample to the most similar speaker that no overlapping sample has.

        One that an interleaved sample has must be similar for certain: the network takes one speaker for two where the
        voice changes, but more often there are two.
        """
        options, sample = self.options, candidate.sample
        taken = {other.speaker for other in candidate.overlapping}
        doubtful = {other.speaker for other in candidate.interleaved}
        free = [speaker for speaker in self.speakers if speaker not in taken]
        if sample.vector is not None and sample.seconds >= options.min_seconds_to_match:
            cosines = {one: float(sample.vector @ one.centroid) for one in free if one.centroid is not None}
            cosines = {
                one: cosine
                for one, cosine in cosines.items()
                if one not in doubtful or cosine >= options.min_cosine_to_interleave
            }
            if cosines:
                if candidate.expected in cosines:
                    cosines[candidate.expected] += options.continuity_bonus
                for one, windows in self._windows_by_speaker(sample).items():
                    if one in cosines:
                        cosines[one] += options.window_bonus * float(together_share(windows))
                sample.speaker = max(cosines, key=lambda speaker: cosines[speaker])
                return
        free = [speaker for speaker in free if speaker not in doubtful]
        if candidate.expected in free:  # also if it has changed since the last step
            sample.speaker = candidate.expected
        elif sample.speaker is None or sample.speaker not in free:
            latest = max(
                free, key=lambda speaker: (speaker not in candidate.elsewhere, speaker.last), default=None
            )
            sample.speaker = latest or self._create()

    def _windows_by_speaker(self, sample: VoiceSample) -> dict[Speaker, np.ndarray]:
        """The windows ``(2,)`` that `sample` shares with the samples of each speaker."""
        found: dict[Speaker, np.ndarray] = {}
        for other, sighting in sample.near.items():
            if other.speaker is not None:
                found[other.speaker] = found.get(other.speaker, 0.0) + sighting.windows
        return found

    def _merge_speakers(self, reported: np.ndarray, owners: dict[int, Speaker], now: float) -> None:
        """Merge an unknown speaker for good whose speech has been in the cluster of another one for long."""
        since: dict[tuple[Speaker, Speaker], float] = {}
        present = set(owners.values())
        for column in np.flatnonzero(reported.any(0)).tolist():
            speaker, label = self.speakers[column], int(reported[:, column].argmax())
            if speaker in present or speaker.profile is not None or label not in owners:
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
        self.evidence.rename(speaker, other)
        for sample in self._pending.values():
            if sample.speaker is speaker:
                sample.speaker = other
        self.speakers.remove(speaker)
        if not other.reported:
            other.number = speaker.number
        elif speaker.number is not None:
            self.merged.append((speaker, other))

    def _create(self) -> Speaker | None:
        if sum(speaker.profile is None for speaker in self.speakers) >= self.options.max_speakers:
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
