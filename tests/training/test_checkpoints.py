"""A run that is killed while it writes a checkpoint goes on from the one before."""

import pytest
import torch
from tones import ROOT

from sed.training.checkpoints import PART, Checkpointer

Plain = Checkpointer.__base__  # SpeechBrain's own


class Killed(BaseException):
    """Stands for a signal: nothing catches it, nothing is tidied up."""


@pytest.fixture
def weights():
    return {"first": torch.nn.Linear(2, 2), "second": torch.nn.Linear(2, 2)}


def fill(weights, value):
    for module in weights.values():
        torch.nn.init.constant_(module.bias, value)


def killed_at(file):
    def stop(module, path):
        path.write_bytes(b"PK\3\4 half a file")
        raise Killed

    return {file: stop}


@pytest.mark.parametrize("file", ["first", "second"])
def test_what_is_killed_while_written_is_no_checkpoint(weights, tmp_path, file):
    fill(weights, 1.0)
    Checkpointer(tmp_path, weights).save_and_keep_only(meta={"uar": 0.5}, num_to_keep=3)
    fill(weights, 2.0)
    with pytest.raises(Killed):
        Checkpointer(tmp_path, weights, custom_save_hooks=killed_at(file)).save_checkpoint({"uar": 0.9})
    for wanted in ({}, {"max_key": "uar"}):
        fill(weights, 3.0)
        assert Checkpointer(tmp_path, weights).recover_if_possible(**wanted).meta["uar"] == 0.5
        assert weights["second"].bias.tolist() == [1.0, 1.0]
    assert list(tmp_path.glob(f"{PART}*")), "it was killed half-way"
    saved = Checkpointer(tmp_path, weights).save_checkpoint()
    assert saved.path.is_dir() and all(p.is_file() for p in saved.paramfiles.values())
    assert {path.name[:4] for path in tmp_path.iterdir()} == {"CKPT"}, "and what it left is gone"


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "no meta"])
def test_torn_ones_of_older_runs_are_passed_over_and_whole_ones_are_not(weights, tmp_path, damage, caplog):
    fill(weights, 1.0)
    whole = Plain(tmp_path, weights).save_checkpoint()
    fill(weights, 2.0)
    torn = Plain(tmp_path, weights).save_checkpoint()
    file = torn.path / ("CKPT.yaml" if damage == "no meta" else "second.ckpt")
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 300 if damage == "cut" else 0])
    assert Checkpointer(tmp_path, weights).recover_if_possible().path == whole.path
    assert weights["first"].bias.tolist() == [1.0, 1.0]
    assert f"{file.name} is not whole" in caplog.text


def test_every_recipe_uses_it():
    for recipe in (ROOT / "hparams").glob("*.yaml"):
        assert "!new:speechbrain.utils.checkpoints" not in recipe.read_text(), recipe
