"""Gives words and sentences their speaker, emotion and probabilities: a `Diarization` and a `Transcript` in, out the
transcript with an `Attribution` for each.

- Speaker: whose segments overlap the word longest; if several do equally (they speak at once), the one who has more of
  the sentence. A sentence's is the one with the longest overlap over all its words.
- Emotion: that of the speaker's segments that overlap longest.
- Probabilities: the mean posteriors over the frames of the word in which the speaker is active, without those in which
  others are, too, unless all are. Without posteriors: the mean of the segments' probabilities, by overlap.
- Outside all segments: speaker, emotion and probabilities of the nearest segment if it is at most `MAX_DISTANCE`
  seconds away, else none. Recognisers often time the edges of words into the silence.
- A word without times counts as lying between its neighbours.
"""

from __future__ import annotations

import itertools
import logging
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np

from sed.errors import OptionError
from sed.grid import frame_range
from sed.result import Diarization, Segment
from sed.transcripts.ctm import sentence_of
from sed.transcripts.model import UNATTRIBUTED, Attribution, Sentence, Transcript, Word
from sed.transcripts.reading import read_transcript

logger = logging.getLogger("sed")

MAX_DISTANCE = 0.5  # seconds from a word outside speech to the segment that it is attributed to
_SHORTEST = 0.02  # seconds: a word without duration counts as one frame
Span = tuple[float, float]
Overlap = tuple[Segment, float, float]  # a segment, and from when to when a span overlaps it


def add_words(
    result: Diarization, transcript: Transcript | str | PathLike[str], *, max_distance: float = MAX_DISTANCE
) -> Transcript:
    """`transcript`, or the one in a file, with the speaker, emotion and probabilities of each word and sentence.

    `result` should have posteriors (``posteriors=True``, the default of `EmotionDiarizer`). A word outside speech gets
    those of the nearest segment up to `max_distance` seconds away. Raises `FormatError` as `read_transcript` does, and
    `OptionError` on a distance below 0.

    >>> result = Diarization("call", 4.0, [Segment(0, 2, "ann", "sad"), Segment(2, 4, "bob", "happy")])
    >>> words = (Word("Oh", 1.5, 1.9), Word("dear", 1.9, 2.5))
    >>> joined = add_words(result, Transcript(None, (Sentence(1.5, 2.5, "Oh dear", words),)))
    >>> for word in joined.words:
    ...     print(word.text, word.by.speaker, word.by.emotion)
    Oh ann sad
    dear bob happy
    >>> for turn in joined.turns:
    ...     print(turn.text, turn.by.speaker)
    Oh ann
    dear bob
    """
    if not max_distance >= 0:
        raise OptionError(f"a distance of {max_distance} s: expected 0 or more")
    if not isinstance(transcript, Transcript):
        transcript = read_transcript(transcript, result.uri)
    late = sum(sentence.start >= result.duration for sentence in transcript.sentences)
    if late:
        text = "%s: %d of %d sentences of the transcript start after its end at %.2f s"
        logger.warning(text, result.uri, late, len(transcript.sentences), result.duration)
    timeline = _Timeline(result, max_distance)
    sentences = [timeline.sentence(sentence) for sentence in transcript.sentences]
    turns = tuple(turn for sentence in sentences for turn in _turns(sentence, timeline))
    own = tuple(sentences) if transcript.grouped else turns
    return replace(transcript, uri=result.uri, sentences=own, turns=turns)


