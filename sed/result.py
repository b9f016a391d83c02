"""The results: `Segment` (one speaker, one emotion, one interval) and `Diarization` (one recording).

Times are seconds from the start of the recording. Both are immutable and compare by value. The order of the
labels is the tagger's; for the bundled one it is ``neutral happy angry sad``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sed.errors import FormatError
from sed.grid import FRAME_RATE

if TYPE_CHECKING:
    from pandas import DataFrame
    from pyannote.core import Annotation


DIMENSIONS = ("arousal", "valence", "dominance")
"""The dimensions that ``sed-train`` can learn; other taggers may have others."""


@dataclass(frozen=True, slots=True)
class Segment:
    """An interval in which one speaker expresses one emotion.

    `start` and `end` are seconds (``0 <= start < end``). `speaker` or `emotion` is None if the source does not
    state it (a plain RTTM has no emotions, ZED no speakers). `probabilities` maps every label to its mean
    posterior, 0 to 1, with a sum of 1 unless the tagger's labels are independent; empty if unknown.
    `confidence` is that of `emotion`, or None. The mean is unweighted over every frame that the segment
    touches, to 4 decimals (an incomplete last frame of the recording counts), except frames in which other
    speakers are active: their posteriors are those of the mixture, and they count only as far as the decoder
    counts them (`DecoderOptions.overlap_weight`, by default not at all). A segment without any frame that
    counts has its emotion and its probabilities from the same speaker's speech before (or else after) it.

    In a live stream, and with a latency, `emotion` is the most probable label. Without a latency it is the
    decoder's for the speaker's whole speech: a short turn between others may keep their emotion although
    another label is more probable in it, as long as the evidence is worth less than the decoder's price of a
    change (`switch_cost`).

    `dimensions` maps the names of dimensions, such as arousal, to their mean over the same frames, from 0 to 1; empty
    unless the tagger estimates them.

    Segments are ordered by start, end, speaker, emotion. `segment & other` is the part inside another segment,
    ``time in segment`` and ``other in segment`` whether it contains a time (in seconds; the end is not part of it)
    or a whole segment.

    Raises `FormatError` on times that are not finite, negative, or not in order.

    >>> angry = Segment(1.0, 2.5, "spk00", "angry", 0.8)
    >>> angry.duration, 1.0 in angry, 2.5 in angry, Segment(1.5, 2.0) in angry
    (1.5, True, False, True)
    """

    start: float
    end: float
    speaker: str | None = None
    emotion: str | None = None
    confidence: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict, compare=False, repr=False)
    dimensions: Mapping[str, float] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and 0 <= self.start < self.end):
            raise FormatError(
                f"segment from {self.start} to {self.end} s: expected finite times with 0 <= start < end"
            )

    @property
    def duration(self) -> float:
        """Seconds from start to end."""
        return self.end - self.start

    def overlaps(self, other: Segment) -> bool:
        """Whether both share some time; segments that only touch do not.

        >>> Segment(0, 2).overlaps(Segment(1, 3)), Segment(0, 2).overlaps(Segment(2, 3))
        (True, False)
        """
        return max(self.start, other.start) < min(self.end, other.end)

    def __and__(self, other: Segment) -> Segment | None:
        """The part of this segment inside `other`, with everything else as in this one; None if there is none.

        Its probabilities stay the means over the whole segment, since the frames are not known here.

        >>> Segment(0, 2, "a", "sad") & Segment(1, 3, "b")
        Segment(start=1, end=2, speaker='a', emotion='sad', confidence=None)
        """
        if not isinstance(other, Segment):
            return NotImplemented
        if not self.overlaps(other):
            return None
        return replace(self, start=max(self.start, other.start), end=min(self.end, other.end))

    def __contains__(self, part: float | Segment) -> bool:
        if isinstance(part, Segment):
            return self.start <= part.start and part.end <= self.end
        return self.start <= part < self.end

    @property
    def _key(self) -> tuple[float, float, str, str]:
        return (self.start, self.end, self.speaker or "", self.emotion or "")

    def __lt__(self, other: Segment) -> bool:
        return self._key < other._key

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; unknown values are left out."""
        row: dict[str, Any] = {"start": self.start, "end": self.end}
        for name in ("speaker", "emotion", "confidence"):
            if (value := getattr(self, name)) is not None:
                row[name] = value
        if self.probabilities:
            row["probabilities"] = dict(self.probabilities)
        if self.dimensions:
            row["dimensions"] = dict(self.dimensions)
        return row


