"""Votes as independent labels against single labels, on the bundled model's frozen states; prints a table.

    sed-train embeddings --corpora ../shared/corpora --leave_out "[ravdess, nemo, kaist]" --utterances 2 \\
        --statistics "[mean, deviation, skewness, kurtosis]"
    python -m benchmarks.tuning.votes_probe results/embeddings/embeddings.npz ../shared

Linear classifiers of pooled states, trained on `train` speakers of CREMA-D and EMO-DB: one of single labels, and one
per label of whether a fifth of the raters chose it. The first statistic must be the mean. `train` and `valid` speakers
only, seconds of one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, recall_score
from sklearn.preprocessing import StandardScaler

from sed.corpora.manifest import Utterance, read_manifest
from sed.training.bundled import load_bundled

LABELS = ("neutral", "happy", "angry", "sad")
UNSEEN = ("ravdess", "nemo", "kaist")
LEAST_SHARE = 0.2  # as in the recipes
STRENGTH = 0.01


def present(utterance: Utterance) -> list[bool]:
    """Which of `LABELS` enough raters chose; the label itself where there are no votes."""
    votes = utterance.ratings.votes if utterance.ratings else {}
    votes = votes or {utterance.emotion: 1.0}
    return [votes.get(label, 0.0) / sum(votes.values()) >= LEAST_SHARE for label in LABELS]


def scores(x: np.ndarray, train: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Posteriors ``(N, labels)`` of a classifier of numbers of labels ``(N,)``, or of one for each column of truths."""
    options = {"C": STRENGTH, "class_weight": "balanced", "max_iter": 2000}
    if targets.ndim == 1:
        found: np.ndarray = LogisticRegression(**options).fit(x[train], targets[train]).predict_proba(x)
        return found
    columns = [
        LogisticRegression(**options).fit(x[train], own[train]).predict_proba(x)[:, 1] for own in targets.T
    ]
    return np.stack(columns, 1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("embeddings", type=Path)
    parser.add_argument("shared", type=Path)
    arguments = parser.parse_args()
    rows = {(u.corpus, u.id): u for u in read_manifest(arguments.shared / "corpora", ["train", "valid"])}
    with np.load(arguments.embeddings) as stored:
        utterances = [rows[key] for key in zip(stored["corpus"].tolist(), stored["id"].tolist(), strict=True)]
        vectors = stored["statistics"]
    single = np.array([LABELS.index(u.emotion) if u.emotion in LABELS else -1 for u in utterances])
    several = np.array([present(u) for u in utterances])
    corpora, splits = (np.array([getattr(u, name) for u in utterances]) for name in ("corpus", "split"))
    known = (splits == "train") & ~np.isin(corpora, UNSEEN)
    model, _ = load_bundled()
    means = torch.from_numpy(vectors[:, : model.classifier.in_features])
    with torch.no_grad():
        shipped = model.classifier(means).softmax(1).numpy()  # of the mean logits
    x = StandardScaler().fit(vectors[known]).transform(vectors)
    found = {
        "nothing: the bundled model itself": shipped,
        "single labels": scores(x, known & (single >= 0), single),
        "votes, independent": scores(x, known & several.any(1), several),
        "votes, the same utterances": scores(x, known & (single >= 0), several),
    }
    rated = (corpora == "cremad") & (splits == "valid")
    print(
        "| trained on | "
        + " | ".join(UNSEEN)
        + " | mean | average precision of the raters' labels, CREMA-D |"
    )
    print("|---|" + "---:|" * (len(UNSEEN) + 2))
    for name, posteriors in found.items():
        recalls = []
        for corpus in UNSEEN:
            own = (corpora == corpus) & (single >= 0)
            recalls.append(100 * recall_score(single[own], posteriors[own].argmax(1), average="macro"))
        precision = 100 * average_precision_score(several[rated], posteriors[rated], average="macro")
        cells = [f"{value:.1f}" for value in (*recalls, float(np.mean(recalls)), precision)]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
