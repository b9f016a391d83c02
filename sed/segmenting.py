"""Combines speaker turns and emotion posteriors: turns and posteriors in, segments out.

Each speaker's turns are concatenated into runs, which end at a long silence, and each run is decoded as a whole. The
result is split into segments at pauses and at changes of emotion. So emotions persist over a speaker's pauses, changes
are more likely at the start of a turn, and overlapping speakers have separate emotions. A segment whose own posteriors
clearly contradict the decoder gets the emotion that they name. `segment_of` creates all segments, offline and live.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sed.emotion.baseline import shifted
from sed.emotion.decoding import DecoderOptions, Sliced, decode
from sed.emotion.tagger import Tagger, dimensions_of
from sed.grid import frames_to_seconds, seconds_to_frames
from sed.result import Diarization, Segment, SpeakerProfile
from sed.speakers.turns import Turns

CLEAR = (
    2.0  # a segment gets another emotion than the decoder's if its mean posterior is this many times as large
)


def join(
    turns: Turns,
    posteriors: Sliced | Sequence[Sliced],
    labels: Sequence[str],
    duration: float,
    options: DecoderOptions | None = None,
    dimensions: Sequence[str] = (),
    offsets: Mapping[str, np.ndarray] | None = None,
) -> list[Segment]:
    """Segments of every speaker, in order.

    `posteriors` is ``(frames, labels)`` on the grid of `turns`, an array or `sed.spooling.SpooledArray`, or a list with
    one per speaker (separately recorded channels); with `dimensions`, one column for each of them follows. `offsets`
    are added to the log posteriors of speakers, by name (`sed.emotion.baseline`). No segment ends after `duration`
    seconds.

    >>> turns = Turns.from_active(np.ones((100, 1), bool), ("spk00",))
    >>> p = np.full((100, 2), [0.9, 0.1], np.float32); p[50:] = [0.2, 0.8]
    >>> for s in join(turns, p, ("neutral", "angry"), 2.0): print(s)
    Segment(start=0.0, end=1.0, speaker='spk00', emotion='neutral', confidence=0.9)
    Segment(start=1.0, end=2.0, speaker='spk00', emotion='angry', confidence=0.8)
    """
    options = options or DecoderOptions()
    segments: list[Segment] = []
    separate = isinstance(posteriors, list | tuple)
    overlapped = None if separate else turns.overlapped
    for number, (name, spans) in enumerate(zip(turns.names, turns.spans, strict=True)):
        own: Sliced = posteriors[number] if separate else posteriors  # type: ignore[index, assignment]
        if offsets and name in offsets:
            own = _Shifted(own, offsets[name])
        for run in _runs(spans, options.memory):
            segments += _decode_run(run, own, overlapped, name, labels, duration, options, dimensions)
    return sorted(segments)


class _Shifted:
    """`rows` whose first columns, posteriors, are shifted by `offset` ``(labels,)`` when sliced."""

    def __init__(self, rows: Sliced, offset: np.ndarray) -> None:
        self._rows, self._offset = rows, offset
        self.shape = rows.shape

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice) -> np.ndarray:
        part = np.array(self._rows[rows], np.float32)
        part[:, : len(self._offset)] = shifted(part[:, : len(self._offset)], self._offset)
        return part


class _Concatenated:
    """The rows within `spans` ``(n, 2)``, concatenated, but read only when sliced; of a matrix the first `columns`."""

    def __init__(self, rows: Sliced, spans: np.ndarray, *columns: int) -> None:
        self._rows = rows
        self._spans = spans
        self._select = (slice(None), *map(slice, columns))
        self._ends = np.cumsum(spans[:, 1] - spans[:, 0])  # of each span, in the concatenation
        self.shape = (int(self._ends[-1]), *columns)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(len(self))
        first, last = np.searchsorted(self._ends, [start, stop - 1], "right").tolist()
        parts = []
        for (low, high), end in zip(self._spans[first : last + 1], self._ends[first : last + 1], strict=True):
            shift = int(high - end)  # from concatenated to original rows
            part = self._rows[max(int(low), start + shift) : min(int(high), stop + shift)]
            parts.append(part[self._select])
        return np.concatenate(parts)


class _Weights(_Concatenated):
    """The weight of each frame in `spans`: 1, or `weight` where speakers overlap."""

    def __init__(self, overlapped: np.ndarray, spans: np.ndarray, weight: float) -> None:
        super().__init__(overlapped, spans)
        self._weight = weight

    def __getitem__(self, rows: slice) -> np.ndarray:
        return np.where(super().__getitem__(rows), self._weight, 1.0)


def _runs(turns: np.ndarray, memory: float) -> list[np.ndarray]:
    """Groups of `turns` ``(n, 2)`` without a silence of more than `memory` seconds between them."""
    if not len(turns):
        return []
    silences = turns[1:, 0] - turns[:-1, 1]
    return np.split(turns, np.flatnonzero(silences > seconds_to_frames(memory)) + 1)


def _decode_run(
    turns: np.ndarray,
    posteriors: Sliced,
    overlapped: np.ndarray | None,
    speaker: str,
    labels: Sequence[str],
    duration: float,
    options: DecoderOptions,
    dimensions: Sequence[str],
) -> list[Segment]:
    starts = np.concatenate([[0], np.cumsum(turns[:, 1] - turns[:, 0])])
    weights = None
    if overlapped is not None:
        alone = not all(overlapped[start:end].all() for start, end in turns.tolist())
        weights = _Weights(overlapped, turns, options.weight_in_overlap(alone))
    emotions = decode(_Concatenated(posteriors, turns, len(labels)), options, starts[1:-1], weights, labels)

    def part_of(start: int, end: int, at: int, emotion: int) -> _Part:
        own = None if weights is None else weights[at : at + end - start]
        mean = mean_posterior(posteriors[start:end], own)
        return _Part(start, end, at, emotion, mean, own is None or bool(own.any()))

    parts = []
    for (start, end), at in zip(turns.tolist(), starts[:-1].tolist(), strict=True):
        own = emotions[at : at + end - start]
        edges = [0, *(np.flatnonzero(np.diff(own)) + 1).tolist(), end - start]
        parts += [
            part_of(start + low, start + high, at + low, int(own[low]))
            for low, high in itertools.pairwise(edges)
        ]
    segments = []
    for group in _groups([_decided(parts, n, len(labels)) for n in range(len(parts))]):
        first, mean = group[0], group[0].mean
        if len(group) > 1 and any(part.weighted for part in group):
            mean = part_of(first.start, group[-1].end, first.at, first.emotion).mean
        segments.append(
            segment_of(mean, first.start, group[-1].end, speaker, labels, first.emotion, duration, dimensions)
        )
    return segments


@dataclass(frozen=True)
class _Part:
    """Frames `start` to `end` of a speaker with one emotion; `at`: the first of them in the run.

    `mean` is that of the frames with a weight above 0 or, if none is `weighted`, of all frames.
    """

    start: int
    end: int
    at: int
    emotion: int
    mean: np.ndarray
    weighted: bool


def _decided(parts: Sequence[_Part], number: int, labels: int) -> _Part:
    """Part `number` with the decoder's emotion or, if another one is `CLEAR` times as probable, with that one.

    The decoder lets an emotion persist against weak evidence, and labels a short part as its surroundings even against
    its own posteriors; a segment with an emotion at 14 % is of no use. If none of the frames is weighted, the mean is
    that of the part that decided the emotion: the nearest previous one with the same emotion and weighted frames, or
    else the next one.
    """
    part, mean = parts[number], parts[number].mean
    if not part.weighted:
        for other in itertools.chain(reversed(parts[:number]), parts[number + 1 :]):
            if other.weighted and other.emotion == part.emotion:
                mean = other.mean
                break
    best = int(mean[:labels].argmax()) if labels else part.emotion
    clear = mean[best] >= CLEAR * mean[part.emotion] if labels else False
    return replace(part, mean=mean, emotion=best if clear else part.emotion)


def _groups(parts: Sequence[_Part]) -> list[list[_Part]]:
    """Parts that follow one another without a pause and have the same emotion, together."""
    groups: list[list[_Part]] = []
    for part in parts:
        before = groups[-1][-1] if groups else None
        if before and before.end == part.start and before.emotion == part.emotion:
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


def mean_posterior(posteriors: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean ``(labels,)`` float64 of `posteriors` ``(frames, labels)``, by `weights` ``(frames,)``.

    Without weights, or if all weights are equal (all 0, for instance), this is the plain mean.
    """
    if weights is None or (weights == weights[0]).all():
        return posteriors.mean(0, dtype=np.float64)
    total: np.ndarray = np.einsum("f,fl->l", weights, posteriors, dtype=np.float64)
    return total / weights.sum()