class _Timeline:
    """The segments of a result by speaker, and its posteriors."""

    def __init__(self, result: Diarization, max_distance: float) -> None:
        by_speaker: dict[str | None, list[Segment]] = {}
        for segment in result:
            by_speaker.setdefault(segment.speaker, []).append(segment)
        self._tracks = {speaker: _Track(segments) for speaker, segments in by_speaker.items()}
        self._result = result
        self._max_distance = max_distance
        self._several = _several_active(self._tracks.values(), result)

    def sentence(self, sentence: Sentence) -> Sentence:
        """A sentence and its words with their attributions."""
        spans = _word_spans(sentence) or [_widened(sentence.start, sentence.end)]
        shares = [self._shares(span) for span in spans]
        total = _sum(shares)
        words = tuple(
            replace(word, by=self._attribution([span], share, total))
            for word, span, share in zip(sentence.words, spans, shares, strict=False)
        )
        return replace(sentence, words=words, by=self._attribution(spans, total, total))

    def _shares(self, span: Span) -> dict[str | None, float]:
        """Seconds of overlap with each speaker who has any."""
        found = {speaker: _seconds(track.overlaps(span)) for speaker, track in self._tracks.items()}
        return {speaker: seconds for speaker, seconds in found.items() if seconds > 0}

    def _attribution(
        self, spans: Sequence[Span], shares: Mapping[str | None, float], context: Mapping[str | None, float]
    ) -> Attribution:
        if not shares:
            return self._nearest(spans)

        def rank(speaker: str | None) -> tuple[float, float]:
            return round(shares[speaker], 6), round(context.get(speaker, 0.0), 6)

        speaker = max(sorted(shares, key=lambda name: name or ""), key=rank)
        overlaps = [overlap for span in spans for overlap in self._tracks[speaker].overlaps(span)]
        return Attribution(speaker, _longest_emotion(overlaps), *self._means(overlaps))

    def _nearest(self, spans: Sequence[Span]) -> Attribution:
        candidates = [track.nearest(span) for track in self._tracks.values() for span in spans]
        distance, segment = min(candidates, key=lambda pair: pair[0], default=(np.inf, None))
        if segment is None or distance > self._max_distance + 1e-9:
            return UNATTRIBUTED
        return Attribution(segment.speaker, segment.emotion, segment.probabilities, segment.dimensions)

    def _means(self, overlaps: Sequence[Overlap]) -> tuple[dict[str, float], dict[str, float]]:
        """Mean probabilities and dimensions over the frames of `overlaps`."""
        result = self._result
        if result.posteriors is None:
            return _weighted(overlaps, "probabilities"), _weighted(overlaps, "dimensions")
        ranges = (frame_range(low, high, result.frame_rate) for _, low, high in overlaps)
        frames = np.unique(np.concatenate([np.arange(*frames) for frames in ranges]))
        frames = frames[frames < len(result.posteriors)]
        alone = frames[~self._several[frames]]
        frames = alone if len(alone) else frames
        tracks = ((result.labels, result.posteriors), (result.dimensions, result.dimension_track))
        first, second = ({} if rows is None else _mean(rows, frames, names) for names, rows in tracks)
        return first, second


@dataclass
class _Track:
    """The segments of one speaker, sorted."""

    segments: Sequence[Segment]

    def __post_init__(self) -> None:
        self._starts = [s.start for s in self.segments]
        # Segments of one speaker may overlap in references; the running maximum keeps the ends sorted.
        self._ends = list(itertools.accumulate((s.end for s in self.segments), max))

    def overlaps(self, span: Span) -> list[Overlap]:
        """The segments that overlap `span`, and from when to when."""
        low, high = span
        first, last = bisect_right(self._ends, low), bisect_left(self._starts, high)
        return [
            (s, max(s.start, low), min(s.end, high))
            for s in self.segments[first:last]
            if s.end > low and s.start < high
        ]

    def nearest(self, span: Span) -> tuple[float, Segment]:
        """The distance in seconds to the nearest segment, and the segment."""
        at = bisect_left(self._starts, span[0])
        around = self.segments[max(0, at - 1) : at + 1]
        return min(
            ((max(s.start - span[1], span[0] - s.end, 0.0), s) for s in around), key=lambda pair: pair[0]
        )


def _several_active(tracks: Iterable[_Track], result: Diarization) -> np.ndarray:
    """Whether several speakers are active, for each frame."""
    frames = 0 if result.posteriors is None else len(result.posteriors)
    count = np.zeros(frames, np.int32)
    for track in tracks:
        active = np.zeros(frames, bool)
        for segment in track.segments:
            first, last = frame_range(segment.start, segment.end, result.frame_rate)
            active[first:last] = True
        count += active
    return count > 1


