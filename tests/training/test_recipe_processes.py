"""Two processes started by torchrun train one model: the one that a single process trains on the same batches."""

import os
import subprocess
import sys

import pytest
import torch
from tones import ROOT, SHORT, TINY_COMPACT, losses, make_corpora

from sed.training.folder import load_tagger

OPTIONS = {
    **SHORT,
    "encoder_weights": "",
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


def launch(corpora, output, processes, **changes):
    options = {**OPTIONS, "corpora": corpora, "output_folder": output, **changes}
    if processes == 1:
        command = [sys.executable, "-m", "sed.cli.train"]
    else:
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc_per_node",
            str(processes),
        ]
        command += ["-m", "sed.cli.train"]
        options |= {"distributed_backend": "gloo", "device": "cpu"}
    command.append(str(ROOT / "hparams" / "compact.yaml"))
    for key, value in options.items():
        command += [f"--{key}", str(value)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return load_tagger(output / "tagger")[0].state_dict()


def test_two_processes_are_one_that_accumulates_over_twice_the_batches(corpora, tmp_path):
    two = launch(corpora, tmp_path / "two", 2)
    one = launch(corpora, tmp_path / "one", 1, epoch_steps=6, grad_accumulation_factor=2)
    assert len(losses(tmp_path / "two")) == 2, "one log, not two"
    for name, value in one.items():
        assert torch.allclose(two[name], value, atol=2e-4), name
    moved = launch(corpora, tmp_path / "half", 1)
    assert any(not torch.allclose(moved[name], value, atol=2e-3) for name, value in one.items()), (
        "the test can fail"
    )


def test_two_processes_resume_to_the_bit(corpora, tmp_path):
    whole = launch(corpora, tmp_path / "whole", 2)
    for epochs in (1, 2):
        parts = launch(corpora, tmp_path / "parts", 2, epochs=epochs)
    assert all(torch.equal(parts[name], value) for name, value in whole.items())