@dataclass(frozen=True, eq=False)
class SpeakerProfile:
    """How a speaker sounds: the unit embedding `vector` ``(dimension,)`` float32 of `seconds` of clean speech.

    The vector is the mean of the embeddings of the speaker's speech, projected (`sed.speakers.projection`), weighted by
    their seconds and scaled to length 1. Only profiles of the same embedding network can be compared.

    >>> one, other = (SpeakerProfile.from_sum(np.array(v), 2.0) for v in ([3.0, 0.0], [1.0, 1.0]))
    >>> round(one.similarity(other), 3)
    0.707
    >>> SpeakerProfile.merged([one, other]).seconds
    4.0
    """

    vector: np.ndarray
    seconds: float

    @classmethod
    def from_sum(cls, total: np.ndarray, seconds: float) -> SpeakerProfile:
        """From the sum `total` ``(dimension,)`` of embeddings times their seconds."""
        return cls((total / max(float(np.linalg.norm(total)), 1e-9)).astype(np.float32), float(seconds))

    @classmethod
    def merged(cls, profiles: Sequence[SpeakerProfile]) -> SpeakerProfile:
        """One profile of several of one speaker, weighted by their seconds."""
        total = np.sum([p.vector * np.float64(p.seconds) for p in profiles], axis=0)
        return cls.from_sum(total, sum(p.seconds for p in profiles))

    def similarity(self, other: SpeakerProfile) -> float:
        """The cosine of the two vectors, -1 to 1."""
        return float(self.vector @ other.vector)