def mean_over_speakers(posteriors: Sequence[np.ndarray], active: np.ndarray) -> np.ndarray:
    """One posterior per frame from several channels, each ``(frames, labels)``: the mean over the `active` ones
    ``(frames, channels)``, or over all in silence."""
    weights = np.where(active.any(1, keepdims=True), active, 1).astype(np.float32)
    weights /= weights.sum(1, keepdims=True)
    return sum(w[:, None] * p for w, p in zip(weights.T, posteriors, strict=True))  # type: ignore[return-value]


def segment_of(
    mean: np.ndarray,
    start: int,
    end: int,
    speaker: str,
    labels: Sequence[str],
    emotion: int,
    duration: float,
    dimensions: Sequence[str] = (),
) -> Segment:
    """The segment of `speaker` from frame number `start` to `end`, with the mean posteriors (and after them the mean
    dimensions) `mean` ``(labels + dimensions,)``.

    The mean is float64 and is rounded to 4 decimals, so that results are reproducible. No segment ends after
    `duration` seconds. Without labels (a tagger that only estimates dimensions) it has no emotion.
    """
    mean = np.round(mean, 4)
    return Segment(
        start=frames_to_seconds(start),
        end=min(frames_to_seconds(end), duration),
        speaker=speaker,
        emotion=labels[emotion] if labels else None,
        confidence=float(mean[emotion]) if labels else None,
        probabilities=dict(zip(labels, map(float, mean[: len(labels)]), strict=True)),
        dimensions=dict(zip(dimensions, map(float, mean[len(labels) :]), strict=True)),
    )


def result_of(
    uri: str,
    duration: float,
    segments: Sequence[Segment],
    rows: np.ndarray | None,
    tagger: Tagger,
    profiles: Mapping[str, SpeakerProfile] | None = None,
    enrolled: Sequence[str] = (),
    context: str | None = None,
) -> Diarization:
    """The result for `segments`; `rows` ``(frames, labels + dimensions)`` are the posteriors and dimensions to keep,
    `profiles` those of the speakers, `enrolled` the names of the enrolled speakers, and `context` that of the context
    in which the emotions were decoded."""
    labels, dimensions = tuple(tagger.labels), dimensions_of(tagger)
    settings = dict(getattr(tagger, "settings", {}))
    settings |= {"enrolled": list(enrolled)} if enrolled else {}
    settings |= {"context": context} if context else {}
    posteriors, track = rows, None
    if rows is not None and dimensions:
        posteriors, track = (np.ascontiguousarray(part) for part in np.split(rows, [len(labels)], axis=1))
    return Diarization(
        uri,
        duration,
        segments,
        labels,
        posteriors,
        settings=settings,
        dimensions=dimensions,
        dimension_track=track,
        profiles=profiles,
    )
