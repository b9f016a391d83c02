"""Smoke tests of a recipe: whether machine and data are complete, in about a minute, with a few utterances.

The whole path runs as it will later, in a temporary folder: every corpus is found and counted, audio read, the encoder
loaded, a few steps trained on the device, a tagger written and scored.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sed.corpora.audio import Utterance

_log = logging.getLogger("sed.training")

Recipe = Callable[..., Path]

SMOKE_STEPS = 3
SMOKE_UTTERANCES = 1  # of each speaker and emotion
SMOKE_CLIPS = 6


def with_smoke(recipe: Recipe) -> Recipe:
    """Mark a training function as one that runs a smoke test if its hyperparameters have ``smoke``."""
    recipe.supports_smoke = True  # type: ignore[attr-defined]
    return recipe


def shorten(h: dict[str, Any]) -> None:
    """Make `h` a run of one epoch of `SMOKE_STEPS` steps."""
    h["started"] = time.monotonic()
    h["epochs"] = h["epoch_counter"].limit = 1
    h["epoch_steps"] = h["steps"] = SMOKE_STEPS
    h["warmup_steps"] = h["decay_steps"] = 0
    if "valid_utterances" in h:
        h["valid_utterances"] = 1
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def few(utterances: Sequence[Utterance], most: int = 2) -> list[Utterance]:
    """At most `most` utterances of each corpus, speaker and emotion.

    >>> from pathlib import Path
    >>> len(few([Utterance("c", Path(), "c/s", label, "train") for label in "aaab"]))
    3
    """
    counts: dict[tuple[str, str, str], int] = {}
    kept = []
    for utterance in utterances:
        key = utterance.corpus, utterance.speaker, utterance.emotion
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= most:
            kept.append(utterance)
    return kept


def state_outcome(h: Mapping[str, Any], sampler: Any) -> None:
    """Log that everything worked, and the memory that it took."""
    if torch.cuda.is_available():
        memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB of the GPU's memory at most"
    else:
        memory = f"{peak_memory() / 1e9:.1f} GB of memory at most"
    longest = max(sampler.batch(number).waves.shape[1] for number in range(SMOKE_STEPS)) / 16_000
    _log.info(
        "smoke test passed: data, model, training and validation work here; %s with clips of up to %.1f s; %.0f s for"
        " %d steps, validation and test; the full run has more steps and longer clips",
        memory, longest, time.monotonic() - h["started"], SMOKE_STEPS,
    )  # fmt: skip


def peak_memory() -> int:
    """The most memory that this process has used so far, in bytes; 0 where the system does not state it."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
