"""What one run of the models gives at any operating point: recordings and utterances, kept as posteriors.

In: recordings and utterances. Out: segments and decisions under another prior, or without the model's calibration,
without running the networks again. Turns are those of the first run; only the decoder runs anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sed import EmotionDiarizer
from sed.corpora.audio import Utterance, read_utterance
from sed.corpora.levels import equalise_loudness, trim_silence
from sed.emotion.tagger import Tagger
from sed.emotion.windows import posteriors_of
from sed.grid import seconds_to_frames
from sed.result import Diarization, Segment
from sed.scoring import counts
from sed.segmenting import join
from sed.speakers.smoothing import merge_spans
from sed.speakers.turns import Turns

Transform = Callable[[np.ndarray], np.ndarray]
"""Posteriors ``(frames, labels)`` to others."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """Turns and posteriors of one ordinary recording."""

    source: str
    turns: Turns
    posteriors: np.ndarray
    duration: float

    def segments(self, diarizer: EmotionDiarizer, transform: Transform) -> list[Segment]:
        """The segments that `diarizer` would give for transformed posteriors."""
        rows = transform(self.posteriors)
        return join(self.turns, rows, diarizer.labels, self.duration, diarizer.decoder)


def unchanged(posteriors: np.ndarray) -> np.ndarray:
    """The posteriors as shipped."""
    return posteriors


def prior_change(old: np.ndarray, new: np.ndarray) -> Transform:
    """As `sed.emotion.priors.reweighted`: posteriors under the prior `new` ``(labels,)`` instead of `old`.

    >>> change = prior_change(np.array([0.5, 0.5]), np.array([0.9, 0.1]))
    >>> change(np.array([[0.5, 0.5]])).astype(float).round(2).tolist()
    [[0.9, 0.1]]
    """
    factors = (new / old).astype(np.float64)

    def change(posteriors: np.ndarray) -> np.ndarray:
        weighted = posteriors * factors
        return (weighted / weighted.sum(-1, keepdims=True)).astype(np.float32)

    return change


def uncalibrated(card: Mapping[str, Any]) -> Transform:
    """The softmax of the network's logits, from its posteriors: the softmax of ``logits / temperature + offsets``.

    >>> plain = uncalibrated({"temperature": 2.0, "offsets": [0.0, 0.0]})
    >>> plain(np.array([[0.75, 0.25]])).astype(float).round(2).tolist()
    [[0.9, 0.1]]
    """
    offsets = np.array(card.get("offsets") or 0.0)

    def undo(posteriors: np.ndarray) -> np.ndarray:
        logits = float(card.get("temperature", 1.0)) * (np.log(np.maximum(posteriors, 1e-9)) - offsets)
        raised = np.exp(logits - logits.max(-1, keepdims=True))
        return (raised / raised.sum(-1, keepdims=True)).astype(np.float32)

    return undo


def record(diarizer: EmotionDiarizer, source: str, audio: Any) -> Recorded:
    """Run `diarizer` on `audio`; the turns are the segments of each speaker, joined where they touch."""
    found: Diarization = diarizer(audio)
    assert found.posteriors is not None
    frames = len(found.posteriors)

    def span(segment: Segment) -> list[int]:
        last = segment.end >= found.duration  # its last frame may be a part of one
        return [seconds_to_frames(segment.start), frames if last else seconds_to_frames(segment.end)]

    names = tuple(found.speaker_names)
    spans = tuple(merge_spans(np.array([span(s) for s in found if s.speaker == name])) for name in names)
    turns = Turns(spans, names, frames)
    return Recorded(source, turns, found.posteriors, found.duration)


def record_all(diarizer: EmotionDiarizer, found: Iterable[tuple[str, Path]]) -> list[Recorded]:
    """`record` of each (source, path)."""
    return [record(diarizer, source, path) for source, path in found]


def seconds_by_label(segments: Iterable[Segment]) -> dict[str, float]:
    """Seconds of speech with each label."""
    seconds: dict[str, float] = defaultdict(float)
    for segment in segments:
        seconds[str(segment.emotion)] += segment.end - segment.start
    return dict(seconds)


def shares(
    diarizer: EmotionDiarizer, recorded: Sequence[Recorded], transform: Transform = unchanged
) -> dict[str, dict[str, Any]]:
    """By source: number of recordings, minutes of speech, and the share of them with each label."""
    seconds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for one in recorded:
        for label, length in seconds_by_label(one.segments(diarizer, transform)).items():
            seconds[one.source][label] += length
    found = {}
    for source, by_label in seconds.items():
        total = sum(by_label.values())
        found[source] = {
            "recordings": sum(one.source == source for one in recorded),
            "minutes": total / 60,
            "share": {label: by_label[label] / total for label in diarizer.labels},
        }
    return found


@dataclass(frozen=True, eq=False)
class Acted:
    """Posteriors ``(frames, labels)`` of the speech of one acted utterance, and the number of its label."""

    corpus: str
    true: int
    posteriors: np.ndarray


def act(tagger: Tagger, utterances: Iterable[Utterance]) -> Iterator[Acted]:
    """Run `tagger` on utterances as `sed.labelling` does; those without speech are left out."""
    for utterance in utterances:
        wave = equalise_loudness(trim_silence(read_utterance(utterance)))
        if len(wave):
            true = tagger.labels.index(utterance.emotion)
            yield Acted(utterance.corpus, true, posteriors_of(tagger, wave))


def means(acted: Sequence[Acted], transform: Transform = unchanged) -> np.ndarray:
    """Mean posteriors ``(utterances, labels)`` after `transform`."""
    return np.stack([transform(one.posteriors).mean(0, dtype=np.float64) for one in acted])


def recalls(acted: Sequence[Acted], posteriors: np.ndarray) -> dict[str, dict[str, Any]]:
    """By corpus, of mean `posteriors`: UAR and recall of each label ``(labels,)``."""
    predicted = posteriors.argmax(1)
    found = {}
    for corpus in dict.fromkeys(one.corpus for one in acted):
        own = np.array([one.corpus == corpus for one in acted])
        true = np.array([one.true for one in acted])[own]
        confusion = counts.confusion_counts(true, predicted[own], posteriors.shape[1])
        found[corpus] = {
            "utterances": int(own.sum()),
            "uar": float(counts.mean_recall(confusion)),
            "recall": counts.recalls(confusion).tolist(),
        }
    return found
