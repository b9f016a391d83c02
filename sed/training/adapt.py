"""Adaptation: a trained tagger and a few labelled clips of a new speaker or rater in, an adapted tagger's folder out.

A few clips can easily do harm (overfitting, forgetting), so there are safeguards: only some parts are trained
(`trainable_parts`), they stay close to the old weights (`KeepClose`, L2-SP), the old tagger is the teacher of an
additional distillation loss (`Distillation`: learning without forgetting), and the epoch that scores best on held-out
clips is kept, where the unmodified start counts as one.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sed.corpora.manifest import SPLITS
from sed.emotion.tagger import MULTI_LABEL
from sed.errors import OptionError
from sed.networks import lora
from sed.training.data.clip_table import read_clips
from sed.training.data.clips import Batch, ClipSampler, Speech
from sed.training.evaluation import evaluate
from sed.training.objectives.base import Objective
from sed.training.recipe.checks import as_list, check_scores
from sed.training.start import open_start
from sed.training.train import fit

_log = logging.getLogger("sed.training")

PARTS = ("classifier", "head", "bias", "lora", "all")
LOW_RANK = ("q_proj", "v_proj")  # as in Hu et al. 2021


class _References(list[Any]):
    """Parameters of another module: not registered with the objective, and not copied along with it."""

    def __deepcopy__(self, memo: object) -> _References:
        return self


class KeepClose(Objective):
    """L2-SP (Li et al. 2018): `weight` times the squared distance of the trained weights from their start."""

    def build(self, tagger: Any, speech: Speech) -> None:
        """Store the current weights."""
        self._trained = _References(p for p in tagger.parameters() if p.requires_grad)
        for number, parameter in enumerate(self._trained):
            self.register_buffer(f"start_{number}", parameter.detach().clone(), persistent=False)

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """The squared distance."""
        starts = self.buffers()
        return torch.stack([((p - s) ** 2).sum() for p, s in zip(self._trained, starts, strict=True)]).sum()


def trainable_parts(tagger: Any, parts: Collection[str] | str, rank: int = 4, alpha: float = 8.0) -> int:
    """Make only `parts` of `tagger` trainable, in place; returns the number of trainable parameters.

    ``classifier`` is the last layer, ``head`` everything outside the encoder, ``bias`` every bias (BitFit, Ben
    Zaken et al. 2022), ``lora`` low-rank updates of `rank` in the attention, ``all`` everything. Raises
    `OptionError` on another name, on an empty list, and for ``lora`` if there is no attention.
    """
    parts = as_list(parts)
    if not parts or set(parts) - set(PARTS):
        raise OptionError(f"parts to adapt {sorted(parts)}: expected some of {', '.join(PARTS)}")
    if "all" in parts:
        return sum(p.numel() for p in tagger.requires_grad_(True).parameters())
    head = tagger.parameter_groups(1.0, 1.0, 1.0)[-1]["params"]
    tagger.requires_grad_(False)
    if "lora" in parts and not lora.add_low_rank(tagger, LOW_RANK, rank, alpha):
        raise OptionError(
            f"lora on a {type(tagger).__name__}: found no attention, expected an encoder with attention"
        )
    trained = list(tagger.classifier.parameters()) if "classifier" in parts else []
    trained += head if "head" in parts else []
    trained += [p for n, p in tagger.named_parameters() if n.endswith("bias")] if "bias" in parts else []
    for parameter in trained:
        parameter.requires_grad_(True)
    return sum(p.numel() for p in tagger.parameters() if p.requires_grad)


def without_test(speech: Speech, table: str | Path) -> list[Any]:
    """`speech` without its clips of split ``test``; a warning states their number.

    Raises `OptionError` on a split other than train, valid, test and none, and if nothing is left.
    """
    if unknown := sorted({utterance.split for utterance, _ in speech} - {"", *SPLITS}):
        raise OptionError(f"{table}: found splits {', '.join(unknown)}, expected train, valid, test or none")
    kept = [item for item in speech if item[0].split != "test"]
    if dropped := len(speech) - len(kept):
        _log.warning("%s: ignored %d clips of split test", table, dropped)
    if not kept:
        raise OptionError(f"{table}: found only clips of split test, expected clips to train on")
    return kept


def hold_out(speech: Speech, share: float) -> tuple[list[Any], list[Any]]:
    """Split `speech` into training clips and held-out clips, each in order.

    Clips of split ``valid`` are held out. Without any, evenly spaced clips of each emotion are, about `share` of
    them, and at least one if the emotion has three or more.
    """
    if any(utterance.split == "valid" for utterance, _ in speech):
        is_held_out = [utterance.split == "valid" for utterance, _ in speech]
    else:
        by_emotion: dict[str, list[int]] = defaultdict(list)
        for number, (utterance, _) in enumerate(speech):
            by_emotion[utterance.emotion].append(number)
        is_held_out = [False] * len(speech)
        for numbers in by_emotion.values():
            count = max(round(share * len(numbers)), 1) if share > 0 and len(numbers) > 2 else 0
            for index in np.linspace(0, len(numbers) - 1, count + 2)[1:-1].round().astype(int):
                is_held_out[numbers[index]] = True
    return (
        [item for item, out in zip(speech, is_held_out, strict=True) if not out],
        [item for item, out in zip(speech, is_held_out, strict=True) if out],
    )


def check_table(folder: str | Path, table: str | Path) -> None:
    """Keep a copy of `table` in a run's `folder`.

    Raises `OptionError` if the run there has a checkpoint and used a table with other content: it would resume, or
    be found complete, without the new clips.
    """
    from speechbrain.utils.distributed import ddp_barrier, if_main_process

    kept, text = Path(folder) / "clips.csv", Path(table).read_bytes()
    if kept.is_file() and kept.read_bytes() != text and any(kept.parent.glob("save/CKPT*")):
        raise OptionError(
            f"{folder} holds a run on other clips, {kept}, than {table}: expected the same or another output_folder"
        )
    ddp_barrier()
    if if_main_process():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(text)


def adapt(hparams: Mapping[str, Any], run_options: Mapping[str, Any] | None = None) -> Path:
    """Adapt the tagger `start` (`sed.training.start.open_start`) to the clips of `clips_table`; returns the folder of
    the new one.

    Raises `OptionError` if a clip has an unknown split or an emotion that the tagger was not trained on, if all
    clips are held out, and if the output folder holds a run on other clips.
    """
    h = dict(hparams)
    check_scores(h)
    if h["keep"] == "pattern_error":
        raise OptionError(
            "keep: found pattern_error, expected last, nll or uar: the clips form no transition patterns"
        )
    model, description = open_start(h["start"])
    if description["card"].get(MULTI_LABEL):
        raise OptionError(
            f"start: found a tagger with independent labels in {h['start']}, expected one label per frame"
        )
    model.merge_low_rank()  # low-rank updates of its own training become part of the weights
    speech = without_test(read_clips(h["clips_table"]), h["clips_table"])
    if unknown := sorted({u.emotion for u, _ in speech} - set(model.labels)):
        raise OptionError(
            f"{h['clips_table']}: found emotions {', '.join(unknown)}, expected those that the tagger was trained on:"
            f" {', '.join(model.labels)}"
        )
    check_table(h["output_folder"], h["clips_table"])
    train_speech, held_out = hold_out(speech, h["held_out"])
    if not train_speech:
        raise OptionError(f"{h['clips_table']}: found only held-out clips, expected clips to train on")
    main = description["labels"]
    valid = [item for item in held_out if item[0].emotion in main]
    if not valid:
        _log.warning("no clips are held out: the last epoch is kept")
        valid = [item for item in train_speech if item[0].emotion in main]
        h["keep"] = "last"
    parameters = trainable_parts(model, h["parts"], h["lora_rank"], h["lora_alpha"])
    _log.info(
        "%d training clips, %d held out, %d trainable parameters",
        len(train_speech),
        len(held_out),
        parameters,
    )
    h["labels"] = main
    h["card"] = {**description["card"], **h["card"], "adapted_from": description["card"].get("name", "")}
    sampler = ClipSampler(train_speech, model.labels, main, h["clips"], h["augmentation"], h["seed"])
    return fit(
        h,
        model.train(),
        sampler,
        train_speech,
        lambda tagger: evaluate(tagger, valid, [], main),
        run_options,
    )
