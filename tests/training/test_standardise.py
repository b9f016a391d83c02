"""Data-dependent initialisation of heads: what changes, what does not, and its use in a recipe."""

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
    """Noise with a varying level."""
    rng = np.random.default_rng(0)
    level = 0.05 + 0.04 * np.sin(np.arange(16_000) / 900)
    waves = [(rng.standard_normal((4, 16_000)) * level).astype(np.float32) for _ in range(count)]
    return [Batch(wave, np.zeros((4, 50), np.int64)) for wave in waves]


@pytest.mark.slow
def test_the_input_of_every_head_has_mean_0_and_deviation_1_in_each_dimension():
    torch.manual_seed(0)
    tagger = CompactTagger(["a", "b"], **TINY, voice=True, fusion=1).train()
    with torch.no_grad():  # random weights give almost constant states
        tagger.voice.encoder.transits[-1].weight.mul_(100)
    before = copy.deepcopy(tagger.state_dict())
    standardise(tagger, batches())
    assert tagger.training
    changed = {name for name, value in tagger.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {
        f"{head}.norm.{part}" for head in ("head", "voice.head", "fusion") for part in ("weight", "bias")
    }
    for head in tagger.heads:
        collected = []
        hook = head.reduce.register_forward_pre_hook(
            lambda _, x, collected=collected: collected.append(x[0].flatten(0, 1))
        )
        with torch.no_grad():
            for batch in batches():
                tagger.eval()(torch.from_numpy(batch.waves))
        hook.remove()
        states = torch.cat(collected)
        assert states.mean(0).abs().max() < 1e-3
        assert states.std(0).max() < 1.001
        assert states.std(0).median() == pytest.approx(1, abs=1e-2), "constant dimensions are not amplified"


class TwoConstant(nn.Module):
    """A head whose states alternate between 1 and -1 in two dimensions and are 0 in two others."""

    def __init__(self):
        super().__init__()
        self.head = Head(4, 3, (), (), 0.0)

    def forward(self, waves):
        sign = torch.sign(waves[:, ::320, None])
        return self.head(sign * torch.tensor([1.0, -1.0, 0.0, 0.0]))


def test_constant_dimensions_get_a_finite_gain():
    model = TwoConstant()
    standardise(model, batches(1))
    *varying, third, fourth = model.head.norm.weight.tolist()
    assert varying == pytest.approx([0.7071] * 2, rel=1e-2)
    assert [third, fourth] == pytest.approx([varying[0] * 2**0.5 / 0.02] * 2, rel=1e-3)
    assert model.head.norm.bias[2:].abs().max() < 1e-6


def test_a_model_without_a_head_is_refused():
    with pytest.raises(OptionError, match="a Linear has no head to standardise: expected standardise: 0"):
        standardise(nn.Linear(2, 2), [])


@pytest.mark.slow
def test_the_recipe_standardises_before_the_first_step(tmp_path):
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
