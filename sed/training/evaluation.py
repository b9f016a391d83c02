"""How good a tagger is: utterances and pattern clips of known emotion in, a `Report` out.

Works on anything that maps ``(1, T)`` waves to ``(1, F, C)`` scores.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sed.corpora.audio import to_float
from sed.simulation.patterns import Event, frame_labels
from sed.training.data.clips import Speech
from sed.training.export.calibration import Calibration, calibrated


def unweighted_recall(confusion: np.ndarray) -> float:
    """Mean recall of the classes that occur, from counts ``(true, predicted)``.

    >>> unweighted_recall(np.array([[9, 1], [5, 5]]))
    0.7
    """
    totals = confusion.sum(axis=1)
    present = totals > 0
    return float(np.mean(np.diag(confusion)[present] / totals[present]))


@dataclass(frozen=True)
class Report:
    """`confusions` of utterances by corpus, counts ``(true, predicted)``; the share of wrong frames of the
    pattern clips (their EDER with the argmax, since all their time is speech of one speaker; NaN where there are
    none); mean negative log-likelihood of the utterances' labels."""

    confusions: dict[str, np.ndarray]
    pattern_error: float
    nll: float = field(default=float("nan"))

    def recalls(self) -> dict[str, float]:
        """Unweighted average recall by corpus."""
        return {corpus: unweighted_recall(confusion) for corpus, confusion in self.confusions.items()}

    def scores(self) -> dict[str, float]:
        """The numbers that checkpoints are compared by."""
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
    most: int | None = None,
) -> Report:
    """Evaluate a function from a ``(T,)`` wave to ``(F, labels)`` posteriors.

    An utterance counts as the label with the largest mean posterior. `most` caps the utterances of one
    emotion in one corpus: evenly spaced ones are taken.
    """
    groups: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    for utterance, samples in speech:
        groups[utterance.corpus, utterance.emotion].append(samples)
    size = len(labels)
    confusions: dict[str, np.ndarray] = {}
    losses = []
    for (corpus, emotion), waves in groups.items():
        true = list(labels).index(emotion)
        chosen = np.linspace(0, len(waves) - 1, min(len(waves), most or len(waves))).round().astype(int)
        for number in chosen:
            mean = posteriors(to_float(waves[number])).mean(axis=0)
            losses.append(-np.log(max(float(mean[true]), 1e-9)))
            confusions.setdefault(corpus, np.zeros((size, size), int))[true, int(mean.argmax())] += 1
    wrong = total = 0
    for wave, events in clips:
        truth = frame_labels(events, len(wave), labels)
        decided = posteriors(wave).argmax(axis=1)
        wrong += int(np.sum((decided != truth) & (truth >= 0)))
        total += int(np.sum(truth >= 0))
    return Report(confusions, wrong / total if total else float("nan"), float(np.mean(losses)))


def evaluate(
    model: Any,
    speech: Speech,
    clips: Sequence[tuple[np.ndarray, list[Event]]],
    labels: Sequence[str],
    most: int | None = None,
    calibration: Calibration | None = None,
) -> Report:
    """Evaluate a torch tagger, calibrated if asked for; of the emotions that it learnt only `labels` compete."""
    was_training = model.training
    posteriors = calibrated(model.eval(), labels, calibration or Calibration())
    report = evaluate_posteriors(posteriors, speech, clips, labels, most)
    model.train(was_training)
    return report
