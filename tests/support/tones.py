"""Tiny corpora whose "emotions" are tones of four pitches, and helpers that run recipes on them."""

from pathlib import Path

import numpy as np
import soundfile

from sed.training.recipe.run import run_command

ROOT = Path(__file__).resolve().parents[2]
RATE = 16_000
PITCH = {"neutral": 300, "happy": 900, "angry": 2000, "sad": 4000}
LABELS = list(PITCH)

TINY_COMPACT = (
    "{layers: 1, width: 16, heads: 2, feedforward: 32, head_width: 16, positions: 300, head_dropout: 0.1,"
    " spec_augment: 0, train_stem: True, frozen_layers: 0, voice: False, fusion: 0, shares: []}"
)
QUIET = (
    "{speed: 0, reverberation: 0, equaliser: 0, telephone: 0, clipping: 0, noise: 0.2, gain_range: [-6, 6]}"
)
SHORT = {
    "steps": 20,
    "epochs": 2,
    "epoch_steps": 10,
    "warmup_steps": 2,
    "decay_steps": 5,
    "head_rate": 0.01,
    "encoder_rate": 0.01,
    "valid_clips": 8,
    "augmentation": QUIET,
    "clips": "{length: [1.0, 2.0], batch_seconds: 9.0}",
}


def tone(pitch, samples=RATE, seed=0, level=0.1):
    noise = 0.003 * np.random.default_rng(seed).standard_normal(samples)
    return (level * np.sin(np.arange(samples) * 2 * np.pi * pitch / RATE) + noise).astype(np.float32)


def make_corpora(folder, corpora=("one", "two"), shift=1.0, columns=None):
    """Write corpora with one speaker in each of two splits: manifest and audio. `columns` maps names of additional
    columns to functions of the emotion; `shift` multiplies all pitches."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = columns or {}
    rows = [",".join(["corpus,path,speaker,emotion,split", *columns])]
    for index, corpus in enumerate(corpora):
        for split in ("train", "valid"):
            for number, (emotion, pitch) in enumerate(PITCH.items()):
                name = f"{corpus}-{split}-{emotion}.wav"
                soundfile.write(folder / name, tone(shift * pitch, seed=10 * index + number), RATE)
                cells = [str(value(emotion)) for value in columns.values()]
                rows.append(",".join([corpus, name, split, emotion, split, *cells]))
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def run(recipe, output, **options):
    """Run ``hparams/RECIPE.yaml`` like ``sed-train``; returns the tagger's folder."""
    arguments = [str(ROOT / "hparams" / f"{recipe}.yaml")]
    if recipe == "compact":
        options = {"voice_weights": "", **options}
    for key, value in {"output_folder": output, **options}.items():
        arguments += [f"--{key}", str(value)]
    return run_command(arguments)


def losses(output):
    """The training losses in a run's log."""
    lines = (Path(output) / "valid.log").read_text().splitlines()
    return [float(line.split("loss")[1].split()[0]) for line in lines if "loss" in line]


def log(output):
    """The lines of a run's log."""
    return (Path(output) / "valid.log").read_text().splitlines()
