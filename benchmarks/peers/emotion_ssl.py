"""A self-supervised encoder trained by frames, the fair peer of a frame tagger: WavLM base with low-rank matrices.

In: the utterances of the comparison, and an encoder of transformers (a folder or a name on the hub). Out: a
`FrameTagger`. It is trained by the recipe ``hparams/wavlm_large.yaml`` with LoRA on every layer and a learned sum over
the layers, on the clips, the augmentation, the rates and the number of steps of ``hparams/compact.yaml``: what differs
from our recipe is the network alone. Of all epochs the one with the best patterns on `valid` is kept.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.peers.emotion_systems import FrameTagger
from sed.emotion import load_tagger
from sed.training.data.clips import Speech
from sed.training.recipe.run import run_recipe

HPARAMS = Path(__file__).parents[2] / "hparams"
NAME = "WavLM base, LoRA, by frames"
RANK = 8
STEPS = 2000  # as in compact.yaml; hours on a CPU, minutes on a GPU
EPOCHS = 10


def train_ssl(
    encoder: str | Path,
    labels: Sequence[str],
    speech: tuple[Speech, Speech],
    cache: Path | None = None,
    steps: int = STEPS,
    device: str = "cpu",
    **changes: Any,
) -> FrameTagger:
    """Train `encoder` on the first of `speech`, and keep the best epoch on the second.

    The run is in the folder ``ssl`` of `cache`, where it resumes (None: a new folder). `changes` replace values of the
    recipe.
    """
    folder = cache / "ssl" if cache else Path(tempfile.mkdtemp(prefix="sed-ssl-"))
    options = {
        "corpora": str(write_manifest(folder / "manifest.csv", *speech)),
        "encoder": str(encoder),
        "output_folder": str(folder / "run"),
        "labels": list(labels),
        "epochs": min(EPOCHS, steps),
        "epoch_steps": -(-steps // EPOCHS),
        "lora_rank": RANK,
        "layer_states": "sum",
        **frame_recipe(steps),
        **changes,
    }
    trained = run_recipe(HPARAMS / "wavlm_large.yaml", options, {"device": device})
    how = f"LoRA of rank {RANK} and a linear layer per frame, {steps} steps of our frame recipe"
    return FrameTagger(NAME, load_tagger(trained), labels, how)


def frame_recipe(steps: int = STEPS) -> dict[str, Any]:
    """What the recipe of the compact tagger says about clips, augmentation and learning, for another network and a run
    of `steps`."""

    class Plain(yaml.SafeLoader):
        """Entries with a tag are their arguments."""

    def plain(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
        return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None

    Plain.add_multi_constructor("!", plain)
    values = yaml.load((HPARAMS / "compact.yaml").read_text(encoding="utf-8"), Plain)  # a SafeLoader
    names = (
        "encoder_rate",
        "head_rate",
        "weight_decay",
        "clip_norm",
        "label_smoothing",
        "run_weight",
        "ema_decay",
    )
    found = {name: values[name] for name in names}
    # the other recipe mixes patterns into whole utterances: every key of both is stated
    clips = {"whole": False, "batch_clips": 0, "neutral_weight": 1.0, **values["clips"]}
    found |= {name: round(values[name] * steps / values["steps"]) for name in ("warmup_steps", "decay_steps")}
    return {**found, "clips": clips, "augmentation": values["augmentation"]}


def write_manifest(path: Path, train: Speech, valid: Speech) -> Path:
    """A manifest of these utterances only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["corpus", "path", "speaker", "emotion", "split"])
        for split, speech in (("train", train), ("valid", valid)):
            for utterance, _ in speech:
                speaker = utterance.speaker.removeprefix(f"{utterance.corpus}/")
                writer.writerow(
                    [utterance.corpus, utterance.path.resolve(), speaker, utterance.emotion, split]
                )
    return path
