"""Freq-MixStyle: its effect on the mel bands, and that it is applied in training only."""

import pytest
import torch

from sed.networks.compact import CompactTagger
from sed.networks.mel import mix_styles

TINY = {"layers": 1, "width": 16, "heads": 2, "feedforward": 32, "head_width": 8, "positions": 400}


@pytest.fixture
def mel():
    torch.manual_seed(0)
    scale, offset = torch.rand(6, 80, 1) + 0.5, torch.randn(6, 80, 1)
    return torch.randn(6, 80, 200) * scale + offset


def test_bands_get_mean_and_deviation_of_another_item_and_keep_their_shape(mel):
    torch.manual_seed(3)
    mixed = mix_styles(mel, 1.0, alpha=1e6)  # equal weights
    mean, shape = mel.mean(2), (mel - mel.mean(2, keepdim=True)) / mel.std(2, keepdim=True)
    partners = []
    for item in range(len(mel)):
        halfway = [(mean[item] + mean[other]) / 2 for other in range(len(mel))]
        distances = [float((mixed[item].mean(1) - half).abs().max()) for half in halfway]
        partners.append(distances.index(min(distances)))
        assert min(distances) < 0.01
        spread = (mel[item].std(1) + mel[partners[-1]].std(1)) / 2
        assert torch.allclose(mixed[item].std(1), spread, atol=0.01)
    assert sorted(partners) == list(range(len(mel))), "the style of each item is used once"
    again = (mixed - mixed.mean(2, keepdim=True)) / mixed.std(2, keepdim=True)
    assert torch.allclose(again, shape, atol=1e-3)


def test_a_share_of_the_items_is_mixed(mel):
    torch.manual_seed(0)
    many = mel.repeat(100, 1, 1) + torch.randn(600, 1, 1)
    changed = (mix_styles(many, 0.25) - many).abs().amax((1, 2)) > 1e-3
    assert 0.15 < float(changed.float().mean()) < 0.35
    assert mix_styles(mel, 0.0) is mel


def test_a_batch_of_one_is_not_mixed(mel):
    assert torch.allclose(mix_styles(mel[:1], 1.0), mel[:1], atol=1e-5)


def test_only_while_training():
    torch.manual_seed(0)
    plain = CompactTagger(["a", "b"], **TINY, spec_augment=0, dropout=0, head_dropout=0)
    mixing = CompactTagger(["a", "b"], **TINY, spec_augment=0, dropout=0, head_dropout=0, style_share=1.0)
    mixing.load_state_dict(plain.state_dict())
    waves = torch.randn(4, 9000) * torch.rand(4, 9000)
    assert torch.equal(mixing.eval()(waves), plain.eval()(waves))
    assert not torch.allclose(mixing.train()(waves), plain.train()(waves), atol=1e-3)
