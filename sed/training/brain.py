"""The SpeechBrain Brain of the frame taggers: batches in; trained weights, checkpoints and one log line per epoch out.

An "epoch" is a fixed number of batches, numbered through the run. The content of batch ``n`` and its dropout depend
only on the seed and ``n``, so a resumed run gives the same result as an uninterrupted one. Validation and export use
an exponential moving average of the weights.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from torch import Tensor

from sed.errors import MissingDependencyError, SedError, install_hint
from sed.training.data.clips import Batch
from sed.training.evaluation import Scored
from sed.training.objectives.base import FeatureTap, Objectives
from sed.training.objectives.losses import tagger_loss
from sed.training.recipe import checks
from sed.training.schedule import learning_rate_factor

_log = logging.getLogger("sed.training")


class TaggerBrain(sb.Brain):
    """Trains ``modules.tagger`` on `Batch` items, together with the optional `objectives`.

    Required in `hparams`: seed, steps, warmup_steps, decay_steps, encoder_rate, head_rate, layer_decay,
    weight_decay, label_smoothing, run_weight, ema_decay, clip_norm. Optional: betas, hard_weight (of the loss
    of the frame labels), class_weights ``(C,)`` and focus (see `tagger_loss`), each_branch (a separate loss for each
    branch of the tagger, see `FrameTagger.branch_logits`: trained jointly, one branch relies on the other), annealing
    (a scheduler such as NewBob, whose value multiplies all rates; with head_annealing, which multiplies those of the
    head instead) with annealing_score, tensorboard (whether to log to the folder ``tensorboard``), and keep: ``last``,
    or the score whose best checkpoint is kept. `validate` is called after each epoch with the averaged tagger and
    returns its scores, such as a `sed.training.evaluation.Report`.

    With several processes each reads different batches, and the gradients are averaged: ``N`` processes are
    equivalent to one with ``N`` times the epoch_steps and ``--grad_accumulation_factor N``, up to rounding.
    """

    def __init__(
        self,
        *args: Any,
        validate: Callable[[Any], Scored],
        log_file: Path | None,
        objectives: Objectives | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.validate, self.log_file = validate, log_file
        self.ema = copy.deepcopy(self.modules["tagger"]).eval().requires_grad_(False)
        self.report: Scored | None = None
        self.board: Any = None
        self.objectives: Objectives | None = None
        if objectives:
            self.objectives = objectives.to(self.device)
            self.modules["objectives"] = self.objectives
            self.objectives_ema = copy.deepcopy(self.objectives).eval().requires_grad_(False)
        self.tap = FeatureTap(self._tagger)
        if self.checkpointer is not None:
            self.checkpointer.add_recoverables({"tagger": self.modules["tagger"], "ema": self.ema})
            if self.objectives is not None:
                self.checkpointer.add_recoverables(
                    {"objectives": self.objectives, "objectives_ema": self.objectives_ema}
                )

    @property
    def _tagger(self) -> Any:
        tagger = self.modules["tagger"]
        return getattr(tagger, "module", tagger)  # unwrap DistributedDataParallel

    def init_optimizers(self) -> None:
        """AdamW with a learning rate for each layer, all scaled by `learning_rate_factor`."""
        h = self.hparams
        groups = self._tagger.parameter_groups(h.encoder_rate, h.head_rate, h.layer_decay)
        self.first_of_head = len(groups) - 1
        if self.objectives is not None and (parameters := list(self.objectives.parameters())):
            groups.append({"params": parameters, "lr": h.head_rate})
        self.rates = [group["lr"] for group in groups]
        betas = tuple(getattr(h, "betas", (0.9, 0.98)))
        self.optimizer = torch.optim.AdamW(groups, betas=betas, weight_decay=h.weight_decay)
        self.optimizers_dict = {"optimizer": self.optimizer}
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable("optimizer", self.optimizer)

    def on_fit_start(self) -> None:
        """Resume from the newest checkpoint, at the start of an epoch: checkpoints are written at epoch ends."""
        super().on_fit_start()
        self.step, self.avg_train_loss = 0, 0.0
        if getattr(self.hparams, "score_start", False) and not self.optimizer_step:
            self._validate_and_save(None)

    def fit_batch(self, batch: Batch | SedError) -> Tensor:
        """One step; raises the error if a worker could not make the batch."""
        if isinstance(batch, SedError):
            raise batch
        return super().fit_batch(batch)

    def compute_forward(self, batch: Batch, stage: sb.Stage) -> Tensor:
        """Logits ``(B, F, C)``."""
        waves = torch.from_numpy(batch.waves).to(self.device)
        if batch.lengths is None:
            return self.modules["tagger"](waves)
        return self.modules["tagger"](waves, torch.from_numpy(batch.lengths).to(self.device))

    def compute_objectives(self, predictions: Tensor, batch: Batch, stage: sb.Stage) -> Tensor:
        """The sum of `tagger_loss`, with `each_branch` for every branch, and the losses of the objectives."""
        h = self.hparams
        hard = batch.targets if self.objectives is None else self.objectives.hard_targets(batch)
        targets = torch.from_numpy(hard).to(self.device)
        features = self.tap.take()
        each_branch = getattr(h, "each_branch", False)
        branches = self._tagger.branch_logits(features) if each_branch else [predictions]
        weights = getattr(h, "class_weights", None)
        options = (
            h.label_smoothing,
            h.run_weight,
            None if weights is None else torch.as_tensor(weights, device=self.device),
            getattr(h, "focus", 0.0),
        )
        losses = [tagger_loss(logits, targets, *options) for logits in branches]
        loss = getattr(h, "hard_weight", 1.0) * torch.stack(losses).sum()
        if self.objectives is None:
            return loss
        if missing := predictions.shape[1] - features.shape[1]:  # some encoders return one frame less
            features = torch.cat([features, features[:, -1:].expand(-1, missing, -1)], 1)
        progress = self.optimizer_step / h.steps
        own = branches if each_branch else ()
        return loss + self.modules["objectives"](features, predictions, batch, progress, own)

    def on_fit_batch_start(self, batch: Batch, should_step: bool) -> None:
        """Set the learning rates and the random state of this step, both functions of its number."""
        h = self.hparams
        factor = learning_rate_factor(self.optimizer_step, h.steps, h.warmup_steps, h.decay_steps)
        annealing = [getattr(h, name, None) for name in ("annealing", "head_annealing")]
        encoder, head = (1.0 if each is None else each.hyperparam_value for each in annealing)
        for number, (group, rate) in enumerate(zip(self.optimizer.param_groups, self.rates, strict=True)):
            of_head = number >= self.first_of_head and annealing[1] is not None
            group["lr"] = rate * factor * (head if of_head else encoder)
        # A batch has the same index within its step for several processes and for gradient accumulation.
        per_process = self.grad_accumulation_factor
        part = self.train_set.rank * per_process + (self.step - 1) % per_process
        torch.manual_seed((h.seed * 1_000_003 + self.optimizer_step) * 1009 + part)

    def check_loss_isfinite(self, loss: Tensor) -> None:
        """A non-finite loss would turn every weight into NaN unless the step is skipped."""
        self.nonfinite_count += int(not torch.isfinite(loss))
        skips_step = self.scaler.is_enabled() or self.skip_nonfinite_grads
        if self.nonfinite_count > (self.nonfinite_patience if skips_step else 0):
            checks.check_finite("loss", [loss], self.optimizer_step + 1)

    def on_fit_batch_end(self, batch: Batch, outputs: Tensor, loss: Tensor, should_step: bool) -> None:
        """Log the loss every 20 steps."""
        if self.optimizer_step % 20 == 0:
            _log.info("step %d  loss %.3f", self.optimizer_step, float(loss.detach()))

    def optimizers_step(self) -> None:
        """Clip the gradients of all parameter groups (SpeechBrain clips the first only), step, update the average."""
        self.scaler.unscale_(self.optimizer)
        trainable = [p for p in self.modules.parameters() if p.requires_grad]
        torch.nn.utils.clip_grad_norm_(trainable, self.hparams.clip_norm)
        if not self.scaler.is_enabled() and self.skip_nonfinite_grads:
            self.check_gradients()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer_step += 1
        # Average over few steps at first; otherwise the initial weights would dominate the average for long.
        decay = min(self.hparams.ema_decay, self.optimizer_step / (self.optimizer_step + 10))
        averages: list[tuple[Any, Any]] = [(self.ema, self._tagger)]
        if self.objectives is not None:
            averages.append((self.objectives_ema, self.objectives))
        with torch.no_grad():
            for ema, module in averages:
                for mean, new in zip(ema.parameters(), module.parameters(), strict=True):
                    mean.lerp_(new, 1 - decay)

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Number the batches of this epoch."""
        if stage == sb.Stage.TRAIN and epoch is not None:
            self.train_set.epoch = epoch - 1

    def on_stage_end(self, stage: sb.Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Validate the averaged weights, log a line, save a checkpoint."""
        if stage == sb.Stage.TRAIN:
            self._validate_and_save(stage_loss)

    def _validate_and_save(self, loss: float | None) -> None:
        h = self.hparams
        self.report = self.validate(self.ema)
        scores = self.report.scores()
        line = f"step {self.optimizer_step:5d}  " + ("" if loss is None else f"loss {loss:.3f}  ")
        _log.info(line + str(self.report))
        if self.log_file is not None and sb.utils.distributed.if_main_process():
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            with self.log_file.open("a", encoding="utf-8") as log:
                log.write(f"{line}{self.report}\n")
        self._log_to_tensorboard(loss, scores)
        for name in ("annealing", "head_annealing"):
            if loss is not None and (annealing := getattr(h, name, None)):
                annealing(scores[h.annealing_score])
        if self.checkpointer is not None:
            self.checkpointer.save_and_keep_only(meta=scores, num_to_keep=3, **self._best())

    def _best(self) -> dict[str, list[str]]:
        keep = getattr(self.hparams, "keep", "last")
        return {} if keep == "last" else {"max_keys" if keep == "uar" else "min_keys": [keep]}

    def _log_to_tensorboard(self, loss: float | None, scores: dict[str, float]) -> None:
        h = self.hparams
        if not getattr(h, "tensorboard", False) or loss is None:
            return
        if self.board is None:
            self.board = make_tensorboard(Path(h.output_folder) / "tensorboard")
        rates = {f"rate/{n}": group["lr"] for n, group in enumerate(self.optimizer.param_groups)}
        before = h.epoch_counter.current - 1  # a resumed run continues the curves
        self.board.global_step = {
            "meta": before,
            "train": {"loss": before},
            "valid": dict.fromkeys(scores, before),
        }
        self.board.log_stats(rates, {"loss": loss}, scores)
        if self.board.writer is not None:  # only the main process has one
            self.board.writer.flush()

    def load_best(self) -> dict[str, float]:
        """With `keep` other than ``last``, load the best checkpoint; the newest of equal ones. Returns the scores of
        the weights in use, on the validation speakers."""
        if self.checkpointer is None:
            return self.report.scores() if self.report else {}
        choice: dict[str, Any] = {}
        if best := self._best():
            (name, (key,)), *_ = best.items()
            choice = {name.rstrip("s"): key}
            self.checkpointer.recover_if_possible(**choice)
        found = self.checkpointer.find_checkpoint(**choice)
        return {name: float(found.meta[name]) for name in checks.SCORES if found and name in found.meta}


def make_tensorboard(folder: Path) -> Any:
    """SpeechBrain's `TensorboardLogger`. Raises `MissingDependencyError` if tensorboard is not installed."""
    try:
        from speechbrain.utils.train_logger import TensorboardLogger

        return TensorboardLogger(str(folder))
    except ImportError as error:
        raise MissingDependencyError(
            f"tensorboard: True needs the package tensorboard ({error}): {install_hint('tensorboard')}"
        ) from error
