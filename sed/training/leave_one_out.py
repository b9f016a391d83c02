"""Leave-one-corpus-out: a recipe and a manifest in, one tagger per corpus left out and a table of scores out.

Each corpus in turn is left out of training and used for scoring, so that its speakers, language and microphones
are unseen. Finished runs are not repeated; an interrupted run resumes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sed.corpora.audio import load_speech, read_manifest
from sed.errors import OptionError
from sed.files import save_bytes
from sed.networks.store import load_tagger
from sed.scoring.counts import mean_recall
from sed.training.data.clips import pattern_clips
from sed.training.evaluation import evaluate
from sed.training.export.calibration import Calibration, fit_calibration
from sed.training.recipe.checks import as_list
from sed.training.recipe.run import run_recipe

_log = logging.getLogger("sed.training")

SCORE_OPTIONS = ("base", "overrides", "corpora", "splits", "calibrate", "valid_clips", "draws", "seed")
"""Options that affect a score; a stored score is reused only where all of them are equal."""


def recall_interval(confusion: np.ndarray, draws: int, seed: int) -> tuple[float, float]:
    """95 % bootstrap interval of the unweighted average recall, over the utterances of each label.

    >>> recall_interval(np.array([[5, 0], [0, 5]]), 100, 0)
    (1.0, 1.0)
    """
    rng = np.random.default_rng(seed)
    totals = confusion.sum(axis=1)
    present = totals > 0
    recall = np.diag(confusion)[present] / totals[present]
    resampled = rng.binomial(totals[present], recall, size=(draws, int(present.sum()))) / totals[present]
    low, high = np.quantile(resampled.mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def leave_one_out(hparams: Mapping[str, Any], run_options: Mapping[str, Any] | None = None) -> Path:
    """Run `base` once for each corpus; returns the path of the table, ``table.md`` in the output folder.

    Required in `hparams`: base (the recipe), output_folder, corpora, left_out (names; empty: all corpora),
    calibrate (on the `valid` speakers of the training corpora, as ``sed-export --corpora`` does),
    overrides (changes to the recipe, a mapping), splits (of the corpus left out, for scoring), valid_clips,
    draws (bootstrap samples), seed. Raises `OptionError` if a corpus is unknown, has nothing to score or is the
    only one, or if it was already scored with other options.
    """
    import speechbrain as sb

    h = dict(hparams)
    manifest = h["corpora"]
    splits = h["splits"] = as_list(h["splits"])
    rows = read_manifest(manifest)
    known = list(dict.fromkeys(u.corpus for u in rows if not splits or u.split in splits))
    left_out = as_list(h["left_out"]) or known
    if not left_out or set(left_out) - set(known) or len({u.corpus for u in rows}) < 2:
        raise OptionError(
            f"corpora to leave out {left_out}: found {known} with utterances in splits {splits}, expected names of"
            " these and a manifest of at least two corpora"
        )
    folder = Path(h["output_folder"])
    options = json.loads(json.dumps({key: h[key] for key in SCORE_OPTIONS}, default=str))
    for corpus in left_out:
        _check_score(folder / corpus / "score.json", options)
    scores = {}
    for corpus in left_out:
        target = folder / corpus / "score.json"
        if not target.is_file():
            _log.info("without %s", corpus)
            overrides = {
                **dict(h["overrides"] or {}),
                "corpora": manifest,
                "output_folder": str(folder / corpus),
                "leave_out": [corpus],
            }
            tagger = run_recipe(h["base"], overrides, run_options)
            if sb.utils.distributed.if_main_process():
                _write(
                    target, json.dumps({**_score(tagger, manifest, corpus, h), "options": options}, indent=1)
                )
            sb.utils.distributed.ddp_barrier()
        scores[corpus] = json.loads(target.read_text(encoding="utf-8"))
    if sb.utils.distributed.if_main_process():
        _write(folder / "table.json", json.dumps(scores, indent=1))
        _write(folder / "table.md", table(scores))
    return folder / "table.md"


def _check_score(target: Path, options: Mapping[str, Any]) -> None:
    """Raise `OptionError` if a corpus was scored with other options; a score without options is accepted."""
    if not target.is_file():
        return
    stored = json.loads(target.read_text(encoding="utf-8")).get("options", options)
    for key, value in options.items():
        if stored.get(key) != value:
            raise OptionError(
                f"{target} was made with {key} {stored.get(key)}, found {value}: expected the same or another"
                " output_folder"
            )


def _score(tagger: Path, manifest: Any, corpus: str, h: Mapping[str, Any]) -> dict[str, Any]:
    model, description = load_tagger(tagger)
    labels = description["labels"]
    speech = [
        item for item in load_speech(read_manifest(manifest, h["splits"], labels)) if item[0].corpus == corpus
    ]
    if not speech:
        raise OptionError(
            f"{corpus}: found no speech of {', '.join(labels)} in splits {h['splits']} to score"
        )
    try:
        clips = pattern_clips(speech, labels, h["valid_clips"], h["seed"])
    except OptionError:  # no speaker of this corpus has both neutral and emotional speech
        clips = []
    calibration = Calibration()
    if h["calibrate"]:
        valid = load_speech(read_manifest(manifest, ["valid"], labels, [corpus]))
        calibration = fit_calibration(model, valid, labels)
    report = evaluate(model, speech, clips, labels, calibration=calibration)
    confusion = report.confusions[corpus]
    recall = [float(row[n] / row.sum()) if row.sum() else None for n, row in enumerate(confusion)]
    return {
        "uar": float(mean_recall(confusion)),
        "interval": recall_interval(confusion, h["draws"], h["seed"]),
        "utterances": int(confusion.sum()),
        "recall": dict(zip(labels, recall, strict=True)),
        "confusion": confusion.tolist(),
        "calibration": asdict(calibration),
        "pattern_error": report.pattern_error if clips else None,
    }


def table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """The scores as a Markdown table: one row per corpus left out, and the mean."""

    def percent(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.1f}"

    labels = list(dict.fromkeys(label for score in scores.values() for label in score["recall"]))
    header = ["left out", "utterances", "UAR %", "95 %", *labels, "wrong frames %"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for corpus, score in scores.items():
        low, high = score["interval"]
        cells = [corpus, str(score["utterances"]), percent(score["uar"]), f"{percent(low)}-{percent(high)}"]
        cells += [percent(score["recall"].get(label)) for label in labels]
        lines.append("| " + " | ".join([*cells, percent(score["pattern_error"])]) + " |")
    mean = float(np.mean([score["uar"] for score in scores.values()]))
    lines.append("| mean | | " + percent(mean) + " |" + " |" * (len(header) - 3))
    return "\n".join(lines) + "\n"


def _write(target: Path, text: str) -> None:
    save_bytes((text.rstrip("\n") + "\n").encode(), target)