def _word_spans(sentence: Sentence) -> list[Span]:
    """The span of each word: that of a word without times reaches from the word before to the one after it."""
    spans: list[Span] = []
    end = sentence.start
    for word, later in zip(sentence.words, _next_starts(sentence), strict=True):
        if word.start is None or word.end is None:
            start, stop = end, max(end, later)
        else:
            start, stop = word.start, word.end
            end = word.end
        spans.append(_widened(start, stop))
    return spans


def _next_starts(sentence: Sentence) -> list[float]:
    """For each word the start of the first timed one after it, or else the end of the sentence."""
    later, found = sentence.end, []
    for word in reversed(sentence.words):
        found.append(later)
        later = later if word.start is None else word.start
    return found[::-1]


def _widened(start: float, end: float) -> Span:
    return start, max(end, start + _SHORTEST)


def _turns(sentence: Sentence, timeline: _Timeline) -> list[Sentence]:
    """The parts of a sentence between changes of the speaker; a word without one belongs to the part before it."""
    groups: list[list[Word]] = []
    speaker: str | None = None
    for word in sentence.words:
        new = word.by.speaker
        if not groups or (new is not None and speaker is not None and new != speaker):
            groups.append([])
        groups[-1].append(word)
        speaker = new if new is not None else speaker
    if len(groups) < 2:
        return [sentence]
    texts = _texts(sentence, groups)
    edges = [sentence.start, *(_start(group, sentence.start) for group in groups[1:])]
    parts = []
    for number, (words, text) in enumerate(zip(groups, texts, strict=True)):
        timed = [word for word in words if word.start is not None]
        part = sentence_of(timed) if timed else sentence_of([Word("", edges[number], edges[number])])
        parts.append(timeline.sentence(replace(part, text=text, words=tuple(words))))
    return parts


def _start(words: Sequence[Word], default: float) -> float:
    return next((word.start for word in words if word.start is not None), default)


def _texts(sentence: Sentence, groups: Sequence[Sequence[Word]]) -> list[str]:
    """The text of each group of words: the sentence's own between their first words, so that blanks and marks stay."""
    cuts, at = [], 0
    for group in groups:
        for number, word in enumerate(group):
            found = sentence.text.find(word.text.strip(), at)
            if found < 0:  # the words are spelled otherwise than the text
                return [" ".join(w.text.strip() for w in own) for own in groups]
            if number == 0:
                cuts.append(found)
            at = found + len(word.text.strip())
    cuts[0] = 0
    ends = [*cuts[1:], len(sentence.text)]
    return [sentence.text[start:end].strip() for start, end in zip(cuts, ends, strict=True)]


def _seconds(overlaps: Iterable[Overlap]) -> float:
    return sum(high - low for _, low, high in overlaps)


def _longest_emotion(overlaps: Sequence[Overlap]) -> str | None:
    seconds: dict[str | None, float] = {}
    for segment, low, high in overlaps:
        seconds[segment.emotion] = seconds.get(segment.emotion, 0.0) + high - low
    return max(seconds, key=lambda emotion: round(seconds[emotion], 6))


def _mean(rows: np.ndarray, frames: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    if not len(frames):
        return {}
    mean = np.round(rows[frames].mean(0, dtype=np.float64), 4)
    return dict(zip(names, map(float, mean), strict=True))


def _weighted(overlaps: Sequence[Overlap], field: str) -> dict[str, float]:
    """The mean of a field of the segments that have it, by overlap."""
    known = [
        (getattr(segment, field), high - low) for segment, low, high in overlaps if getattr(segment, field)
    ]
    total = sum(overlap for _, overlap in known)
    names = dict.fromkeys(name for values, _ in known for name in values)
    return {n: round(sum(v.get(n, 0.0) * overlap for v, overlap in known) / total, 4) for n in names}


def _sum(shares: Iterable[Mapping[str | None, float]]) -> dict[str | None, float]:
    total: dict[str | None, float] = {}
    for share in shares:
        for speaker, seconds in share.items():
            total[speaker] = total.get(speaker, 0.0) + seconds
    return total
