"""An `Evaluation` in, text tables (percent) out."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sed.scoring.evaluation import Estimate, Evaluation, Figures
from sed.scoring.tables import Table

TITLES = {
    "uar": "UAR",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "ece": "ECE",
    "ccc_arousal": "CCC arousal",
    "ccc_valence": "CCC valence",
    "ccc_dominance": "CCC dominance",
}


def evaluation_tables(evaluation: Evaluation) -> list[Table]:
    """The tables of `evaluation`, the most important first.

    >>> import numpy as np
    >>> from sed.scoring.evaluation import Prediction, evaluate
    >>> rows = [Prediction(str(n), "sad", np.array([0.2, 0.8]), f"s{n % 3}") for n in range(6)]
    >>> print(evaluation_tables(evaluate(rows, ("happy", "sad")))[-1].plain())
    Confusion: rows are the reference
           happy  sad  utterances
    happy      0    0           0
    sad        0    6           6
    """
    shown = [_summary(evaluation)]
    shown += [_by(group, values) for group, values in evaluation.groups.items()]
    shown += [_recalls(evaluation), _confusion(evaluation.overall)]
    return shown


def cell(name: str, estimate: Estimate) -> str:
    """A value with its interval in percent; CCC as it is, -1 to 1.

    >>> from sed.scoring.uncertainty import Interval
    >>> cell("uar", Estimate(0.625, Interval(0.568, 0.681)))
    '62.5 (56.8 - 68.1)'
    """
    scale, digits = (1, 3) if name.startswith("ccc") else (100, 1)
    if math.isnan(estimate.value):
        return "-"
    text = f"{scale * estimate.value:.{digits}f}"
    low, high = (scale * bound for bound in estimate.interval)
    return text if math.isnan(low) else f"{text} ({low:.{digits}f} - {high:.{digits}f})"


def _summary(evaluation: Evaluation) -> Table:
    overall = evaluation.overall
    folds = "fold" in evaluation.groups
    rows = []
    for name, estimate in overall.measures.items():
        row = [TITLES[name], cell(name, estimate)]
        if folds:
            mean, deviation = evaluation.over("fold", name)
            row.append("-" if math.isnan(mean) else f"{_plain(name, mean)} ± {_plain(name, deviation)}")
        rows.append(tuple(row))
    title = f"{overall.utterances} utterances of {overall.speakers} speakers"
    return Table(title, ("percent", "value", "mean ± sd over folds")[: 3 if folds else 2], tuple(rows))


def _plain(name: str, value: float) -> str:
    return "-" if math.isnan(value) else cell(name, Estimate(value))


def _by(group: str, values: Mapping[str, Figures]) -> Table:
    names = dict.fromkeys(name for figures in values.values() for name in figures.measures)
    rows = tuple(
        (
            name,
            str(figures.speakers),
            str(figures.utterances),
            *(cell(m, figures.measures[m]) if m in figures.measures else "-" for m in names),
        )
        for name, figures in values.items()
    )
    return Table(f"By {group}", (group, "speakers", "utterances", *(TITLES[name] for name in names)), rows)


def _recalls(evaluation: Evaluation) -> Table:
    parts = {"all": evaluation.overall, **evaluation.groups.get("corpus", {})}
    rows = []
    for name, figures in parts.items():
        recall = figures.recall()
        rows.append(
            (name, *(f"{100 * recall[label]:.1f}" if label in recall else "-" for label in evaluation.labels))
        )
    return Table("Recall, %", ("", *evaluation.labels), tuple(rows))


def _confusion(figures: Figures) -> Table:
    rows = tuple(
        (label, *map(str, counts), str(sum(counts)))
        for label, counts in zip(figures.labels, figures.confusion.tolist(), strict=True)
    )
    return Table("Confusion: rows are the reference", ("", *figures.labels, "utterances"), rows)
