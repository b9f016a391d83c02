"""What the registry of a live stream works on: samples of speech, speakers, and the evidence of final speech.

Memory is bounded: the most similar pieces of evidence of one speaker are merged when there are too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sed.result import SpeakerProfile
from sed.speakers.agglomeration import Clusters


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
    frame; `centroid` ``(dimension,)`` is the mean direction of the embeddings, None before there is evidence. Enrolled
    speakers have an `enrolled_name` and a `profile` instead of a number."""

    key: int
    number: int | None = None
    last: int = -1
    centroid: np.ndarray | None = None
    enrolled_name: str | None = None
    profile: SpeakerProfile | None = None

    @property
    def reported(self) -> bool:
        """Whether final speech may have gone out under this speaker's name."""
        return self.number is not None or self.enrolled_name is not None


@dataclass(frozen=True, eq=False)
class Candidate:
    """A sample to assign, and the speaker of the previous sample in the same track, if there is one.

    `overlapping` are the samples of other tracks that overlap with it for long, so that they have other speakers for
    certain; `interleaved` those that start before its end and end after its start, so that they probably have.
    `elsewhere` are the speakers of the other tracks that are visible now.
    """

    sample: VoiceSample
    overlapping: Sequence[VoiceSample] = ()
    expected: Speaker | None = None
    elsewhere: Sequence[Speaker] = ()
    interleaved: Sequence[VoiceSample] = ()


@dataclass(eq=False)
class _Piece:
    """Final speech: `total` is the sum of unit vectors times `seconds`; `speaker` is the one it was reported as."""

    total: np.ndarray
    seconds: float
    speaker: Speaker


class Evidence:
    """The embeddings of all final speech, in at most `max_pieces` pieces.

    >>> evidence, ann = Evidence(2), Speaker(0)
    >>> for vector in np.eye(3): evidence.add(VoiceSample(vector, 1.5, ann))
    >>> evidence.pieces, evidence.reported(np.array([0, 1]), 2, [ann]).tolist()
    (2, [[3.0], [1.5]])
    """

    def __init__(self, max_pieces: int) -> None:
        self._max_pieces = max_pieces
        self._pieces: list[_Piece] = []

    @property
    def pieces(self) -> int:
        """Number of pieces."""
        return len(self._pieces)

    @property
    def seconds(self) -> float:
        """Seconds of speech of all pieces."""
        return sum(piece.seconds for piece in self._pieces)

    @property
    def speakers(self) -> set[Speaker]:
        """The speakers that have evidence."""
        return {piece.speaker for piece in self._pieces}

    def add(self, sample: VoiceSample) -> None:
        """Keep an embedded `sample` that is final and has a speaker."""
        if sample.vector is None or sample.speaker is None:
            return
        self._pieces.append(
            _Piece(sample.vector * np.float32(sample.seconds), sample.seconds, sample.speaker)
        )
        if len(self._pieces) > self._max_pieces:
            self._merge_pieces()

    def rename(self, speaker: Speaker, other: Speaker) -> None:
        """The evidence of `speaker` is that of `other` from now on."""
        for piece in self._pieces:
            if piece.speaker is speaker:
                piece.speaker = other

    def clusters(self, samples: Sequence[VoiceSample], candidates: Sequence[Candidate]) -> Clusters:
        """One cluster for each piece, then one for each of the embedded `samples`, whose overlaps `candidates` have."""
        sums = [piece.total for piece in self._pieces]
        sums += [one.vector * one.seconds for one in samples if one.vector is not None]
        seconds = [piece.seconds for piece in self._pieces] + [one.seconds for one in samples]
        index = {id(sample): n for n, sample in enumerate(samples, len(self._pieces))}
        overlapping = np.zeros((len(sums), len(sums)), bool)
        for candidate in candidates:
            for other in candidate.overlapping:
                pair = index.get(id(candidate.sample)), index.get(id(other))
                if None not in pair:
                    overlapping[pair], overlapping[pair[::-1]] = True, True
        return Clusters(np.asarray(sums, np.float32), np.asarray(seconds, np.float32), overlapping)

    def reported(self, labels: np.ndarray, clusters: int, speakers: Sequence[Speaker]) -> np.ndarray:
        """Seconds of final speech ``(clusters, speakers)`` in each cluster that were reported as each of `speakers`;
        `labels` has the cluster of each piece, and may be longer."""
        found = np.zeros((clusters, len(speakers)))
        columns = {speaker: column for column, speaker in enumerate(speakers)}
        for piece, label in zip(self._pieces, labels, strict=False):
            found[label, columns[piece.speaker]] += piece.seconds
        return found

    def _merge_pieces(self) -> None:
        """Merge the two most similar pieces of one speaker; drop the latest if no speaker has two."""
        totals = np.stack([piece.total for piece in self._pieces])
        unit = totals / np.maximum(np.linalg.norm(totals, axis=1, keepdims=True), 1e-9)
        keys = np.array([piece.speaker.key for piece in self._pieces])
        similarity = np.where(keys[:, None] == keys[None], unit @ unit.T, -2.0)
        np.fill_diagonal(similarity, -3.0)
        first, second = sorted(divmod(int(similarity.argmax()), len(keys)))
        kept, merged = self._pieces[first], self._pieces.pop(second)
        if similarity[first, second] > -2:
            kept.total, kept.seconds = kept.total + merged.total, kept.seconds + merged.seconds
