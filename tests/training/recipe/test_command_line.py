"""Mistyped command lines end in one sentence, exit status 1, and nothing written."""

import shutil
from pathlib import Path

import pytest
import torch
from tones import ROOT, SHORT, make_corpora, run

from sed.cli import train as train_command
from sed.errors import OptionError
from sed.training.recipe.command_line import split_arguments

RECIPE = str(ROOT / "hparams" / "logmel.yaml")


def said(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        train_command.main(arguments)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert stop.value.code == 1 and error.startswith("sed-train: ")
    return error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ecoder_rate", "0.1"], "no key ecoder_rate in"),
        (["--ecoder_rate", "0.1"], "did you mean encoder_rate?"),
        (["--steps", "abc"], "steps: found 'abc', expected a whole number, as 1800 in"),
        (["--seed", "2.5"], "seed: found 2.5, expected a whole number"),
        (["--head_rate", "fast"], "head_rate: found 'fast', expected a number"),
        (["--labels", "[neutral"], "--labels: found [neutral, expected YAML: "),
        (["--seed", "3", "stray"], "--seed: found the words 3 stray, expected one value"),
        (["--seed=3", "stray"], "--seed: found the words 3 stray, expected one value"),
        (["--debug", "stray"], "found the words stray, expected --key value"),
        (["--seed"], "--seed: found no value"),
        (["--clips", "{lenght: [1,2]}"], "lenght"),
        (["--clips", "3"], "clips: found 3, expected options such as '{name: value}'"),
        (["--nonfinite_patience", "long"], "--nonfinite_patience: invalid int value: 'long'"),
        (["--test_only"], "test_only: not an option of sed's recipes, expected sed-run --tagger FOLDER"),
        (
            ["--max_grad_norm", "5.0"],
            "max_grad_norm: not an option of sed's recipes, expected the recipe's key clip",
        ),
        (["--ckpt_interval_steps=3"], "expected a smaller epoch_steps: checkpoints come after each epoch"),
        (["--jit"], "jit: not an option of sed's recipes, expected compile"),
        (
            ["--card", "words"],
            "card: found 'words', expected names with values, as {'name': 'emotion-logmel'",
        ),
        (["--epochs", "-1"], "epochs: found -1, expected 1 or more"),
        (["--epoch_steps", "0"], "epoch_steps: found 0, expected 1 or more"),
        (["--workers", "-1"], "workers: found -1, expected 0 or more"),
        (["--head_rate", ".nan"], "head_rate: found nan, expected 0 or more"),
        (["--weight_decay", ".inf"], "weight_decay: found inf, expected 0 or more"),
        (["--clip_norm", "-1"], "clip_norm: found -1, expected more than 0"),
        (["--label_smoothing", "2"], "label_smoothing: found 2, expected 0 to 1"),
        (["--ema_decay", "1"], "ema_decay: found 1, expected 0 to less than 1"),
        (["--seed", "-1"], "seed: found -1, expected 0 to 4294967295"),
        (
            ["--card", "{window: 12345}"],
            "card.window: found 12345, expected a positive multiple of 320 samples",
        ),
        (["--card", "{window: null}"], "card.window: found None, expected"),
        (
            ["--precision", "fp16", "--device", "cpu"],
            "precision: found fp16, expected bf16 or fp32 on a proc",
        ),
        (
            ["--clips", "{length: [1.0]}"],
            "length: found [1.0], expected two numbers of 0.02 or more, the lower",
        ),
        (["--clips", "{length: [3.0, 1.0]}"], "length: found [3.0, 1.0], expected two numbers"),
        (["--clips", "{gap: [-1.0, 0.0]}"], "gap: found [-1.0, 0.0], expected two numbers of 0 or more"),
        (["--clips", "{level_spread: -1}"], "level_spread: found -1, expected 0 or more"),
        (["--clips", "{pattern_share: 2}"], "pattern_share: found 2, expected 0 to 1"),
        (["--clips", "{corpus_power: .nan}"], "corpus_power: found nan, expected a finite number"),
        (
            ["--augmentation", "{gain_range: [6, -20]}"],
            "gain_range: found [6, -20], expected two numbers, the l",
        ),
        (
            ["--augmentation", "{speed_range: [0, 1]}"],
            "speed_range: found [0, 1], expected two numbers of 0.1",
        ),
        (["--augmentation", "{noise: 2}"], "noise: found 2, expected 0 to 1"),
        (["--augmentation", "{codec: 1, codecs: []}"], "codecs: found none, expected some"),
        (["--tagger", "{dilations: [0]}"], "a dilation of 0: expected 1 or more"),
        (["--tagger", "{head_width: -1}"], "logmel.yaml: Trying to create tensor with negative dimension"),
        (["--device", "toaster"], "device: found 'toaster', expected cpu or cuda"),
        (["--device", f"cuda:{torch.cuda.device_count()}"], "CUDA devices here, or cpu"),
    ],
)
def test_what_is_mistyped_is_said_in_one_line(arguments, message, tmp_path, capsys):
    assert message in said([RECIPE, "--output_folder", str(tmp_path / "out"), *arguments], capsys)
    assert not list(tmp_path.rglob("hyperparams.yaml"))


