"""What the registry of a live stream works on: samples of speech, speakers, and the evidence of final speech.

Memory is bounded: the most similar pieces of evidence of one speaker are merged when there are too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sed.grid import seconds_to_frames
from sed.result import SpeakerProfile
from sed.speakers.agglomeration import Clusters

_HOP = seconds_to_frames(5.0)  # offline there is a window every 5 s,
_MAX_WINDOWS = 2.0  # so that two windows see most pairs of neighbours


@dataclass(eq=False)
class Sighting:
    """How the windows of a stream see two samples; `first` and `last` are the ends of the first window and the last."""

    first: int
    last: int = 0
    steps: int = 0
    sums: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def add(self, numbers: np.ndarray, end: int) -> None:
        """Add the window that ends at frame `end`: the weights ``(2,)`` of one local speaker, and of two."""
        self.sums, self.steps, self.last = self.sums + numbers, self.steps + 1, end

    @property
    def windows(self) -> np.ndarray:
        """The numbers of windows, as offline, in which the two are the same local speaker, and different ones.

        >>> sighting = Sighting(500)
        >>> for end in (500, 525, 550): sighting.add(np.array([0.5, 0.25]), end)
        >>> sighting.windows.round(2).tolist()
        [0.6, 0.3]
        """
        return self.sums / self.steps * min(1 + (self.last - self.first) / _HOP, _MAX_WINDOWS)


@dataclass(eq=False)
class VoiceSample:
    """Speech of one speaker: its unit embedding `vector` (None until there is enough speech), the `seconds` of clean
    speech that were embedded, and the `speaker` to which it is currently assigned; `near` are the samples in one window
    with it, `piece` what it has become part of as evidence."""

    vector: np.ndarray | None = None
    seconds: float = 0.0
    speaker: Speaker | None = None
    near: dict[VoiceSample, Sighting] = field(default_factory=dict, repr=False)
    piece: _Piece | None = field(default=None, repr=False)


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
    """Final speech: `total` is the sum of unit vectors times `seconds`; `speaker` is the one it was reported as;
    `merged` is the piece that this one is part of now."""

    total: np.ndarray
    seconds: float
    speaker: Speaker
    merged: _Piece | None = None


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
        self._windows = np.zeros((2, 0, 0), np.float32)  # that pieces share, as in `Clusters`

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
        sample.piece = _Piece(sample.vector * np.float32(sample.seconds), sample.seconds, sample.speaker)
        row = self._shared(sample)
        self._windows = np.pad(self._windows, ((0, 0), (0, 1), (0, 1)))
        self._windows[:, -1, :-1] = self._windows[:, :-1, -1] = row
        self._pieces.append(sample.piece)
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
        windows = self._all_windows(samples, index)
        return Clusters(np.asarray(sums, np.float32), np.asarray(seconds, np.float32), overlapping, windows)

    def _shared(self, sample: VoiceSample) -> np.ndarray:
        """The windows that `sample` shares with each piece ``(2, pieces)``."""
        found = np.zeros((2, len(self._pieces)), np.float32)
        columns = {id(piece): column for column, piece in enumerate(self._pieces)}
        for other, sighting in sample.near.items():
            piece = other.piece
            while piece is not None and piece.merged is not None:
                piece = piece.merged
            if (column := columns.get(id(piece))) is not None:
                found[:, column] += sighting.windows
        return found

    def _all_windows(self, samples: Sequence[VoiceSample], index: dict[int, int]) -> np.ndarray:
        """The windows that the pieces and `samples` share, ``(2, n, n)``; `index` has the number of each sample."""
        pieces, n = len(self._pieces), len(self._pieces) + len(samples)
        found = np.zeros((2, n, n), np.float32)
        found[:, :pieces, :pieces] = self._windows
        for number, sample in enumerate(samples, pieces):
            found[:, number, :pieces] = found[:, :pieces, number] = self._shared(sample)
            for other, sighting in sample.near.items():
                if (column := index.get(id(other))) is not None:
                    found[:, number, column] = sighting.windows
        return found

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
        rest = np.delete(np.arange(len(keys)), second)
        if similarity[first, second] > -2:
            kept.total, kept.seconds = kept.total + merged.total, kept.seconds + merged.seconds
            merged.merged = kept
            self._windows[:, first] += self._windows[:, second]
            self._windows[:, :, first] += self._windows[:, :, second]
            self._windows[:, first, first] = 0
        self._windows = self._windows[:, rest][:, :, rest]
