"""The SpeechBrain Brain of the frame taggers, and its recipe: hyperparameters in, a tagger folder out.

One "epoch" is a fixed number of batches, numbered through the run; what batch ``n`` holds and what dropout
does in it follow from the seed and ``n`` alone, so a run that was stopped and resumed ends where an
uninterrupted one does. Validation and export use an exponential moving average of the weights.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sed._torchaudio import allow_missing_extension

allow_missing_extension()

import speechbrain as sb  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402

from sed.training.clips import Batch, ClipSampler, pattern_clips  # noqa: E402
from sed.training.corpora import load_speech, read_manifest  # noqa: E402
from sed.training.evaluation import Report, evaluate  # noqa: E402
from sed.training.folder import save_tagger  # noqa: E402

_log = logging.getLogger("sed.training")


def learning_rate_factor(step: int, steps: int, warmup: int, decay: int) -> float:
    """Share of the full learning rate at `step`: rises over `warmup` steps, then stays, then falls along a
    cosine to 0 over the last `decay` of `steps` steps.

    >>> [round(learning_rate_factor(step, 100, 10, 50), 6) for step in (0, 9, 50, 75, 100)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    rising = min(1.0, (step + 1) / max(warmup, 1))
    left = min(1.0, max(0.0, (steps - step) / max(decay, 1)))
    return rising * (0.5 - 0.5 * math.cos(math.pi * left))


def run_means(logits: Tensor, targets: Tensor, shortest: int = 10) -> tuple[Tensor, Tensor]:
    """Mean logits and target of every run of at least `shortest` frames with one target (-1 is none).

    `logits` is ``(B, F, C)``, `targets` ``(B, F)``; returns ``(runs, C)`` and ``(runs,)``.
    """
    change = torch.ones_like(targets, dtype=torch.bool)
    change[:, 1:] = targets[:, 1:] != targets[:, :-1]
    run = change.flatten().cumsum(0) - 1
    count = torch.bincount(run)
    label = targets.flatten()[change.flatten()]
    means = logits.new_zeros(len(count), logits.shape[2]).index_add(0, run, logits.flatten(0, 1))
    kept = (label >= 0) & (count >= shortest)
    return means[kept] / count[kept, None], label[kept]


def tagger_loss(logits: Tensor, targets: Tensor, smoothing: float, run_weight: float) -> Tensor:
    """Cross-entropy of the frames that have a target, and, by `run_weight`, of the mean logits of each run.

    Silence and padding have target -1 and do not count.
    """
    loss = functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=-1, label_smoothing=smoothing, reduction="sum"
    ) / (targets >= 0).sum().clamp(min=1)
    if run_weight:
        means, labels = run_means(logits, targets)
        if len(labels):
            loss = loss + run_weight * functional.cross_entropy(means, labels, label_smoothing=smoothing)
    return loss


class NumberedBatches(torch.utils.data.Dataset):
    """The batches of one epoch of one process: numbers that no other epoch or process has."""

    def __init__(self, sampler: ClipSampler, batches: int) -> None:
        self.sampler, self.batches = sampler, batches
        self.epoch, self.rank, self.world = 0, 0, 1

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < self.batches:
            raise IndexError(index)
        return self.sampler.batch(((self.epoch * self.batches) + index) * self.world + self.rank)


