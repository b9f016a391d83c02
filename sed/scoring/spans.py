"""`Spans`: the segments of one side as columns, shared by the metrics of one recording."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from operator import attrgetter

import numpy as np

from sed.errors import OptionError
from sed.result import Diarization, Segment
from sed.scoring.intervals import EPSILON, Region, Track, support

OVERSHOOT = 0.1  # seconds by which a hypothesis may exceed its recording without a warning
logger = logging.getLogger("sed.scoring")


@dataclass(frozen=True, eq=False)
class Spans:
    """Segments as columns: `bounds` ``(n, 2)`` in seconds, and the speaker and emotion of each (None: unknown).

    `duration` is the recording's, in seconds, or None if only segments are given.
    """

    bounds: np.ndarray
    speakers: Sequence[str | None]
    emotions: Sequence[str | None]
    duration: float | None = None
    uri: str = "the recording"
    _cache: dict[Hashable, dict] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, annotated: Annotated) -> Spans:
        """The columns of a `Diarization` or of segments; `Spans` are returned unchanged."""
        if isinstance(annotated, Spans):
            return annotated
        known = isinstance(annotated, Diarization)
        segments = annotated.segments if isinstance(annotated, Diarization) else list(annotated)
        columns = [np.fromiter(map(attrgetter(name), segments), np.float64) for name in ("start", "end")]
        return cls(
            np.stack(columns, 1),
            list(map(attrgetter("speaker"), segments)),
            list(map(attrgetter("emotion"), segments)),
            annotated.duration if known and isinstance(annotated, Diarization) else None,
            annotated.uri if isinstance(annotated, Diarization) else "the recording",
        )

    @property
    def end(self) -> float:
        """The end of the last segment in seconds; 0 if there is none."""
        return float(self.bounds[:, 1].max()) if len(self.bounds) else 0.0

    def inside(self, region: Track) -> Spans:
        """The segments that overlap `region`, not cut."""
        if len(region) == 1:
            kept = (self.bounds[:, 0] < region[0, 1]) & (self.bounds[:, 1] > region[0, 0])
        else:  # compare with the first region that ends after the start of the segment
            number = np.searchsorted(region[:, 1], self.bounds[:, 0], side="right")
            starts = np.append(region[:, 0], np.inf)[number]
            kept = starts < self.bounds[:, 1]
        if kept.all():
            return self
        speakers, emotions = (list(compress(names, kept)) for names in (self.speakers, self.emotions))
        return replace(self, bounds=self.bounds[kept], speakers=speakers, emotions=emotions, _cache={})

    def emotion_names(self, labels: Mapping[str, str] | None) -> Sequence[str | None]:
        """The emotions, renamed by `labels`."""
        return [labels.get(e, e) if e else e for e in self.emotions] if labels else self.emotions

    def by_emotion(self, labels: Mapping[str, str] | None = None) -> dict[str, Track]:
        """A track for each emotion, over all speakers."""
        return self._tracks(("emotion", *sorted((labels or {}).items())), self.emotion_names(labels))

    def by_speaker(self, closing: float = EPSILON) -> dict[str, Track]:
        """A track for each speaker; with a negative `closing`, adjacent segments are not merged.

        Raises `OptionError` on a segment without a speaker.
        """
        self._require(self.speakers, "speaker")
        return self._tracks(("speaker", closing), self.speakers, closing)

    def by_both(self, labels: Mapping[str, str] | None = None) -> dict[tuple[str, str], Track]:
        """A track for each (speaker, emotion). Raises `OptionError` on a segment that lacks either."""
        self._require(self.speakers, "speaker")
        self._require(self.emotions, "emotion")
        pairs = list(zip(self.speakers, self.emotion_names(labels), strict=True))
        return self._tracks(("both", *sorted((labels or {}).items())), pairs)

    def _require(self, names: Sequence[str | None], what: str) -> None:
        if None in names:
            start = self.bounds[list(names).index(None), 0]
            raise OptionError(f"the segment at {start:g} s has no {what}, which this metric needs")

    def _tracks(self, key: Hashable, names: Sequence, closing: float = EPSILON) -> dict:
        if key not in self._cache:
            code = {name: number for number, name in enumerate(dict.fromkeys(names))}
            codes = np.fromiter(map(code.__getitem__, names), np.int64, len(names))
            self._cache[key] = {
                name: support(self.bounds[codes == number], closing)
                for name, number in code.items()
                if name is not None
            }
        return self._cache[key]


Annotated = Diarization | Iterable[Segment] | Spans


def scored_region(
    reference: Spans, hypothesis: Spans, duration: float | None = None, uem: Region | None = None
) -> Track:
    """The time to score: `uem` if given, otherwise from 0 to the end of the recording.

    The recording ends at `duration`, by default that of the reference. Raises `OptionError` if neither is known.
    Later parts of the hypothesis are not scored; without `duration`, a warning reports more than `OVERSHOOT`
    seconds of them.
    """
    if uem is not None:
        rows = list(uem)
        for start, end in rows:
            if not (np.isfinite(start) and np.isfinite(end) and start <= end):
                raise OptionError(
                    f"scored region from {start} to {end} s: expected finite times with start <= end"
                )
        return support([row for row in rows if row[0] < row[1]])
    if duration is None:
        if reference.duration is None:
            raise OptionError("the reference is a list of segments: expected `duration` or `uem` as well")
        duration = max(reference.duration, reference.end)
        if (late := hypothesis.end - duration) > OVERSHOOT:
            text = "%s: %.2f s of the hypothesis lie after its end and are not scored"
            logger.warning(text, reference.uri, late)
    if not (np.isfinite(duration) and duration >= 0):
        raise OptionError(f"a duration of {duration} s: expected 0 or more seconds")
    return support([(0.0, duration)] if duration else [])
