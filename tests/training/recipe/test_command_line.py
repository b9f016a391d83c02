"""Invalid command lines give a one-line error and exit status 1, and write nothing."""

import shutil
from pathlib import Path

import pytest
import torch
from tones import ROOT, SHORT, make_corpora, run

from sed.cli import train as train_command
from sed.errors import OptionError
from sed.training.recipe.command_line import split_arguments

RECIPE = str(ROOT / "hparams" / "logmel.yaml")


def error_line(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        train_command.main(arguments)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert stop.value.code == 1 and error.startswith("sed-train: ")
    return error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ecoder_rate", "0.1"], "no key ecoder_rate in"),
        (["--ecoder_rate", "0.1"], "did you mean encoder_rate?"),
        (["--steps", "abc"], "steps: found 'abc', expected an integer, as 1800 in"),
        (["--seed", "2.5"], "seed: found 2.5, expected an integer"),
        (["--head_rate", "fast"], "head_rate: found 'fast', expected a number"),
        (["--labels", "[neutral"], "--labels: found [neutral, expected YAML: "),
        (["--seed", "3", "stray"], "--seed: found the values 3 stray, expected one value"),
        (["--seed=3", "stray"], "--seed: found the values 3 stray, expected one value"),
        (["--debug", "stray"], "found the arguments stray, expected --key value"),
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
            "precision: found fp16, expected bf16 or fp32 on a CPU",
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
def test_invalid_arguments_are_reported_in_one_line(arguments, message, tmp_path, capsys):
    assert message in error_line([RECIPE, "--output_folder", str(tmp_path / "out"), *arguments], capsys)
    assert not list(tmp_path.rglob("hyperparams.yaml"))


def test_a_negative_number_of_layers(tmp_path, capsys):
    recipe = str(ROOT / "hparams" / "probe.yaml")
    assert "-1 layers: expected 0 or more" in error_line(
        [recipe, "--output_folder", str(tmp_path), "--layers", "-1"], capsys
    )


def test_files_that_are_not_recipes(tmp_path, capsys):
    assert "README.md: " in error_line([str(ROOT / "README.md")], capsys)
    for name, content in (("words.yaml", b"words"), ("bytes.yaml", b"\xff\xfe\x00"), ("empty.yaml", b"")):
        (tmp_path / name).write_bytes(content)
        assert f"{name}: " in error_line([str(tmp_path / name)], capsys)


def test_an_unusable_output_folder(tmp_path, capsys):
    (tmp_path / "file").write_text("here")
    for path in (tmp_path / "file", tmp_path / "file" / "below", "/proc/nothing"):
        assert str(path) in error_line([RECIPE, "--output_folder", str(path)], capsys)
    assert (tmp_path / "file").read_text() == "here"


@pytest.mark.slow
def test_a_folder_name_may_contain_an_equals_sign(tmp_path):
    corpora = make_corpora(tmp_path / "corpora")
    options = {**SHORT, "steps": 1, "epoch_steps": 1, "epochs": 1, "valid_clips": 2}
    options |= {"tagger": "{head_width: 8, dilations: [1]}", "corpora": corpora}
    assert run("logmel", tmp_path / "lr=0.1", **options) == tmp_path / "lr=0.1" / "tagger"
    assert (tmp_path / "lr=0.1" / "hyperparams.yaml").is_file()


def test_values_after_a_blank_or_an_equals_sign():
    arguments = ["--a=1", "--b", "-2", "--c", "[x,", "y]", "--weights", "", "--device", "cpu", "--debug"]
    assert split_arguments(arguments, {"device", "debug"}) == (
        "a: 1\nb: -2\nc: [x, y]\nweights: \n",
        ["--device", "cpu", "--debug"],
    )
    for argument in ("--", "stray"):
        with pytest.raises(OptionError, match=f"found the argument '{argument}', expected --key value"):
            split_arguments([argument], set())


@pytest.mark.slow
def test_a_debug_run_does_not_change_a_trained_folder(tmp_path, capsys):
    corpora = make_corpora(tmp_path / "corpora")
    tiny = {**SHORT, "corpora": corpora, "valid_clips": 2, "steps": 6, "epoch_steps": 3, "epochs": 2}
    tiny |= {
        "clips": "{length: [1.0, 1.0], batch_seconds: 4.0}",
        "tagger": "{head_width: 16, dilations: [1]}",
    }
    folder = run("logmel", tmp_path / "out", **tiny)

    def contents():  # without the log, to which SpeechBrain writes until this process ends
        files = (path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.name != "log.txt")
        return {path: path.read_bytes() for path in files}

    before = contents()
    changes = [part for key, value in tiny.items() for part in (f"--{key}", str(value))]
    arguments = [RECIPE, "--output_folder", str(tmp_path / "out"), *changes, "--debug"]
    train_command.main(arguments, standalone_mode=False)
    debug_folder = Path(capsys.readouterr().out.strip().splitlines()[-1])
    assert (debug_folder / "tagger.safetensors").is_file() and debug_folder != folder
    assert before == contents()
    shutil.rmtree(debug_folder.parent)
