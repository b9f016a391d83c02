"""What a recipe says, checked before it costs anything: hyperparameters in, nothing out, or an `OptionError`."""

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
"""What the numbers of a recipe may be, and their names."""


def names(value: str | Path | Iterable[Any] | None) -> list[str]:
    """A list option as a list, however it was given: one word stands for a list of that word.

    >>> names("head"), names(["head", "bias"]), names(None)
    (['head'], ['head', 'bias'], [])
    """
    if value is None or value == "":
        return []
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [str(value)]
    return [str(each) for each in value]


def check_recipe(h: Mapping[str, Any]) -> None:
    """Those numbers of a recipe that it has lie where they mean something, and `card` names a window that is one."""
    for expected, (fits, keys) in _NUMBERS.items():
        for key in keys.split():
            if key in h and not (is_number(h[key]) and fits(h[key])):
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
    """`keep` and, where the rates are annealed, `annealing_score` are scores that there are."""
    keep = h.get("keep", "last")
    if keep not in ("last", *SCORES):
        raise OptionError(f"keep: found {keep!r}, expected last or one of {', '.join(SCORES)}")
    score = h.get("annealing_score")
    if h.get("annealing") is not None and score not in SCORES:
        raise OptionError(f"annealing_score: found {score!r}, expected one of {', '.join(SCORES)}")
    if "pattern_error" in (keep, score) and not h.get("valid_clips", 1):
        raise OptionError("valid_clips: found 0, expected some where pattern_error decides")


def check_corpora(manifest: Any, left_out: Sequence[str], learnt: Sequence[str]) -> None:
    """Each of the corpora `left_out` is one of the manifest's. A warning tells which emotions of the others are not
    among those `learnt`, and what they may be misspelt for."""
    paths = [manifest] if isinstance(manifest, str | Path) else list(manifest)
    rows = [utterance for path in map(find_manifest, paths) for _, utterance in read_lines(path)]
    known = sorted({utterance.corpus for utterance in rows})
    if unknown := [corpus for corpus in left_out if corpus not in known]:
        raise OptionError(f"leave_out: found {', '.join(unknown)}, expected some of {', '.join(known)}")
    emotions = Counter(
        row.emotion for row in rows if row.corpus not in left_out and row.emotion not in learnt
    )
    said = []
    for emotion, count in sorted(emotions.items()):
        near = difflib.get_close_matches(emotion.lower(), learnt, 1, 0.75)
        said.append(f"{count} of {emotion!r}" + (f" (did you mean {near[0]}?)" if near else ""))
    if said:
        _log.warning("not learnt, because no label is called so: %s", ", ".join(said))


def check_labels(main: Sequence[str], trained: Sequence[str]) -> None:
    """The labels in use are two or more, none twice, and among those that are learnt."""
    for name, labels in (("labels", main), ("trained_labels", trained)):
        if len(set(labels)) < len(labels):
            raise OptionError(f"{name}: found {', '.join(labels)}, expected none twice")
    if not main or (unknown := [label for label in main if label not in trained]):
        found = ", ".join(unknown) if main else "none"
        raise OptionError(f"labels: found {found}, expected some of those learnt: {', '.join(trained)}")
    if len(main) < 2:
        raise OptionError(f"labels: found {main[0]} alone, expected two or more to tell apart")


def check_heard(main: Sequence[str], utterances: Iterable[Utterance]) -> None:
    """There are utterances to learn each of the labels in use from."""
    heard = {utterance.emotion for utterance in utterances}
    if missing := [label for label in main if label not in heard]:
        raise OptionError(
            f"labels: found no utterance to learn {', '.join(missing)} from, expected some of each label"
        )


def check_model(h: Mapping[str, Any], model: Any, max_samples: int | None = None) -> None:
    """The model can do what the options ask of it: padded clips, branches that learn alone, pieces as long; and its
    teachers take clips as long, where `max_samples` is what they take, samples."""
    kind = type(model).__name__
    if getattr(h.get("clips"), "whole", False) and not model.supports_lengths:
        raise OptionError(f"clips.whole pads clips, which a {kind} cannot be told: expected whole: False")
    if h.get("each_branch") and not model.has_branches:
        raise OptionError(f"a {kind} has no branches: expected each_branch: False")
    _check_lengths(h, model)
    if max_samples and (found := seconds_to_samples(max(h["clips"].length))) > max_samples:
        raise OptionError(
            f"clips.length: found {samples_to_seconds(found)} s, expected at most the"
            f" {samples_to_seconds(max_samples)} s that the teachers take at once"
        )


def check_schedule(h: Mapping[str, Any], run_options: Mapping[str, Any]) -> None:
    """The epochs hold at most `steps` steps, behind which every rate is 0; a warning where they hold fewer."""
    factor = int(run_options.get("grad_accumulation_factor") or 1)
    epochs, batches, steps = h["epoch_counter"].limit, h["epoch_steps"], h["steps"]
    said = f"{epochs} epochs of epoch_steps {batches}" + (f", {factor} to a step," if factor > 1 else "")
    if epochs * batches > steps * factor:
        raise OptionError(
            f"{said} are more than steps {steps}, behind which nothing learns: expected steps of at least"
            f" {-(-epochs * batches // factor)}"
        )
    if epochs * batches < steps * factor:
        _log.warning("%s are fewer than steps %d: the rates do not fall to their end", said, steps)


def check_finite(what: str, tensors: Iterable[Tensor], step: int) -> None:
    """At `step` of a run all of `tensors`, each a `what`, are finite."""
    if not all(bool(tensor.isfinite().all()) for tensor in tensors):
        raise OptionError(
            f"step {step}: found a {what} that is no finite number, expected only such: lower encoder_rate and"
            " head_rate; what the last whole epoch came to is kept"
        )


def _check_lengths(h: Mapping[str, Any], model: Any) -> None:
    """The longest clip, and the window of the card, are no longer than what the model takes at once."""
    most = model.max_samples
    lengths = {"clips.length": seconds_to_samples(max(h["clips"].length)) if h.get("clips") else 0}
    lengths["card.window"] = (h.get("card") or {}).get("window") or 0
    for name, samples in lengths.items():
        if most and samples > most:
            raise OptionError(
                f"{name}: found {samples_to_seconds(samples)} s, expected at most the {samples_to_seconds(most)} s"
                f" ({most // HOP} positions) that this {type(model).__name__} takes at once"
            )
