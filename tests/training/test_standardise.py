"""Heads that begin with states on one scale: what changes, what does not, and that a recipe does it."""

import copy

import numpy as np
import pytest
import torch
from tones import QUIET, SHORT, TINY_COMPACT, losses, make_corpora, run
from torch import nn

from sed.errors import OptionError
from sed.networks.compact import CompactTagger
from sed.networks.head import Head
from sed.training.data.clips import Batch
from sed.training.standardise import standardise

TINY = {"layers": 1, "width": 16, "heads": 2, "feedforward": 32, "head_width": 8, "positions": 400}


def batches(count=3):
    """Noise whose level moves up and down."""
    rng = np.random.default_rng(0)
    level = 0.05 + 0.04 * np.sin(np.arange(16_000) / 900)
    waves = [(rng.standard_normal((4, 16_000)) * level).astype(np.float32) for _ in range(count)]
    return [Batch(wave, np.zeros((4, 50), np.int64)) for wave in waves]


def test_every_head_hears_each_dimension_with_mean_0_and_deviation_1():
    torch.manual_seed(0)
    tagger = CompactTagger(["a", "b"], **TINY, voice=True, fusion=1).train()
    with torch.no_grad():  # weights at random give states as good as still
        tagger.voice.encoder.transits[-1].weight.mul_(100)
    before = copy.deepcopy(tagger.state_dict())
    standardise(tagger, batches())
    assert tagger.training
    changed = {name for name, value in tagger.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {
        f"{head}.norm.{part}" for head in ("head", "voice.head", "fusion") for part in ("weight", "bias")
    }
    for head in tagger.heads:
        heard = []
        hook = head.reduce.register_forward_pre_hook(
            lambda _, x, heard=heard: heard.append(x[0].flatten(0, 1))
        )
        with torch.no_grad():
            for batch in batches():
                tagger.eval()(torch.from_numpy(batch.waves))
        hook.remove()
        states = torch.cat(heard)
        assert states.mean(0).abs().max() < 1e-3
        assert states.std(0).max() < 1.001
        assert states.std(0).median() == pytest.approx(1, abs=1e-2), "what never moves is not blown up"


class Still(nn.Module):
    """A head whose states are 1 and -1, or the other way round, and twice nothing."""

    def __init__(self):
        super().__init__()
        self.head = Head(4, 3, (), (), 0.0)

    def forward(self, waves):
        sign = torch.sign(waves[:, ::320, None])
        return self.head(sign * torch.tensor([1.0, -1.0, 0.0, 0.0]))


def test_what_never_moves_keeps_a_gain_that_is_finite():
    model = Still()
    standardise(model, batches(1))
    *moving, third, fourth = model.head.norm.weight.tolist()
    assert moving == pytest.approx([0.7071] * 2, rel=1e-2)
    assert [third, fourth] == pytest.approx([moving[0] * 2**0.5 / 0.02] * 2, rel=1e-3)
    assert model.head.norm.bias[2:].abs().max() < 1e-6


def test_a_model_without_a_head_is_told():
    with pytest.raises(OptionError, match="a Linear has no head to standardise: expected standardise: 0"):
        standardise(nn.Linear(2, 2), [])


def test_the_recipe_does_it_before_the_first_step(tmp_path):
    corpora = make_corpora(tmp_path / "corpora")
    given = {
        **SHORT,
        "corpora": corpora,
        "encoder_weights": "",
        "tagger": TINY_COMPACT,
        "augmentation": QUIET,
    }
    given |= {"trained_labels": "[neutral, happy, angry, sad]", "head_rate": 0.0, "encoder_rate": 0.0}
    started = {}
    for count in (0, 2):
        run("compact", tmp_path / str(count), **given, standardise=count)
        started[count] = losses(tmp_path / str(count))
    assert started[0] != started[2]
    assert np.isfinite(started[2]).all()