def test_layers_below_none(tmp_path, capsys):
    recipe = str(ROOT / "hparams" / "probe.yaml")
    assert "-1 layers: expected 0 or more" in said(
        [recipe, "--output_folder", str(tmp_path), "--layers", "-1"], capsys
    )


def test_what_is_no_recipe(tmp_path, capsys):
    assert "README.md: " in said([str(ROOT / "README.md")], capsys)
    for name, content in (("words.yaml", b"words"), ("bytes.yaml", b"\xff\xfe\x00"), ("empty.yaml", b"")):
        (tmp_path / name).write_bytes(content)
        assert f"{name}: " in said([str(tmp_path / name)], capsys)


def test_an_output_folder_that_cannot_be_one(tmp_path, capsys):
    (tmp_path / "file").write_text("here")
    for place in (tmp_path / "file", tmp_path / "file" / "below", "/proc/nothing"):
        assert str(place) in said([RECIPE, "--output_folder", str(place)], capsys)
    assert (tmp_path / "file").read_text() == "here"


def test_a_folder_may_have_an_equals_sign(tmp_path):
    corpora = make_corpora(tmp_path / "corpora")
    options = {**SHORT, "steps": 1, "epoch_steps": 1, "epochs": 1, "valid_clips": 2}
    options |= {"tagger": "{head_width: 8, dilations: [1]}", "corpora": corpora}
    assert run("logmel", tmp_path / "lr=0.1", **options) == tmp_path / "lr=0.1" / "tagger"
    assert (tmp_path / "lr=0.1" / "hyperparams.yaml").is_file()


def test_values_behind_a_blank_or_an_equals_sign():
    words = ["--a=1", "--b", "-2", "--c", "[x,", "y]", "--weights", "", "--device", "cpu", "--debug"]
    assert split_arguments(words, {"device", "debug"}) == (
        "a: 1\nb: -2\nc: [x, y]\nweights: \n",
        ["--device", "cpu", "--debug"],
    )
    for word in ("--", "stray"):
        with pytest.raises(OptionError, match=f"found the word '{word}', expected --key value"):
            split_arguments([word], set())


def test_a_trial_leaves_a_trained_folder_alone(tmp_path, capsys):
    corpora = make_corpora(tmp_path / "corpora")
    tiny = {**SHORT, "corpora": corpora, "valid_clips": 2, "steps": 6, "epoch_steps": 3, "epochs": 2}
    tiny |= {
        "clips": "{length: [1.0, 1.0], batch_seconds: 4.0}",
        "tagger": "{head_width: 16, dilations: [1]}",
    }
    folder = run("logmel", tmp_path / "out", **tiny)

    def kept():  # but for the log, which SpeechBrain goes on writing as long as this process lives
        files = (path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.name != "log.txt")
        return {path: path.read_bytes() for path in files}

    before = kept()
    words = [word for key, value in tiny.items() for word in (f"--{key}", str(value))]
    arguments = [RECIPE, "--output_folder", str(tmp_path / "out"), *words, "--debug"]
    train_command.main(arguments, standalone_mode=False)
    trial = Path(capsys.readouterr().out.strip().splitlines()[-1])
    assert (trial / "tagger.safetensors").is_file() and trial != folder
    assert before == kept()
    shutil.rmtree(trial.parent)