@dataclass(frozen=True, eq=False)
class Diarization:
    """Speakers and emotions over time in one recording. Time without speech has no segment.

    `uri` names the recording (a file's stem); `duration` is its length in seconds; `segments` are sorted, and
    those of different speakers may overlap. `labels` are the emotions of the tagger. `posteriors` is
    ``(frames, labels)`` float32, rows sum to 1, at `frame_rate` frames per second over the whole recording
    (silence included), or None for an annotation that was read from a file. Iterating gives the segments.

    `settings` has the prior or the sensitivity of `EmotionDiarizer` that the probabilities are for, if one was given,
    and the names of enrolled speakers.
    `dimensions` are the names of the dimensions that the tagger estimates, such as arousal (mostly none), and
    `dimension_track` ``(frames, dimensions)`` float32, from 0 to 1, is to them what `posteriors` is to the labels.
    `profiles` has the `SpeakerProfile` of each speaker by name; it lacks speakers without clean speech, and is None if
    the diarizer computes none. Profiles take no part in comparisons of results.

    Raises `FormatError` on a duration that is negative or not finite.

    >>> d = Diarization("call", 4.0, [Segment(2, 3, "b", "sad"), Segment(0, 2.5, "a", "happy")])
    >>> [s.speaker for s in d], d.speaker_names
    (['a', 'b'], ('a', 'b'))
    >>> print(d.emotions)
    [ 00:00:00.000 -->  00:00:02.500] a happy
    [ 00:00:02.000 -->  00:00:03.000] b sad
    """

    uri: str
    duration: float
    segments: Sequence[Segment]
    labels: tuple[str, ...] = ()
    posteriors: np.ndarray | None = field(default=None, repr=False)
    frame_rate: int = FRAME_RATE
    settings: Mapping[str, Any] = field(default_factory=dict)
    dimensions: tuple[str, ...] = ()
    dimension_track: np.ndarray | None = field(default=None, repr=False)
    profiles: Mapping[str, SpeakerProfile] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(sorted(self.segments)))
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "dimensions", tuple(self.dimensions))
        if not (math.isfinite(self.duration) and self.duration >= 0):
            raise FormatError(
                f"{self.uri}: found a duration of {self.duration} s, expected 0 or more seconds"
            )

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    def __len__(self) -> int:
        return len(self.segments)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Diarization):
            return NotImplemented
        same = all(
            getattr(self, name) == getattr(other, name)
            for name in ("uri", "duration", "segments", "labels", "settings", "dimensions")
        )
        return same and all(
            mine is theirs or (mine is not None and theirs is not None and np.array_equal(mine, theirs))
            for mine, theirs in (
                (self.posteriors, other.posteriors),
                (self.dimension_track, other.dimension_track),
            )
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def speaker_names(self) -> tuple[str, ...]:
        """Distinct speakers, sorted."""
        return tuple(sorted({s.speaker for s in self.segments if s.speaker is not None}))

    @cached_property
    def speakers(self) -> Annotation:
        """A `pyannote.core.Annotation` with speakers as labels; adjacent segments of one speaker are merged."""
        return self._annotation(lambda s: s.speaker).support()

    @cached_property
    def emotions(self) -> Annotation:
        """A `pyannote.core.Annotation` with emotions as labels and speakers as tracks."""
        return self._annotation(lambda s: s.emotion)

    def _annotation(self, label_of: Any) -> Annotation:
        from pyannote.core import Annotation
        from pyannote.core import Segment as Interval

        annotation = Annotation(uri=self.uri)
        for number, segment in enumerate(self.segments):
            if (label := label_of(segment)) is None:
                continue
            interval = Interval(segment.start, segment.end)
            track: Any = segment.speaker if segment.speaker is not None else number
            if annotation.has_track(
                interval, track
            ):  # one speaker with two emotions at once, as in some references
                track = f"{track}/{number}"
            annotation[interval, track] = label
        return annotation

    def to_frame(self, index: str | None = None) -> DataFrame:
        """A pandas DataFrame with one row per segment.

        Columns: `recording`, `start`, `end`, `duration` (seconds), `speaker`, `emotion`, `confidence`, ``p_<label>``
        with the mean posterior of each label and ``d_<name>`` with that of each dimension. Unknown values are missing.
        With ``index="audformat"`` the index is audformat's segmented one (levels `file`, `start`, `end`, times as
        time deltas) instead of these columns; `file` is the name of the recording.

        Raises `OptionError` for another `index`, and `MissingDependencyError` without pandas.

        >>> frame = Diarization("call", 4.0, [Segment(0, 2.5, "a", "happy"), Segment(2, 3, "b", "sad")]).to_frame()
        >>> frame.groupby("speaker")["duration"].sum().to_dict()
        {'a': 2.5, 'b': 1.0}
        """
        from sed.dataframe import segment_frame

        return segment_frame(self.uri, self.segments, self.labels, self.dimensions, index)

    def _repr_html_(self) -> str:
        """A timeline and a table for notebooks."""
        from sed.markup import result_html

        return result_html(self.uri, self.duration, [s.to_dict() for s in self.segments])

    @classmethod
    def from_dicts(
        cls, uri: str, duration: float, rows: Iterable[Mapping[str, Any]], labels: Sequence[str] = ()
    ) -> Diarization:
        """The inverse of `Segment.to_dict` for each of `rows`."""
        names = ("start", "end", "speaker", "emotion", "confidence", "probabilities", "dimensions")
        segments = [Segment(**{k: row[k] for k in names if row.get(k) is not None}) for row in rows]
        return cls(uri, duration, segments, tuple(labels))
