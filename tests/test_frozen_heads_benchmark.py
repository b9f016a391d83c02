"""Heads on frozen states, in small: they hear what the recipe's third head hears, and nothing of whom they may not."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_taggers import TWO_BRANCHES as TINY

from sed.training.clips import Batch
from sed.training.model import CompactTagger

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
NAMES = ("gpu_trials", "gpu_taggers", "frozen_states", "frozen_heads")


@pytest.fixture
def modules(monkeypatch):
    """benchmarks/frozen_states.py and frozen_heads.py."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import frozen_heads
    import frozen_states

    return frozen_states, frozen_heads


def test_states_are_what_the_third_head_makes_its_features_of(modules):
    states, _ = modules
    torch.manual_seed(0)
    tagger = CompactTagger(["a", "b"], **{**TINY, "layers": 2}, halve_after=1, fusion=1).eval()
    waves = torch.randn(2, 16000) * 0.1
    heard = states.states(tagger, waves)
    assert heard.shape == (2, 25, 16 + 512) and heard.dtype == np.float16
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        _, layers = tagger._words(waves, 0, 0.0)
    np.testing.assert_allclose(heard[..., :16], layers[-1].float().numpy(), atol=0.02)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    states = rng.standard_normal((2, 80, 1536)).astype(np.float32) * 3 + 1
    targets = np.repeat([[0, 1, -1, 2], [3, 0, 1, 1]], 20, 1)
    spoken = np.repeat([[0, 0, 2, 1], [0, 1, 1, 0]], 20, 1)  # 2 is nobody
    return states, targets, spoken


def test_labels_of_a_speaker_who_is_left_out_teach_nothing(modules, batch):
    _, heads = modules
    states, targets, spoken = batch
    first = [Batch(states, targets)]
    said = {}
    for out in ({1}, set()):
        for changed in (0, 3):
            member = heads.Member(heads.Trial(dropout=0.0), first, out, 2)
            other = np.where((spoken == 1) & (targets >= 0), changed, targets)
            member.learn(torch.from_numpy(states), other, spoken, 10, 20)
            said[len(out), changed] = member.said([states[0]])[0]
    np.testing.assert_array_equal(said[1, 0], said[1, 3])
    assert np.abs(said[0, 0] - said[0, 3]).max() > 1e-3


def test_a_head_learns_what_it_is_told(modules, batch):
    _, heads = modules
    states, targets, spoken = batch
    states[..., :4] += 4 * np.eye(4, dtype=np.float32)[np.maximum(targets, 0)]
    member = heads.Member(heads.Trial(), [Batch(states, targets)], set(), 2)
    losses = [member.learn(torch.from_numpy(states), targets, spoken, n, 60) for n in range(60)]
    assert losses[-1] < losses[0] - 0.5
    (said,) = member.said([states[0]])
    assert said.shape == (80, 1, 4)
    known = targets[0] >= 0
    assert (said[known, 0].argmax(1) == targets[0][known]).mean() > 0.9
