"""A run that is killed while writing a checkpoint resumes from the previous one."""

import pytest
import torch
from tones import ROOT

from sed.training.checkpoints import PART, Checkpointer

SpeechBrainCheckpointer = Checkpointer.__base__


class Killed(BaseException):
    """Simulates a signal: not caught, no clean-up."""


@pytest.fixture
def weights():
    return {"first": torch.nn.Linear(2, 2), "second": torch.nn.Linear(2, 2)}


def set_biases(weights, value):
    for module in weights.values():
        torch.nn.init.constant_(module.bias, value)


def killed_at(file):
    def kill(module, path):
        path.write_bytes(b"PK\3\4 half a file")
        raise Killed

    return {file: kill}


@pytest.mark.parametrize("file", ["first", "second"])
def test_an_interrupted_save_is_not_a_checkpoint(weights, tmp_path, file):
    set_biases(weights, 1.0)
    Checkpointer(tmp_path, weights).save_and_keep_only(meta={"uar": 0.5}, num_to_keep=3)
    set_biases(weights, 2.0)
    with pytest.raises(Killed):
        Checkpointer(tmp_path, weights, custom_save_hooks=killed_at(file)).save_checkpoint({"uar": 0.9})
    for criterion in ({}, {"max_key": "uar"}):
        set_biases(weights, 3.0)
        assert Checkpointer(tmp_path, weights).recover_if_possible(**criterion).meta["uar"] == 0.5
        assert weights["second"].bias.tolist() == [1.0, 1.0]
    assert list(tmp_path.glob(f"{PART}*")), "killed while writing"
    saved = Checkpointer(tmp_path, weights).save_checkpoint()
    assert saved.path.is_dir() and all(p.is_file() for p in saved.paramfiles.values())
    assert {path.name[:4] for path in tmp_path.iterdir()} == {"CKPT"}, "leftovers are deleted"


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "no meta"])
def test_incomplete_checkpoints_of_older_runs_are_skipped(weights, tmp_path, damage, caplog):
    set_biases(weights, 1.0)
    complete = SpeechBrainCheckpointer(tmp_path, weights).save_checkpoint()
    set_biases(weights, 2.0)
    incomplete = SpeechBrainCheckpointer(tmp_path, weights).save_checkpoint()
    file = incomplete.path / ("CKPT.yaml" if damage == "no meta" else "second.ckpt")
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 300 if damage == "cut" else 0])
    assert Checkpointer(tmp_path, weights).recover_if_possible().path == complete.path
    assert weights["first"].bias.tolist() == [1.0, 1.0]
    assert f"incomplete files: {file.name}" in caplog.text


def test_every_recipe_uses_the_atomic_checkpointer():
    for recipe in (ROOT / "hparams").glob("*.yaml"):
        assert "!new:speechbrain.utils.checkpoints" not in recipe.read_text(), recipe
