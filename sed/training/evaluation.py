"""Evaluation of taggers: utterances and pattern clips of known emotion in, a `Report` out.

Works with any model that maps ``(1, T)`` waves to ``(1, F, C)`` logits.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sed.corpora.audio import to_float
from sed.corpora.stored import utterances_of
from sed.scoring.counts import mean_recall
from sed.simulation.patterns import Event, frame_labels
from sed.training.data.clips import Speech
from sed.training.export.calibration import Calibration, calibrated


class Scored(Protocol):
    """What a validation returns: scores, and a line for the log."""

    def scores(self) -> dict[str, float]:
        """The scores that checkpoints are compared by."""
        ...


@dataclass(frozen=True)
class Report:
    """Scores of a tagger on validation or test data.

    confusions: confusion matrix of utterances for each corpus, counts ``(true, predicted)``.
    pattern_error: share of wrong frames in the pattern clips, which equals their EDER with the argmax since all of
        their time is speech of one speaker; NaN without clips.
    nll: mean negative log-likelihood of the utterances' labels.
    """

    confusions: dict[str, np.ndarray]
    pattern_error: float
    nll: float = field(default=float("nan"))

    def recalls(self) -> dict[str, float]:
        """Unweighted average recall by corpus."""
        return {corpus: float(mean_recall(confusion)) for corpus, confusion in self.confusions.items()}

    def scores(self) -> dict[str, float]:
        """The scores that checkpoints are compared by."""
        uar = float(np.mean(list(self.recalls().values())))
        return {"uar": uar, "pattern_error": self.pattern_error, "nll": self.nll}

    def __str__(self) -> str:
        recalls = "  ".join(f"{corpus} {100 * recall:.1f}" for corpus, recall in self.recalls().items())
        patterns = "" if math.isnan(self.pattern_error) else f"  patterns {100 * self.pattern_error:.1f}"
        return f"uar {recalls}  nll {self.nll:.3f}{patterns}"


def evaluate_posteriors(
    posteriors: Callable[[np.ndarray], np.ndarray],
    speech: Speech,
    clips: Sequence[tuple[np.ndarray, list[Event]]],
    labels: Sequence[str],
    max_utterances: int | None = None,
) -> Report:
    """Evaluate a function from a ``(T,)`` wave to ``(F, labels)`` posteriors.

    The prediction for an utterance is the label with the largest mean posterior. `max_utterances` limits the
    utterances per emotion and corpus; evenly spaced ones are taken.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, utterance in enumerate(utterances_of(speech)):
        groups[utterance.corpus, utterance.emotion].append(number)
    size = len(labels)
    confusions: dict[str, np.ndarray] = {}
    losses = []
    for (corpus, emotion), members in groups.items():
        true = list(labels).index(emotion)
        count = min(len(members), max_utterances or len(members))
        for chosen in np.linspace(0, len(members) - 1, count).round().astype(int):
            mean = posteriors(to_float(speech[members[chosen]][1])).mean(axis=0)
            losses.append(-np.log(max(float(mean[true]), 1e-9)))
            confusions.setdefault(corpus, np.zeros((size, size), int))[true, int(mean.argmax())] += 1
    wrong = total = 0
    for wave, events in clips:
        truth = frame_labels(events, len(wave), labels)
        predicted = posteriors(wave).argmax(axis=1)
        wrong += int(np.sum((predicted != truth) & (truth >= 0)))
        total += int(np.sum(truth >= 0))
    return Report(confusions, wrong / total if total else float("nan"), float(np.mean(losses)))


def evaluate(
    model: Any,
    speech: Speech,
    clips: Sequence[tuple[np.ndarray, list[Event]]],
    labels: Sequence[str],
    max_utterances: int | None = None,
    calibration: Calibration | None = None,
) -> Report:
    """Evaluate a torch tagger, optionally calibrated, with a softmax over `labels` only."""
    was_training = model.training
    posteriors = calibrated(model.eval(), labels, calibration or Calibration())
    report = evaluate_posteriors(posteriors, speech, clips, labels, max_utterances)
    model.train(was_training)
    return report
