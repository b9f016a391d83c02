"""Checks of a recipe's hyperparameters before training starts: nothing is returned, errors are `OptionError`."""

from __future__ import annotations

import difflib
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sed.corpora.manifest import Utterance, find_manifest, read_lines
from sed.emotion.tagger import is_window
from sed.errors import OptionError
from sed.grid import HOP, samples_to_seconds, seconds_to_samples
from sed.training.recipe.ranges import is_number

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger("sed.training")

SCORES = ("uar", "nll", "pattern_error")

_NUMBERS: dict[str, tuple[Callable[[float], bool], str]] = {
    "1 or more": (
        lambda value: 1 <= value < math.inf,
        "epochs epoch_steps steps",
    ),
    "0 or more": (
        lambda value: 0 <= value < math.inf,
        "warmup_steps decay_steps valid_utterances valid_clips workers standardise encoder_rate head_rate"
        " layer_decay weight_decay run_weight hard_weight",
    ),
    "more than 0": (lambda value: value > 0, "clip_norm"),
    "0 to 1": (lambda value: 0 <= value <= 1, "label_smoothing"),
    "0 to less than 1": (lambda value: 0 <= value < 1, "ema_decay held_out unlabelled_share"),
    f"0 to {2**32 - 1}": (lambda value: 0 <= value < 2**32, "seed"),
}
"""Ranges of a recipe's numbers: the expected range, its test, and the keys that it applies to."""


def as_list(value: str | Path | Iterable[Any] | None) -> list[str]:
    """A list option as a list of strings; a single value stands for a list of one.

    >>> as_list("head"), as_list(["head", "bias"]), as_list(None)
    (['head'], ['head', 'bias'], [])
    """
    if value is None or value == "":
        return []
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [str(value)]
    return [str(each) for each in value]


def check_recipe(h: Mapping[str, Any]) -> None:
    """Check that the numbers present in a recipe are in range, and that the window in `card` is valid."""
    for expected, (is_valid, keys) in _NUMBERS.items():
        for key in keys.split():
            if key in h and not (is_number(h[key]) and is_valid(h[key])):
                raise OptionError(f"{key}: found {h[key]}, expected {expected}")
    if (betas := h.get("betas")) is not None and not (
        isinstance(betas, list) and len(betas) == 2 and all(is_number(b) and 0 <= b < 1 for b in betas)
    ):
        raise OptionError(f"betas: found {betas}, expected two numbers from 0 to less than 1")
    card = h.get("card") or {}
    window = card.get("window", HOP)
    if not is_window(window):
        raise OptionError(f"card.window: found {window!r}, expected a positive multiple of {HOP} samples")


def check_scores(h: Mapping[str, Any]) -> None:
    """Check that `keep` and, with annealing, `annealing_score` are known scores."""
    keep = h.get("keep", "last")
    if keep not in ("last", *SCORES):
        raise OptionError(f"keep: found {keep!r}, expected last or one of {', '.join(SCORES)}")
    score = h.get("annealing_score")
    if h.get("annealing") is not None and score not in SCORES:
        raise OptionError(f"annealing_score: found {score!r}, expected one of {', '.join(SCORES)}")
    if "pattern_error" in (keep, score) and not h.get("valid_clips", 1):
        raise OptionError("valid_clips: found 0, expected 1 or more to compute pattern_error")


def check_corpora(manifest: Any, left_out: Sequence[str], trained: Sequence[str]) -> None:
    """Check that the corpora `left_out` occur in the manifest. A warning lists the emotions of the other corpora that
    are not among the labels `trained`, with a suggestion where one may be misspelt."""
    paths = [manifest] if isinstance(manifest, str | Path) else list(manifest)
    rows = [utterance for path in map(find_manifest, paths) for _, utterance in read_lines(path)]
    known = sorted({utterance.corpus for utterance in rows})
    if unknown := [corpus for corpus in left_out if corpus not in known]:
        raise OptionError(f"leave_out: found {', '.join(unknown)}, expected some of {', '.join(known)}")
    emotions = Counter(
        row.emotion for row in rows if row.corpus not in left_out and row.emotion not in trained
    )
    ignored = []
    for emotion, count in sorted(emotions.items()):
        similar = difflib.get_close_matches(emotion.lower(), trained, 1, 0.75)
        ignored.append(f"{count} of {emotion!r}" + (f" (did you mean {similar[0]}?)" if similar else ""))
    if ignored:
        _log.warning("ignored utterances of emotions that are not labels: %s", ", ".join(ignored))


