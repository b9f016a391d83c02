"""The recipe of task-adaptive pretraining (TAPT): an encoder and unlabelled speech in, an encoder folder out.

The encoder goes on learning to predict masked frames, on the speech that a tagger is for, before it is fine-tuned
(Gururangan et al., ACL 2020; for emotion Chen & Rudnicky, ICASSP 2023). No label is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from torch import Tensor
from torch.nn import functional

from sed.corpora.audio import Utterance, read_manifest
from sed.corpora.durations import audio_durations
from sed.corpora.splits import draw_splits
from sed.errors import AudioError, OptionError
from sed.files import save_bytes
from sed.networks.masked import MaskedEncoder, save_encoder
from sed.training.brain import TaggerBrain
from sed.training.data.clips import Batch, Speech
from sed.training.data.frame_states import encoder_states, tagger_states
from sed.training.data.loading import recipe_speech
from sed.training.data.unlabelled import audio_files
from sed.training.pretraining.clips import MaskedClips
from sed.training.pretraining.clusters import cluster_frames, stored_clusters
from sed.training.recipe import checks
from sed.training.schedule import NumberedBatches
from sed.training.smoke import few, shorten, state_outcome, with_smoke

PIECE = 20.0  # seconds: long recordings are used in pieces


@dataclass(frozen=True)
class MaskedReport:
    """The mean negative log-likelihood and the accuracy of the masked frames of held-out speech."""

    nll: float
    accuracy: float

    def scores(self) -> dict[str, float]:
        """The scores that checkpoints are compared by."""
        return {"nll": self.nll, "accuracy": self.accuracy}

    def __str__(self) -> str:
        return f"masked nll {self.nll:.4f}  accuracy {100 * self.accuracy:.1f}"


class MaskedBrain(TaggerBrain):
    """A `TaggerBrain` whose network does not see the frames that have a target."""

    def compute_forward(self, batch: Batch, stage: sb.Stage) -> Tensor:
        """Logits ``(B, F, clusters)``."""
        return _logits(self.modules["tagger"], batch, self.device)


@with_smoke
def pretrain(hparams: Mapping[str, Any], run_options: Mapping[str, Any] | None = None) -> Path:
    """Continue the pretraining of ``tagger`` (a `MaskedEncoder`) with `hparams`, from the newest checkpoint if there is
    one; returns the folder of the encoder, which recipes take as ``--encoder``.

    Raises `OptionError` on a score that there is not, and without speech to hold out.
    """
    h, options = dict(hparams), dict(run_options or {})
    if h["keep"] not in ("last", "nll"):
        raise OptionError(f"keep: found {h['keep']!r}, expected last or nll")
    checks.check_schedule(h, options)
    rows = held_out([*_manifest_rows(h), *_pieces(h["unlabelled"])], h["held_out"], h["seed"])
    if h.get("smoke"):
        shorten(h)
        rows = tuple(few(part) for part in rows)  # type: ignore[assignment]
    train, valid = (recipe_speech(h, part) for part in rows)
    model: MaskedEncoder = h["tagger"]
    model.load_encoder(h["encoder_weights"])
    clusters = _clusters(h, model, train, valid, options)
    sampler = MaskedClips(train, clusters[: len(train)], h["masks"], h["seed"])
    held = MaskedClips(valid, clusters[len(train) :], h["masks"], h["seed"] + 1)
    folder = _fit(h, model, sampler, held, options)
    if h.get("smoke"):
        state_outcome(h, sampler)
    return folder


def held_out(rows: list[Utterance], share: float, seed: int) -> tuple[list[Utterance], list[Utterance]]:
    """`rows` to train on and to validate with: those of the split ``valid``, or where there are none, those of a
    `share` of the speakers (files of unlabelled audio), at least one.

    Raises `OptionError` if there is nothing on one side.
    """
    if not any(row.split == "valid" for row in rows):
        drawn = draw_splits({row.speaker: "" for row in rows}, seed, valid=0.0, test=share)
        parts = [[row for row in rows if (drawn[row.speaker] == "test") is out] for out in (False, True)]
    else:
        parts = [[row for row in rows if (row.split == "valid") is out] for out in (False, True)]
    if not all(parts):
        raise OptionError(
            f"found {len(parts[0])} utterances to train on and {len(parts[1])} to hold out, expected some of both:"
            " speech of two speakers or files, or of a split valid"
        )
    return parts[0], parts[1]


def _manifest_rows(h: Mapping[str, Any]) -> list[Utterance]:
    """The utterances of the manifests, of the splits to train on and of ``valid``."""
    if not h["corpora"]:
        return []
    splits = {*(checks.as_list(h["splits"])), "valid"}
    if "test" in splits:
        raise OptionError(
            "splits: found test, expected train, valid or both: test speakers are not for training"
        )
    rows = read_manifest(h["corpora"], splits, (), checks.as_list(h["leave_out"]))
    as_training = "valid" in checks.as_list(h["splits"])
    return [replace(row, split="train") if as_training else row for row in rows]


def _pieces(paths: Any) -> list[Utterance]:
    """Unlabelled audio as utterances of at most `PIECE` seconds; each file is a speaker of its own."""
    if not checks.as_list(paths):
        return []
    rows = []
    for path, duration in audio_durations(audio_files(paths)).items():
        if isinstance(duration, AudioError):
            raise AudioError(f"cannot read {path}: {duration}")
        start = 0.0
        while start < duration:
            stop = min(start + PIECE, duration)
            rows.append(
                Utterance("unlabelled", path, f"unlabelled/{path}", "", "train", start=start, stop=stop)
            )
            start += PIECE
    return rows


def _clusters(
    h: Mapping[str, Any], model: MaskedEncoder, train: Speech, valid: Speech, options: Mapping[str, Any]
) -> list[Any]:
    """The cluster of every frame of `train`, then of `valid`; computed by the main process only."""
    device = str(options.get("device") or sb.utils.distributed.infer_device())
    names = ("seed", "encoder", "teacher", "cluster_layer", "clusters", "cluster_frames")
    stamp = {name: str(h[name]) for name in names}

    def make() -> Any:
        if h["teacher"]:
            states = tagger_states(h["teacher"], device)
        else:
            states = encoder_states(model, h["cluster_layer"], device)
        return cluster_frames((train, valid), states, h["clusters"], h["cluster_frames"], h["seed"])

    path = Path(h["output_folder"]) / "clusters.npz"
    if sb.utils.distributed.if_main_process():
        stored_clusters(path, stamp, (train, valid), make)
    sb.utils.distributed.ddp_barrier()
    return stored_clusters(path, stamp, (train, valid), make)


def _fit(
    h: dict[str, Any], model: MaskedEncoder, sampler: MaskedClips, held: MaskedClips, options: dict[str, Any]
) -> Path:
    """Train `model`; after each epoch the averaged encoder is written, and scored on the same held-out batches."""
    folder = Path(h["output_folder"]) / "encoder"

    def save(network: Any) -> None:
        if sb.utils.distributed.if_main_process():
            save_encoder(network, h["encoder_folder"], folder)

    def validate(network: Any) -> MaskedReport:
        checks.check_finite("weight", network.parameters(), brain.optimizer_step)
        save(network)
        return evaluate_masked(network, held, h["valid_batches"], brain.device)

    brain = MaskedBrain(
        modules={"tagger": model},
        hparams={key: value for key, value in h.items() if key != "tagger"},
        run_opts=options,
        checkpointer=h["checkpointer"],
        validate=validate,
        log_file=Path(h["log_file"]) if h["log_file"] else None,
    )
    brain.train_set = batches = NumberedBatches(sampler, h["epoch_steps"])
    loader = torch.utils.data.DataLoader(
        batches, batch_size=None, shuffle=False, num_workers=int(h["workers"])
    )
    brain.fit(h["epoch_counter"], loader, progressbar=False)
    scores = brain.load_best()
    save(brain.ema)
    if sb.utils.distributed.if_main_process():
        found = {"seed": h["seed"], "valid": scores}
        save_bytes((json.dumps(found, indent=1) + "\n").encode(), Path(h["output_folder"]) / "scores.json")
    return folder


def evaluate_masked(model: MaskedEncoder, held: MaskedClips, batches: int, device: Any) -> MaskedReport:
    """Scores of the masked frames of the first `batches` batches of `held`."""
    loss, right, frames = 0.0, 0, 0
    was_training = model.training
    model.eval()
    for number in range(batches):
        batch = held.batch(number)
        with torch.no_grad():
            logits = _logits(model, batch, device).float().cpu()
        targets = torch.from_numpy(batch.targets)
        kept = targets >= 0
        loss += float(functional.cross_entropy(logits[kept], targets[kept], reduction="sum"))
        right += int((logits[kept].argmax(1) == targets[kept]).sum())
        frames += int(kept.sum())
    model.train(was_training)
    return MaskedReport(loss / frames, right / frames)


def _logits(model: Any, batch: Batch, device: Any) -> Tensor:
    """Logits of `batch`, where frames with a target are masked."""
    assert batch.lengths is not None
    lengths = torch.from_numpy(batch.lengths).to(device)
    masked = torch.from_numpy(batch.targets >= 0).to(device)
    logits: Tensor = model(torch.from_numpy(batch.waves).to(device), lengths, masked)
    return logits
