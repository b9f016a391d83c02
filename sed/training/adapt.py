"""A trained tagger and a few labelled clips of a new speaker or listener in, an adapted tagger's folder out.

Few clips teach little and spoil much, so there are guards: only some parts learn (`trainable_parts`), they are
held near the old weights (`KeepClose`, L2-SP), the old tagger's own posteriors are taught along (the objective
`Distillation` with the old folder as teacher: learning without forgetting), and of all epochs, the untouched start
among them, the best on clips held out is kept.
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
from sed.errors import OptionError
from sed.networks import lora
from sed.networks.store import load_tagger, tagger_folder
from sed.training.data.clip_table import read_clips
from sed.training.data.clips import Batch, ClipSampler, Speech
from sed.training.evaluation import evaluate
from sed.training.objectives.base import Objective
from sed.training.recipe.checks import check_scores, names
from sed.training.train import fit

_log = logging.getLogger("sed.training")

PARTS = ("classifier", "head", "bias", "lora", "all")
LOW_RANK = ("q_proj", "v_proj")  # as in Hu et al. 2021


class _Borrowed(list[Any]):
    """Parameters that belong to somebody else: no part of the objective, and not copied along with it."""

    def __deepcopy__(self, memo: object) -> _Borrowed:
        return self


class KeepClose(Objective):
    """L2-SP (Li et al. 2018): `weight` times the squared distance of all that learns from where it began."""

    def build(self, tagger: Any, speech: Speech) -> None:
        """Remember the weights as they are now."""
        self._moving = _Borrowed(p for p in tagger.parameters() if p.requires_grad)
        for number, parameter in enumerate(self._moving):
            self.register_buffer(f"start_{number}", parameter.detach().clone(), persistent=False)

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """The squared distance."""
        starts = self.buffers()
        return torch.stack([((p - s) ** 2).sum() for p, s in zip(self._moving, starts, strict=True)]).sum()


def trainable_parts(tagger: Any, parts: Collection[str] | str, rank: int = 4, alpha: float = 8.0) -> int:
    """Let only `parts` of `tagger` learn, in place; returns how many numbers that are.

    ``classifier`` is the last layer, ``head`` all that the encoder has not, ``bias`` every bias (BitFit, Ben
    Zaken et al. 2022), ``lora`` low-rank changes of `rank` in the attention, ``all`` everything. Raises
    `OptionError` on another name, on none, and for ``lora`` where there is no attention.
    """
    parts = names(parts)
    if not parts or set(parts) - set(PARTS):
        raise OptionError(f"parts to adapt {sorted(parts)}: expected some of {', '.join(PARTS)}")
    if "all" in parts:
        return sum(p.numel() for p in tagger.requires_grad_(True).parameters())
    head = tagger.parameter_groups(1.0, 1.0, 1.0)[-1]["params"]
    tagger.requires_grad_(False)
    if "lora" in parts and not lora.add_low_rank(tagger, LOW_RANK, rank, alpha):
        raise OptionError(
            f"lora on a {type(tagger).__name__}: found no attention, expected an encoder with some"
        )
    moving = list(tagger.classifier.parameters()) if "classifier" in parts else []
    moving += head if "head" in parts else []
    moving += [p for n, p in tagger.named_parameters() if n.endswith("bias")] if "bias" in parts else []
    for parameter in moving:
        parameter.requires_grad_(True)
    return sum(p.numel() for p in tagger.parameters() if p.requires_grad)


def without_test(speech: Speech, table: str | Path) -> list[Any]:
    """`speech` less its rows of split ``test``, which a warning counts.

    Raises `OptionError` on a split other than train, valid, test and none, and where nothing is left.
    """
    if unknown := sorted({utterance.split for utterance, _ in speech} - {"", *SPLITS}):
        raise OptionError(f"{table}: found splits {', '.join(unknown)}, expected train, valid, test or none")
    kept = [item for item in speech if item[0].split != "test"]
    if dropped := len(speech) - len(kept):
        _log.warning("%s: %d clips of split test are left out", table, dropped)
    if not kept:
        raise OptionError(f"{table}: found only clips of split test, expected some to learn from")
    return kept


def hold_out(speech: Speech, share: float) -> tuple[list[Any], list[Any]]:
    """Split `speech` into what is learnt and what is held out, in order.

    Rows of split ``valid`` are held out. Where there are none, every so many clips of an emotion are, about
    `share` of them, and at least one of an emotion that has three.
    """
    if any(utterance.split == "valid" for utterance, _ in speech):
        held = [utterance.split == "valid" for utterance, _ in speech]
    else:
        places: dict[str, list[int]] = defaultdict(list)
        for number, (utterance, _) in enumerate(speech):
            places[utterance.emotion].append(number)
        held = [False] * len(speech)
        for numbers in places.values():
            count = max(round(share * len(numbers)), 1) if share > 0 and len(numbers) > 2 else 0
            for place in np.linspace(0, len(numbers) - 1, count + 2)[1:-1].round().astype(int):
                held[numbers[place]] = True
    return (
        [item for item, out in zip(speech, held, strict=True) if not out],
        [item for item, out in zip(speech, held, strict=True) if out],
    )


def check_table(folder: str | Path, table: str | Path) -> None:
    """Keep a copy of `table` in a run's `folder`.

    Raises `OptionError` where the run there has a checkpoint and learnt from a table with another text: it would go
    on, or be found at its end, without the new clips.
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
    """Adapt the tagger in folder `start` to the clips of the table `clips`; returns the new tagger's folder.

    Raises `OptionError` where a clip has an emotion that the tagger never learnt, or an unknown split, where all are
    held out, and where the output folder holds a run on other clips.
    """
    h = dict(hparams)
    check_scores(h)
    if h["keep"] == "pattern_error":
        raise OptionError(
            "keep: found pattern_error, expected last, nll or uar: clips are heard in no patterns"
        )
    start = Path(h["start"])
    model, description = load_tagger(tagger_folder(start))
    model.merge_low_rank()  # low-rank changes from its own training are part of it now
    speech = without_test(read_clips(h["clips_table"]), h["clips_table"])
    if unknown := sorted({u.emotion for u, _ in speech} - set(model.labels)):
        raise OptionError(
            f"{h['clips_table']}: found emotions {', '.join(unknown)}, expected those that the tagger learnt:"
            f" {', '.join(model.labels)}"
        )
    check_table(h["output_folder"], h["clips_table"])
    learnt, held = hold_out(speech, h["held_out"])
    if not learnt:
        raise OptionError(
            f"{h['clips_table']}: found only clips that are held out, expected some to learn from"
        )
    main = description["labels"]
    judged = [item for item in held if item[0].emotion in main]
    if not judged:
        _log.warning("no clips are held out: nothing tells when to stop, the last epoch is kept")
        judged = [item for item in learnt if item[0].emotion in main]
        h["keep"] = "last"
    numbers = trainable_parts(model, h["parts"], h["lora_rank"], h["lora_alpha"])
    _log.info("%d clips to learn from, %d held out, %d numbers to learn", len(learnt), len(held), numbers)
    h["labels"] = main
    h["card"] = {**description["card"], **h["card"], "adapted_from": description["card"].get("name", "")}
    sampler = ClipSampler(learnt, model.labels, main, h["clips"], h["augmentation"], h["seed"])
    return fit(
        h,
        model.train(),
        sampler,
        learnt,
        lambda tagger: evaluate(tagger, judged, [], main),
        run_options,
    )