def check_labels(main: Sequence[str], trained: Sequence[str]) -> None:
    """Check that there are two or more labels, without duplicates, all of them among the trained ones."""
    for name, labels in (("labels", main), ("trained_labels", trained)):
        if len(set(labels)) < len(labels):
            raise OptionError(f"{name}: found {', '.join(labels)}, expected each once")
    if not main or (unknown := [label for label in main if label not in trained]):
        found = ", ".join(unknown) if main else "none"
        raise OptionError(f"labels: found {found}, expected some of the trained_labels {', '.join(trained)}")
    if len(main) < 2:
        raise OptionError(f"labels: found {main[0]} only, expected two or more")


def check_label_coverage(main: Sequence[str], utterances: Iterable[Utterance]) -> None:
    """Check that there are training utterances of every label in `main`."""
    present = {utterance.emotion for utterance in utterances}
    if missing := [label for label in main if label not in present]:
        raise OptionError(f"labels: found no utterance of {', '.join(missing)}, expected some of each label")


def check_model(h: Mapping[str, Any], model: Any, max_samples: int | None = None) -> None:
    """Check that the model supports the options: padded clips, a loss for each branch, the lengths of clips and window;
    and that no clip is longer than `max_samples`, the teachers' limit in samples."""
    kind = type(model).__name__
    if getattr(h.get("clips"), "whole", False) and not model.supports_lengths:
        raise OptionError(f"clips.whole pads clips, which a {kind} does not support: expected whole: False")
    if h.get("each_branch") and not model.has_branches:
        raise OptionError(f"a {kind} has no branches: expected each_branch: False")
    _check_lengths(h, model)
    if max_samples and (found := seconds_to_samples(max(h["clips"].length))) > max_samples:
        raise OptionError(
            f"clips.length: found {samples_to_seconds(found)} s, expected at most the"
            f" {samples_to_seconds(max_samples)} s that the teachers accept"
        )


def check_schedule(h: Mapping[str, Any], run_options: Mapping[str, Any]) -> None:
    """Check that the epochs hold at most `steps` steps, after which every rate is 0; a warning if they hold fewer."""
    factor = int(run_options.get("grad_accumulation_factor") or 1)
    epochs, batches, steps = h["epoch_counter"].limit, h["epoch_steps"], h["steps"]
    found = f"{epochs} epochs of epoch_steps {batches}" + (f", {factor} per step," if factor > 1 else "")
    if epochs * batches > steps * factor:
        raise OptionError(
            f"{found} are more than steps {steps}, after which all rates are 0: expected steps of at least"
            f" {-(-epochs * batches // factor)}"
        )
    if epochs * batches < steps * factor:
        _log.warning("%s are fewer than steps %d: the learning rate schedule does not complete", found, steps)


def check_finite(what: str, tensors: Iterable[Tensor], step: int) -> None:
    """Check that all of `tensors`, each a `what` (such as a loss) at `step` of a run, are finite."""
    if not all(bool(tensor.isfinite().all()) for tensor in tensors):
        raise OptionError(
            f"step {step}: found a non-finite {what}, expected finite numbers only: lower encoder_rate and head_rate;"
            " the tagger of the last complete epoch is kept"
        )


def _check_lengths(h: Mapping[str, Any], model: Any) -> None:
    """Check that the longest clip and the window of the card are within the model's `max_samples`."""
    limit = model.max_samples
    lengths = {"clips.length": seconds_to_samples(max(h["clips"].length)) if h.get("clips") else 0}
    lengths["card.window"] = (h.get("card") or {}).get("window") or 0
    for name, samples in lengths.items():
        if limit and samples > limit:
            raise OptionError(
                f"{name}: found {samples_to_seconds(samples)} s, expected at most the {samples_to_seconds(limit)} s"
                f" ({limit // HOP} positions) that this {type(model).__name__} accepts"
            )
