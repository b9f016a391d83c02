"""The training recipe of the frame taggers: hyperparameters in, a tagger folder out.

The training loop is `sed.training.brain`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch

from sed.corpora.audio import read_manifest
from sed.files import save_bytes
from sed.networks.base import FrameTagger
from sed.networks.store import save_tagger
from sed.training.brain import TaggerBrain
from sed.training.data.clips import ClipSampler, Speech, pattern_clips
from sed.training.data.loading import recipe_speech
from sed.training.data.unlabelled import WithUnlabelled
from sed.training.evaluation import Report, evaluate
from sed.training.export.hub_files import write_hub_files
from sed.training.objectives.base import Objectives
from sed.training.objectives.class_weights import class_weights
from sed.training.recipe import checks
from sed.training.schedule import Batches, NumberedBatches
from sed.training.smoke import SMOKE_CLIPS, few, shorten, state_outcome, with_smoke
from sed.training.standardise import standardise
from sed.training.start import start_from


@with_smoke
def train(hparams: Mapping[str, Any], run_options: Mapping[str, Any] | None = None) -> Path:
    """Train a frame tagger with `hparams`, from the newest checkpoint in its folder if there is one.

    Raises `OptionError` on invalid names (`sed.training.recipe.checks`) before it reads any audio. Returns the
    tagger's folder, ready for ``sed-export``, ``sed-run --tagger`` and `sed.networks.store.load_tagger`.
    """
    h = dict(hparams)
    manifest = h["corpora"]  # a folder with a manifest, a manifest, or a list of them
    model = h["tagger"]
    labels, main = list(model.labels), checks.as_list(h["labels"])
    left_out = checks.as_list(h.get("leave_out"))
    h["labels"] = main
    checks.check_scores(h)
    checks.check_labels(main, labels)
    checks.check_corpora(manifest, left_out, labels)
    utterances = read_manifest(manifest, checks.as_list(h.get("splits")) or ["train"], labels, left_out)
    if not h.get("teachers"):  # teachers may know labels that no utterance has
        checks.check_label_coverage(main, utterances)
    smoke = bool(h.get("smoke"))
    if smoke:
        shorten(h)
        utterances = few(utterances)
    speech = recipe_speech(h, utterances)
    # Corpora left out may be monitored, but must not affect training.
    affects_training = h.get("keep", "last") != "last" or h.get("annealing") is not None
    held_out = read_manifest(manifest, ["valid"], main, left_out if affects_training else ())
    valid = recipe_speech(h, few(held_out) if smoke else held_out)
    clips = pattern_clips(valid, main, SMOKE_CLIPS if smoke else h["valid_clips"], seed=h["seed"])
    sampler: Batches = ClipSampler(speech, labels, main, h["clips"], h["augmentation"], h["seed"])
    if h.get("unlabelled"):
        sampler = WithUnlabelled(
            sampler, h["unlabelled"], h["unlabelled_share"], h["augmentation"], h["seed"]
        )
    if h.get("start"):
        start_from(model, h["start"])
    else:
        if h.get("encoder_weights"):
            model.load_encoder(h["encoder_weights"])
        if h.get("voice_weights"):
            model.load_voice(h["voice_weights"])
        if h.get("standardise"):
            standardise(model, map(sampler.batch, range(h["standardise"])))
    folder = fit(
        h,
        model,
        sampler,
        speech,
        lambda t: evaluate(t, valid, clips, main, h["valid_utterances"]),
        run_options,
    )
    if smoke and sb.utils.distributed.if_main_process():
        state_outcome(h, sampler)
    return folder


def fit(
    h: Mapping[str, Any],
    model: Any,
    sampler: Batches,
    speech: Speech,
    report: Callable[[Any], Report],
    run_options: Mapping[str, Any] | None = None,
) -> Path:
    """Train `model` on the batches of `sampler`; the `source` of their events is an index into `speech`.

    After each epoch the averaged tagger is written to the folder ``tagger`` in the output folder, with its low-rank
    updates merged, and scored by `report`. At the end the scores of the weights that are kept are written to
    ``scores.json``, and what makes the folder ready for a hub to it (`write_hub_files`). Returns that folder.
    """
    h = dict(h)
    main: Sequence[str] = list(h["labels"])
    folder = Path(h["output_folder"]) / "tagger"
    checks.check_schedule(h, dict(run_options or {}))
    objectives = Objectives(h.get("objectives"))
    objectives.build(model, speech)
    checks.check_model(h, model, objectives.max_samples)
    h["card"] = {**h["card"], **objectives.card}
    h["class_weights"] = class_weights(
        h.get("class_weights") or {}, bool(h.get("balanced")), model.labels, sampler
    )

    def save(tagger: Any, averaged: Objectives | None) -> None:
        if sb.utils.distributed.if_main_process():
            save_tagger(_merged(tagger), folder, main, h["card"])
            if averaged is not None:
                averaged.save(folder)

    def validate(tagger: Any) -> Report:
        checks.check_finite("weight", tagger.parameters(), brain.optimizer_step)
        save(tagger, brain.objectives and brain.objectives_ema)  # can then be exported at any time
        return report(tagger)

    brain = TaggerBrain(
        modules={"tagger": model},
        hparams={key: value for key, value in h.items() if key not in ("tagger", "objectives")},
        run_opts=dict(run_options or {}),
        checkpointer=h.get("checkpointer"),
        validate=validate,
        log_file=Path(h["log_file"]) if h.get("log_file") else None,
        objectives=objectives,
    )
    brain.train_set = batches = NumberedBatches(sampler, h["epoch_steps"])
    loader = torch.utils.data.DataLoader(
        batches, batch_size=None, shuffle=False, num_workers=int(h.get("workers") or 0)
    )
    brain.fit(h["epoch_counter"], loader, progressbar=False)
    scores = brain.load_best()
    save(brain.ema, brain.objectives and brain.objectives_ema)
    if sb.utils.distributed.if_main_process():
        found = {"seed": h["seed"], "valid": scores}
        save_bytes((json.dumps(found, indent=1) + "\n").encode(), Path(h["output_folder"]) / "scores.json")
        write_hub_files(folder, found)
    return folder


def process_count() -> int:
    """The number of processes of this run."""
    distributed = torch.distributed
    return distributed.get_world_size() if distributed.is_initialized() else 1


def _merged(tagger: FrameTagger) -> FrameTagger:
    """A copy of `tagger` with its low-rank updates added to the weights."""
    merged = copy.deepcopy(tagger)
    merged.merge_low_rank()
    return merged
