"""``sed-export FOLDER... model.onnx [--int8]``: export a trained tagger to one ONNX file, calibrated and checked.

The weights of several folders (of one recipe, started from the same weights) are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import click

from sed.cli.base import command
from sed.errors import ModelError, OptionError


@command("sed-export", extras="wavlm,export", help=__doc__)
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--int8", is_flag=True, help="Write 8-bit weights: a third of the size.")
@click.option(
    "--corpora",
    type=click.Path(path_type=Path),
    help="A manifest, or a folder with one: calibrate posteriors on its split `valid`.",
)
@click.option(
    "--ordinary",
    multiple=True,
    type=click.Path(path_type=Path),
    help="With --corpora, a manifest of ordinary speech (repeatable): its split `valid` stands for the neutral speech "
    "of the recordings that posteriors are calibrated for.",
)
@click.option(
    "--neutral",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="With --ordinary: the share of neutral speech in these recordings.",
)
@click.option(
    "--temperature", type=click.FloatRange(0.05, 20), help="Divide logits by this instead of calibrating."
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Copy the calibration of this exported tagger, of the same recipe, trained on fewer speakers.",
)
def main(
    folders: tuple[Path, ...],
    target: Path,
    int8: bool,
    corpora: Path | None,
    ordinary: tuple[Path, ...],
    neutral: float,
    temperature: float | None,
    calibration: Path | None,
) -> None:
    """Entry point."""
    if temperature is not None and math.isnan(temperature):
        raise click.UsageError("--temperature: found nan, expected a number from 0.05 to 20")
    if temperature is not None and calibration is not None:
        raise click.UsageError("--temperature cannot be combined with --calibration")
    if ordinary and corpora is None:
        raise click.UsageError("--ordinary without --corpora: expected both")
    for line in export(folders, target, int8, corpora, temperature, calibration, ordinary, neutral):
        click.echo(line)


def export(
    folders: tuple[Path, ...],
    target: Path,
    int8: bool,
    corpora: Path | None,
    temperature: float | None,
    calibration_file: Path | None = None,
    ordinary: Sequence[Path] = (),
    neutral: float = 0.5,
) -> list[str]:
    """Write `target` from the weight average of the taggers in `folders` (of runs or of taggers); returns the lines of
    a summary. The calibration is that of `calibration_file`, a temperature, or fitted on the split `valid` of
    `corpora`, with `ordinary` for recordings of which `neutral` is neutral (`fit_calibration`)."""
    from sed.corpora.audio import load_speech, read_manifest, to_float
    from sed.emotion.tagger import MULTI_LABEL
    from sed.networks.averaging import load_mean
    from sed.networks.store import WEIGHTS, tagger_folder
    from sed.training.export.calibration import Calibration, fit_calibration, read_calibration
    from sed.training.export.onnx import export_onnx, largest_difference, sha256, trial_waves
    from sed.training.objectives.dimensions import mean_head
    from sed.training.start import open_start

    if target.suffix.lower() != ".onnx" or target.is_dir():
        found = "a folder" if target.is_dir() else "another suffix"
        raise ModelError(f"{target}: found {found}, expected the output file last, such as model.onnx")
    if parent := next((path for path in target.parents if path.exists() and not path.is_dir()), None):
        raise ModelError(f"{target}: {parent} is a file, expected a folder")
    model, description = load_mean(folders) if len(folders) > 1 else open_start(folders[0])
    labels = description["labels"]
    independent = bool(description["card"].get(MULTI_LABEL))
    if independent and (ordinary or temperature is not None or calibration_file is not None):
        raise OptionError(
            f"{folders[0]}: found a tagger with independent labels, which has no calibration: expected no --ordinary,"
            " --temperature or --calibration"
        )
    max_samples = model.max_samples
    waves = trial_waves(max_samples)
    speech = None if corpora is None else load_speech(read_manifest(corpora, ["valid"], labels))
    if calibration_file is not None:
        calibration = read_calibration(calibration_file, labels)
    elif temperature is not None:
        calibration = Calibration(temperature)
    else:
        talk = load_speech(read_manifest(ordinary, ["valid"])) if ordinary else []
        calibration = (
            Calibration()
            if speech is None or independent
            else fit_calibration(model, speech, labels, ordinary=talk, neutral=neutral)
        )
    if speech is not None:
        waves = [to_float(samples)[:max_samples] for _, samples in speech[:: max(1, len(speech) // 12)]]
    weights = [path for folder in folders if (path := tagger_folder(folder) / WEIGHTS).is_file()]
    sources = [sha256(path) for path in weights]  # none of a model of another library
    card = {**description["card"], "source_sha256": sources[0] if len(sources) == 1 else sources}
    head = mean_head([tagger_folder(folder) for folder in folders])
    tagger = export_onnx(model, target, labels, card, calibration, int8, waves if speech else (), head)
    difference = largest_difference(model, tagger, waves, head)
    dimensions = f", dimensions {' '.join(tagger.dimensions)}" if tagger.dimensions else ""
    return [
        f"{target}: {target.stat().st_size / 1e6:.1f} MB, labels {' '.join(labels)}{dimensions}",
        f"temperature {calibration.temperature}, offsets {' '.join(map(str, calibration.offsets)) or 'none'}",
        f"largest difference of a posterior from the original: {difference:.2g} ({len(waves)} clips)",
        f"SHA-256 {sha256(target)}",
    ]


if __name__ == "__main__":
    main()
