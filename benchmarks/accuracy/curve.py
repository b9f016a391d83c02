"""The operating curve and the reliability of a tagger: ordinary speech against acted emotions.

    python -m benchmarks.accuracy.ordinary --shared ../shared --split valid --curve

In: ordinary recordings through the whole `EmotionDiarizer`, and the utterances of acted corpora. Out:
benchmarks/results/operating-curve-valid.{md,json,png} and operating-curve-valid-reliability.png: for each prior of
neutral, the share of ordinary speech called neutral and the recall on corpora that the tagger never learnt from; then
confidence against accuracy, of the segments of ordinary speech and of acted utterances, before and after calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.operating import (
    Acted,
    Recorded,
    Transform,
    act,
    means,
    prior_change,
    recalls,
    shares,
    uncalibrated,
    unchanged,
)
from benchmarks.lib import plots
from benchmarks.lib.report import percent, table
from sed import EmotionDiarizer
from sed.corpora.audio import read_manifest
from sed.emotion.priors import complete_prior, model_prior
from sed.scoring import counts
from sed.simulation.patterns import NEUTRAL

UNSEEN = ("ravdess", "nemo", "kaist")  # the bundled model never learnt from these
PRIORS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
SHOWN = 0.6  # share of ordinary speech called neutral from which a point is drawn
ACTED_SPLITS = {"valid": ("train", "valid"), "test": ("test",)}


def acted(diarizer: EmotionDiarizer, shared: Path, split: str) -> list[Acted]:
    """Posteriors of acted utterances: all speakers but those of `test` of the unseen corpora, `valid` of the others."""
    manifest = shared / "corpora" / "manifest.csv"
    rows = read_manifest(manifest, ACTED_SPLITS[split], diarizer.labels)
    kept = [row for row in rows if row.corpus in UNSEEN or row.split == split]
    return list(act(diarizer.tagger, kept))


def transforms(diarizer: EmotionDiarizer) -> dict[float, Transform]:
    """For each of `PRIORS`, the change to it."""
    old = model_prior(diarizer.tagger)
    return {
        prior: prior_change(old, complete_prior({NEUTRAL: prior}, diarizer.labels, old)) for prior in PRIORS
    }


def curve(
    diarizer: EmotionDiarizer, recorded: Sequence[Recorded], utterances: Sequence[Acted]
) -> list[dict[str, Any]]:
    """One point for each prior: shares of neutral by source, UAR and recall by unseen corpus, and their means."""
    unseen = [one for one in utterances if one.corpus in UNSEEN]
    neutral = diarizer.labels.index(NEUTRAL)
    points = []
    for prior, change in transforms(diarizer).items():
        found = shares(diarizer, recorded, change)
        by_corpus = recalls(unseen, means(unseen, change))
        recall = np.array([f["recall"] for f in by_corpus.values()])
        points.append(
            {
                "prior": prior,
                "neutral": {source: f["share"][NEUTRAL] for source, f in found.items()},
                "ordinary": float(np.mean([f["share"][NEUTRAL] for f in found.values()])),
                "false_alarms": {source: 60 * (1 - f["share"][NEUTRAL]) for source, f in found.items()},
                "uar": {corpus: f["uar"] for corpus, f in by_corpus.items()},
                "unseen": float(np.mean([f["uar"] for f in by_corpus.values()])),
                "neutral_recall": float(recall[:, neutral].mean()),
                "emotion_recall": float(np.delete(recall, neutral, 1).mean()),
            }
        )
    return points


def _segment_sums(
    diarizer: EmotionDiarizer, recorded: Sequence[Recorded], change: Transform
) -> dict[str, np.ndarray]:
    """By source, `counts.reliability_sums` of the segments, in seconds instead of utterances."""
    found: dict[str, np.ndarray] = {}
    for one in recorded:
        for segment in one.segments(diarizer, change):
            sums = counts.reliability_sums(
                np.array([min(segment.confidence or 0.0, 1.0)]), np.array([segment.emotion == NEUTRAL])
            )
            found[one.source] = found.get(one.source, 0) + (segment.end - segment.start) * sums
    return found


def _utterance_sums(utterances: Sequence[Acted], posteriors: np.ndarray) -> dict[str, np.ndarray]:
    """By corpus, `counts.reliability_sums` of the utterances."""
    true = np.array([one.true for one in utterances])
    found = {}
    for corpus in dict.fromkeys(one.corpus for one in utterances):
        own = np.array([one.corpus == corpus for one in utterances])
        confidence = np.minimum(posteriors[own].max(1), 1.0)
        found[corpus] = counts.reliability_sums(confidence, posteriors[own].argmax(1) == true[own])
    return found


def reliability(
    diarizer: EmotionDiarizer, recorded: Sequence[Recorded], utterances: Sequence[Acted]
) -> dict[str, dict[str, dict[str, Any]]]:
    """By calibration (before, after, and after with every label equally frequent) and source: ECE, mean confidence and
    accuracy, and the sums of each bin."""
    size = len(diarizer.labels)
    card = getattr(diarizer.tagger, "card", None) or {}
    changes = {
        "before": uncalibrated(card),
        "after": unchanged,
        "equal": prior_change(model_prior(diarizer.tagger), np.full(size, 1 / size)),
    }
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, change in changes.items():
        sums = _segment_sums(diarizer, recorded, change) | _utterance_sums(
            utterances, means(utterances, change)
        )
        found[name] = {
            source: {
                "ece": float(counts.calibration_error(own)),
                "confidence": float(own[:, 1].sum() / own[:, 0].sum()),
                "accuracy": float(own[:, 2].sum() / own[:, 0].sum()),
                "bins": own.tolist(),
            }
            for source, own in sums.items()
        }
    return found


def measure(
    diarizer: EmotionDiarizer, recorded: Sequence[Recorded], shared: Path, split: str
) -> dict[str, Any]:
    """Curve and reliability on `split`."""
    utterances = acted(diarizer, shared, split)
    return {
        "prior": float(model_prior(diarizer.tagger)[diarizer.labels.index(NEUTRAL)]),
        "sources": list(dict.fromkeys(one.source for one in recorded)),
        "curve": curve(diarizer, recorded, utterances),
        "reliability": reliability(diarizer, recorded, utterances),
        "utterances": {
            corpus: sum(one.corpus == corpus for one in utterances)
            for corpus in dict.fromkeys(one.corpus for one in utterances)
        },
    }


def report(found: dict[str, Any], name: str) -> str:
    """The figures as Markdown, with the pictures of `draw`."""
    sources = found["sources"]
    rows = [
        [f"{point['prior']:g}" + (" (shipped)" if _is_shipped(point, found) else "")]
        + [percent(point["ordinary"]), *(percent(point["neutral"][source]) for source in sources)]
        + [percent(point["unseen"]), *(percent(point["uar"][corpus]) for corpus in UNSEEN)]
        + [percent(point["neutral_recall"]), percent(point["emotion_recall"])]
        for point in found["curve"]
    ]
    head = ["prior of neutral", "ordinary: mean", *sources, "UAR: mean", *UNSEEN, "neutral", "emotions"]
    kinds = found["reliability"]
    calibration = [
        [source]
        + [percent(kinds[kind][source]["ece"]) for kind in kinds]
        + [percent(kinds["after"][source][key]) for key in ("confidence", "accuracy")]
        for source in kinds["after"]
    ]
    used = ", ".join(f"{count} of {corpus}" for corpus, count in found["utterances"].items())
    return "\n\n".join(
        [
            "# Operating curve and reliability",
            f"`{found['tagger']}`, split `{found['split']}`, by `python -m benchmarks.accuracy.ordinary --curve`."
            " Percent. Left: ordinary speech that the segments of `EmotionDiarizer` call neutral, by source and"
            " weighted alike; right: recall over the utterances of acted corpora that the model never learnt from"
            f" ({', '.join(UNSEEN)}), weighted alike. Rows are `--prior neutral=P`.",
            f"![Ordinary speech against unseen acted corpora]({name}.png)",
            table(head, rows),
            "## Reliability",
            "Expected calibration error (15 bins), before calibration (the softmax of the network), as shipped, and"
            " with all four labels equally frequent (`--prior neutral=0.25`), as they nearly are in acted corpora."
            " Ordinary sources: segments, by seconds, of which neutral is correct. Acted corpora: utterances"
            f" ({used}).",
            f"![Confidence and accuracy]({name}-reliability.png)",
            table(["source", "before", "shipped", "equal prior", "confidence", "accuracy"], calibration),
            f"Commit {found['commit']}. {found['machine']}.",
        ]
    )


def draw(found: dict[str, Any], name: str) -> None:
    """The pictures NAME.png and NAME-reliability.png."""
    figure, (left, right) = plots.panels(2, (11.5, 4.6))
    points = found["curve"]
    recall = {
        "UAR": [point["unseen"] for point in points],
        "recall of happy, angry and sad": [point["emotion_recall"] for point in points],
    }
    _curve_panel(left, found, recall, "Mean over unseen acted corpora; numbers: prior of neutral")
    _curve_panel(
        right, found, {c: [point["uar"][c] for point in points] for c in UNSEEN}, "UAR by unseen corpus"
    )
    plots.store(figure, name)
    figure, axes = plots.panels(3, (13, 4.6))
    titles = {
        "ordinary speech, segments": found["sources"],
        "acted, never learnt from": list(UNSEEN),
        "acted, unseen speakers": [c for c in found["utterances"] if c not in UNSEEN],
    }
    for axis, (title, sources) in zip(axes, titles.items(), strict=True):
        _reliability_panel(axis, found["reliability"], sources, title)
    plots.store(figure, f"{name}-reliability")


def _curve_panel(axis: Any, found: dict[str, Any], series: dict[str, list[float]], title: str) -> None:
    points = [(point, n) for n, point in enumerate(found["curve"]) if point["ordinary"] >= SHOWN]
    x = [100 * point["ordinary"] for point, _ in points]
    for number, (name, values) in enumerate(series.items()):
        y = [100 * values[n] for _, n in points]
        axis.plot(x, y, "o-", color=plots.COLOURS[2 * number], markersize=4, label=name)
        labelled: list[tuple[float, float]] = []
        for (point, _), across, up in zip(points, x, y, strict=True):
            if _is_shipped(point, found):
                label = "shipped" if number == len(series) - 1 else None
                axis.plot(across, up, "s", markersize=9, mfc="none", mec="#000000", label=label)
            near = labelled and np.hypot(across - labelled[-1][0], up - labelled[-1][1]) < 2.5
            if number == 0 and len(series) == 2 and not near:
                labelled.append((across, up))
                place = {"textcoords": "offset points", "xytext": (5, 3), "fontsize": 7, "color": "#555555"}
                axis.annotate(f"{point['prior']:g}", (across, up), **place)
    axis.axvline(85, color="#bbbbbb", linewidth=0.8, linestyle="--")
    axis.axhline(25, color="#bbbbbb", linewidth=0.8, linestyle=":")
    axis.text(85.3, 76, "wanted: 85", fontsize=8, color="#777777")
    axis.text(100 * SHOWN, 25.6, "chance", fontsize=8, color="#777777")
    axis.set_ylim(10, 80)
    axis.set_xlim(100 * SHOWN - 0.5, 101)
    axis.set_xlabel("ordinary speech called neutral, mean over sources (%)")
    axis.set_ylabel("recall (%)")
    axis.set_title(title, fontsize=10, loc="left")
    axis.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 0.0))


def _is_shipped(point: dict[str, Any], found: dict[str, Any]) -> bool:
    return bool(np.isclose(point["prior"], found["prior"]))


def _reliability_panel(axis: Any, kinds: dict[str, Any], sources: Sequence[str], title: str) -> None:
    """Pooled bins of `sources`, each weighted alike, before and after calibration."""
    axis.plot([0, 100], [0, 100], color="#bbbbbb", linewidth=0.8, linestyle="--")
    for number, (kind, name) in enumerate({"before": "before calibration", "after": "shipped"}.items()):
        bins = [np.array(kinds[kind][source]["bins"]) for source in sources if source in kinds[kind]]
        sums = np.sum([one / one[:, 0].sum() for one in bins], axis=0) / len(bins)
        kept = sums[:, 0] > 0.005  # bins with less are noise
        x, y = (100 * sums[kept, column] / sums[kept, 0] for column in (1, 2))
        ece = np.mean([kinds[kind][source]["ece"] for source in sources if source in kinds[kind]])
        colour = plots.COLOURS[2 * number]
        axis.plot(x, y, "-", color=colour, linewidth=1, label=f"{name}, mean ECE {100 * ece:.1f}")
        axis.scatter(x, y, 10 + 400 * sums[kept, 0], color=colour, alpha=0.6, linewidth=0)
    axis.set_xlim(20, 102)
    axis.set_ylim(0, 105)
    axis.set_xlabel("confidence (%); area of a point: share")
    axis.set_ylabel("correct (%)")
    axis.set_title(title, fontsize=10, loc="left")
    axis.legend(frameon=False, fontsize=8, loc="best")