class TaggerBrain(sb.Brain):
    """Trains ``modules.tagger`` on `Batch` items.

    Needs in `hparams`: seed, steps, epoch_steps, warmup_steps, decay_steps, encoder_rate, head_rate,
    layer_decay, weight_decay, label_smoothing, run_weight, ema_decay, max_grad_norm. `validate` is called
    after each epoch with the averaged tagger and returns a `Report`.
    """

    def __init__(self, *args: Any, validate: Any, log_file: Path | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.validate, self.log_file = validate, log_file
        self.ema = copy.deepcopy(self.modules["tagger"]).eval().requires_grad_(False)
        self.report: Report | None = None
        if self.checkpointer is not None:
            self.checkpointer.add_recoverables({"tagger": self.modules["tagger"], "ema": self.ema})

    @property
    def _tagger(self) -> Any:
        tagger = self.modules["tagger"]
        return getattr(tagger, "module", tagger)  # unwrapped where training is distributed

    def init_optimizers(self) -> None:
        """AdamW with a rate for each layer; every rate follows `learning_rate_factor`."""
        h = self.hparams
        groups = self._tagger.groups(h.encoder_rate, h.head_rate, h.layer_decay)
        self.rates = [group["lr"] for group in groups]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=h.weight_decay)
        self.optimizers_dict = {"optimizer": self.optimizer}
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable("optimizer", self.optimizer)

    def on_fit_start(self) -> None:
        """Resume from the newest checkpoint. They are written at the end of an epoch, so a new one begins."""
        super().on_fit_start()
        self.step, self.avg_train_loss = 0, 0.0

    def compute_forward(self, batch: Batch, stage: sb.Stage) -> Tensor:
        """Logits ``(B, F, C)``."""
        return self.modules["tagger"](torch.from_numpy(batch.waves).to(self.device))

    def compute_objectives(self, predictions: Tensor, batch: Batch, stage: sb.Stage) -> Tensor:
        """The loss of `tagger_loss`."""
        targets = torch.from_numpy(batch.targets).to(self.device)
        return tagger_loss(predictions, targets, self.hparams.label_smoothing, self.hparams.run_weight)

    def on_fit_batch_start(self, batch: Batch, should_step: bool) -> None:
        """Set rates and the random state of this step, both functions of its number."""
        h = self.hparams
        factor = learning_rate_factor(self.optimizer_step, h.steps, h.warmup_steps, h.decay_steps)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        torch.manual_seed((h.seed * 1_000_003 + self.optimizer_step) * 1009 + rank)

    def on_fit_batch_end(self, batch: Batch, outputs: Tensor, loss: Tensor, should_step: bool) -> None:
        """Say now and then how it goes."""
        if self.optimizer_step % 20 == 0:
            _log.info("step %d  loss %.3f", self.optimizer_step, float(loss.detach()))

    def optimizers_step(self) -> None:
        """Clip over all parameter groups (SpeechBrain's own clips the first only), then step."""
        trainable = [p for p in self.modules.parameters() if p.requires_grad]
        torch.nn.utils.clip_grad_norm_(trainable, self.hparams.clip_norm)
        super().optimizers_step()
        # Averages over few steps at first, else the start would weigh on the average for long.
        decay = min(self.hparams.ema_decay, self.optimizer_step / (self.optimizer_step + 10))
        with torch.no_grad():
            for mean, new in zip(self.ema.parameters(), self._tagger.parameters(), strict=True):
                mean.lerp_(new, 1 - decay)

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Number the batches of this epoch."""
        if stage == sb.Stage.TRAIN and epoch is not None:
            self.train_set.epoch = epoch - 1

    def on_stage_end(self, stage: sb.Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Validate the averaged weights, log a line, save a checkpoint."""
        if stage != sb.Stage.TRAIN:
            return
        self.report = self.validate(self.ema)
        line = f"step {self.optimizer_step:5d}  loss {stage_loss:.3f}  {self.report}"
        _log.info(line)
        if self.log_file is not None and sb.utils.distributed.if_main_process():
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            with self.log_file.open("a", encoding="utf-8") as log:
                log.write(line + "\n")
        if self.checkpointer is not None:
            self.checkpointer.save_and_keep_only(meta=self.report.scores(), num_to_keep=3)


def train(hparams: Mapping[str, Any], run_options: Mapping[str, Any] | None = None) -> Path:
    """Train a frame tagger as `hparams` says, from the newest checkpoint in its folder if there is one.

    Returns the tagger's folder, ready for ``sed-export`` and for `sed.training.folder.load_tagger`.
    """
    h = dict(hparams)
    manifest = h["corpora"]  # a folder with a manifest, a manifest, or a list of them
    model = h["tagger"]
    labels, main = list(model.labels), list(h["labels"])
    left_out = h.get("leave_out") or ()
    speech = load_speech(read_manifest(manifest, ["train"], labels, left_out))
    valid = load_speech(read_manifest(manifest, ["valid"], main))
    clips = pattern_clips(valid, main, h["valid_clips"], seed=h["seed"])
    sampler = ClipSampler(speech, labels, main, h["clips"], h["augmentation"], h["seed"])
    if h.get("encoder_weights"):
        model.load_encoder(h["encoder_weights"])
    folder = Path(h["output_folder"]) / "tagger"

    def validate(tagger: torch.nn.Module) -> Report:
        if sb.utils.distributed.if_main_process():
            save_tagger(tagger, folder, main, h["card"])  # so there is something to export at any time
        return evaluate(tagger, valid, clips, main, h["valid_utterances"])

    brain = TaggerBrain(
        modules={"tagger": model},
        hparams={key: value for key, value in h.items() if key != "tagger"},
        run_opts=dict(run_options or {}),
        checkpointer=h.get("checkpointer"),
        validate=validate,
        log_file=Path(h["log_file"]) if h.get("log_file") else None,
    )
    batches = NumberedBatches(sampler, h["epoch_steps"])
    if torch.distributed.is_initialized():
        batches.rank, batches.world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    brain.train_set = batches
    loader = torch.utils.data.DataLoader(batches, batch_size=None, shuffle=False)
    brain.fit(h["epoch_counter"], loader, progressbar=False)
    if sb.utils.distributed.if_main_process():
        save_tagger(brain.ema, folder, main, h["card"])
    return folder
