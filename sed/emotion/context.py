"""Emotions in the context of a conversation: inertia within a speaker, contagion between speakers.

In: the segments of a result, each with its probabilities, and a `Context` learnt from labelled conversations. Out: the
segments with the emotions that are most probable given all of them.

A context counts which emotion follows on a pair: the last one of the same speaker, and the last one of any other
speaker. Given the pair an emotion is more or less probable than in general, and the logarithm of that factor (not of
the probability itself) is added to the log-probability of each segment. So the operating point of the tagger
(``--prior``, ``--sensitivity``) stays where it is, however frequent emotions were where the context was learnt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sed.emotion.turn_decoding import previous_turns, turn_posteriors
from sed.errors import FormatError, ModelError, OptionError
from sed.files import load_text, save_bytes
from sed.result import Segment

KIND = "sed-context"
PSEUDO_COUNTS = 20.0  # weight of the estimate that treats the two speakers as independent, in observed pairs
_GAP = 1e-3  # seconds between segments that touch

Turn = tuple[str, str]
"""Speaker and emotion of a turn."""


@dataclass(frozen=True, eq=False)
class Context:
    """What follows on what: `counts` ``(labels + 1, labels + 1, labels)`` float64 of the next emotion by the last one
    of the same speaker and by that of the others; the last row and column are those of none so far.

    `strength` multiplies the context's share in decoding, `name` is stated in results.
    """

    labels: tuple[str, ...]
    counts: np.ndarray
    conversations: int = 0
    strength: float = 1.0
    name: str = "context"

    @property
    def turns(self) -> int:
        """Number of turns it was learnt from."""
        return round(float(self.counts.sum()))

    def for_labels(self, labels: Sequence[str]) -> Context:
        """The same for `labels` in that order; pairs with others are left out. Raises `OptionError` if it lacks one."""
        if missing := [label for label in labels if label not in self.labels]:
            raise OptionError(
                f"found a context of {', '.join(self.labels)}, expected {', '.join(missing)} among them: the labels"
                " of the tagger"
            )
        own = [self.labels.index(label) for label in labels]
        if not own:
            raise OptionError("a context for a tagger without emotions: expected one with labels")
        given = [*own, len(self.labels)]
        return replace(self, labels=tuple(labels), counts=self.counts[np.ix_(given, given, own)])

    def log_gains(self) -> np.ndarray:
        """The logarithm of how much more probable each emotion is after each pair than in general, in nats:
        ``(labels + 1, labels + 1, labels)``.

        Rare pairs are estimated from the last emotion of the same speaker and that of the others as if each had its
        effect independently.
        """
        counts, size = self.counts, len(self.labels)
        general = (counts.sum((0, 1)) + 1) / (counts.sum() + size)
        own, other = (
            (counts.sum(axis) + PSEUDO_COUNTS * general) / (counts.sum((axis, 2))[:, None] + PSEUDO_COUNTS)
            for axis in (1, 0)
        )
        independent = own[:, None] * other[None] / general
        independent /= independent.sum(2, keepdims=True)
        pairs = counts.sum(2, keepdims=True)
        found: np.ndarray = np.log((counts + PSEUDO_COUNTS * independent) / (pairs + PSEUDO_COUNTS) / general)
        return found

    def decode(self, speakers: Sequence[str], posteriors: np.ndarray) -> np.ndarray:
        """Label numbers ``(turns,)`` of turns in the order in which they start, from their `posteriors`
        ``(turns, labels)``: of each turn the most probable one, given all of them."""
        factors = np.exp(self.strength * self.log_gains())
        found: np.ndarray = turn_posteriors(speakers, posteriors, factors).argmax(1)
        return found

    def apply(self, segments: Sequence[Segment], labels: Sequence[str]) -> list[Segment]:
        """`segments` of one recording with the most probable emotions in this context; `labels` are the tagger's.

        Segments without probabilities are left as they are. Segments of a speaker that touch and now have the same
        emotion become one, with the mean of their probabilities by duration.

        >>> angry, sad = ([(name, emotion) for name in "aba"] for emotion in ("angry", "sad"))
        >>> context = learn_context([angry, sad] * 20)
        >>> unsure = Segment(2, 4, "b", "sad", 0.55, {"angry": 0.45, "sad": 0.55})
        >>> sure = Segment(0, 2, "a", "angry", 0.9, {"angry": 0.9, "sad": 0.1})
        >>> [segment.emotion for segment in context.apply([sure, unsure], ("angry", "sad"))]
        ['angry', 'angry']
        """
        given = self.for_labels(labels)
        ordered = sorted(segments)
        known = [segment for segment in ordered if all(label in segment.probabilities for label in labels)]
        posteriors = np.array([[segment.probabilities[label] for label in labels] for segment in known])
        emotions = given.decode([str(segment.speaker) for segment in known], posteriors)
        found = dict(zip(map(id, known), emotions.tolist(), strict=True))
        changed = [
            _labelled(segment, labels[found[id(segment)]]) if id(segment) in found else segment
            for segment in ordered
        ]
        return _joined(changed)

    def save(self, path: str | Path) -> None:
        """Write it as JSON, atomically. Raises `FormatError` if that fails."""
        data = {
            "kind": KIND,
            "labels": list(self.labels),
            "conversations": self.conversations,
            "strength": self.strength,
            "counts": self.counts.tolist(),
        }
        save_bytes((json.dumps(data) + "\n").encode(), path)


def read_context(path: str | Path) -> Context:
    """The context in a file that `Context.save` wrote. Raises `ModelError` if it is missing or damaged."""
    try:
        data = json.loads(load_text(path))
        if not isinstance(data, dict) or data.get("kind") != KIND:
            raise ModelError(f"{path}: found no context, expected a file that sed-context wrote")
        labels = tuple(str(label) for label in data["labels"])
        counts = np.array(data["counts"], np.float64)
        strength = float(data.get("strength", 1.0))
        size = len(labels)
        valid = (
            counts.shape == (size + 1, size + 1, size) and np.isfinite(counts).all() and (counts >= 0).all()
        )
        if not (valid and 0 < size == len(set(labels)) and 0 <= strength < np.inf):
            raise ValueError(f"counts of shape {counts.shape} for {size} labels")
        return Context(labels, counts, int(data.get("conversations", 0)), strength, Path(path).stem)
    except ModelError:
        raise
    except FormatError as error:
        raise ModelError(str(error)) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path}: the context is damaged: {error}") from error


def open_context(context: Context | str | Path | None, labels: Sequence[str]) -> Context | None:
    """`context`, read from its file if it is a path; raises as `read_context`, and as `Context.for_labels` if it does
    not fit the `labels` of a tagger."""
    found = read_context(context) if isinstance(context, (str, Path)) else context
    if found is not None:
        found.for_labels(labels)
    return found


def learn_context(conversations: Iterable[Sequence[Turn]], strength: float = 1.0) -> Context:
    """Count the transitions of `conversations`, each a sequence of turns in the order in which they start.

    Raises `OptionError` without turns, and on a negative strength.

    >>> found = learn_context([[("a", "sad"), ("b", "sad"), ("a", "happy")]])
    >>> found.labels, found.turns, found.counts[1, 1].tolist()  # after sad of the same and sad of the other speaker
    (('happy', 'sad'), 3, [1.0, 0.0])
    """
    listed = [list(conversation) for conversation in conversations]
    labels = tuple(sorted({emotion for turns in listed for _, emotion in turns}))
    if not labels:
        raise OptionError("found no turns with an emotion, expected labelled conversations")
    if not 0 <= strength < np.inf:
        raise OptionError(f"a strength of {strength}: expected 0 or more")
    numbers = {label: number for number, label in enumerate(labels)}
    counts = np.zeros((len(labels) + 1, len(labels) + 1, len(labels)))
    for turns in listed:
        own, other = previous_turns([speaker for speaker, _ in turns])
        emotions = np.array([numbers[emotion] for _, emotion in turns] + [len(labels)])
        np.add.at(counts, (emotions[own], emotions[other], emotions[:-1]), 1)
    return Context(labels, counts, sum(1 for turns in listed if turns), strength)


def log_likelihood(context: Context, turns: Sequence[Turn]) -> tuple[float, int]:
    """How much more probable the emotions of `turns` are in the context than by their frequency in general, in nats,
    and the number of turns; those with other labels are left out."""
    turns = [turn for turn in turns if turn[1] in context.labels]
    emotions = np.array([context.labels.index(emotion) for _, emotion in turns] + [len(context.labels)])
    own, other = previous_turns([speaker for speaker, _ in turns])
    return float(context.log_gains()[emotions[own], emotions[other], emotions[:-1]].sum()), len(turns)


def _labelled(segment: Segment, emotion: str) -> Segment:
    if segment.emotion == emotion:
        return segment
    return replace(segment, emotion=emotion, confidence=segment.probabilities[emotion])


def _joined(segments: Sequence[Segment]) -> list[Segment]:
    """`segments` with those of one speaker that touch and have the same emotion joined."""
    found: list[Segment] = []
    latest: dict[str | None, int] = {}
    for segment in segments:
        place = latest.get(segment.speaker)
        before = None if place is None else found[place]
        if (
            before is not None
            and place is not None
            and before.emotion == segment.emotion
            and abs(before.end - segment.start) < _GAP
            and before.probabilities.keys() == segment.probabilities.keys()
            and before.dimensions.keys() == segment.dimensions.keys()
        ):
            found[place] = _union(before, segment)
        else:
            latest[segment.speaker] = len(found)
            found.append(segment)
    return found


def _union(one: Segment, other: Segment) -> Segment:
    def mean(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, float]:
        share = one.duration / (one.duration + other.duration)
        return {name: round(share * a[name] + (1 - share) * b[name], 4) for name in a}

    probabilities = mean(one.probabilities, other.probabilities)
    confidence = probabilities.get(str(one.emotion), one.confidence)
    dimensions = mean(one.dimensions, other.dimensions)
    return replace(
        one, end=other.end, confidence=confidence, probabilities=probabilities, dimensions=dimensions
    )
