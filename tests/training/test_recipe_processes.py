"""Two processes started by torchrun train the same model as a single process on the same batches."""

import os
import subprocess
import sys

import pytest
import torch
from tones import ROOT, SHORT, TINY_COMPACT, losses, make_corpora, run

from sed.cli import train as train_command
from sed.networks.store import load_tagger
from sed.training.recipe import run as recipe_run

OPTIONS = {
    **SHORT,
    "encoder_weights": "",
    "voice_weights": "",
    "trained_labels": "[neutral, happy, angry, sad]",
    "tagger": TINY_COMPACT,
    "dimensions": 0.5,
    "speaker_adversary": 0.1,
    "steps": 6,
    "epochs": 2,
    "epoch_steps": 3,
    "clips": "{length: [1.5, 1.5], batch_seconds: 6.0}",
}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    columns = {"arousal": lambda e: {"angry": 1.0, "sad": -1.0}.get(e, 0.0)}
    return make_corpora(tmp_path_factory.mktemp("ddp-corpora"), columns=columns)


def launch(corpora, output, **changes):
    """Run two processes with torchrun; returns the completed process."""
    options = {**OPTIONS, "corpora": corpora, "output_folder": output, **changes}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "--", "sed.cli.train", str(ROOT / "hparams" / "compact.yaml")]
    for key, value in {**options, "device": "cpu"}.items():
        command += [f"--{key}", str(value)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)


def trained_weights(corpora, output, **changes):
    """The weights trained by two processes."""
    done = launch(corpora, output, **changes)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1:] == [str(output / "tagger")] and done.stdout.count("tagger") == 1
    return load_tagger(output / "tagger")[0].state_dict()


@pytest.mark.slow
def test_two_resumed_processes_equal_one_with_gradient_accumulation(corpora, tmp_path):
    for epochs in (1, 2):
        two = trained_weights(corpora, tmp_path / "two", epochs=epochs)
    options = {**OPTIONS, "corpora": corpora}
    same = run("compact", tmp_path / "one", **{**options, "epoch_steps": 6, "grad_accumulation_factor": 2})
    half = run("compact", tmp_path / "half", **options)  # half of the batches give another model
    one, other = (load_tagger(folder)[0].state_dict() for folder in (same, half))
    assert len(losses(tmp_path / "two")) == 2, "only one process writes the log"
    for name, value in one.items():
        assert torch.allclose(two[name], value, atol=2e-4), name
    assert any(not torch.allclose(other[name], value, atol=2e-3) for name, value in one.items())


@pytest.mark.slow
def test_an_error_in_both_processes_is_reported_without_deadlock(corpora, tmp_path):
    (tmp_path / "save" / "CKPT+1").mkdir(parents=True)
    (tmp_path / "hyperparams.yaml").write_text("labels: [sad, happy]\n")
    done = launch(corpora, tmp_path)
    assert done.returncode == 1 and "holds a run with labels ['sad', 'happy'], found" in done.stderr
    assert "another process" not in done.stderr and "[rank" not in done.stderr


@pytest.mark.slow
def test_an_unknown_backend_is_a_one_line_error(corpora, tmp_path):
    done = launch(corpora, tmp_path, distributed_backend="smoke-signals")
    assert done.returncode == 1 and "sed-train: cannot train in several processes: " in done.stderr


def test_the_failure_of_another_process_is_a_one_line_error(monkeypatch, capsys):
    def fail(_):
        raise RuntimeError(
            "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer"
        )

    monkeypatch.setattr(recipe_run, "run_command", fail)
    with pytest.raises(SystemExit) as stop:
        train_command.main(["recipe.yaml"])
    assert stop.value.code == 1
    assert capsys.readouterr().err == "sed-train: another process of this run has ended and reports why\n"
