"""Freq-MixStyle: what it does to the bands of a picture, and that it is for training only."""

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


def test_bands_get_mean_and_deviation_of_another_item_and_keep_their_course(mel):
    torch.manual_seed(3)
    mixed = mix_styles(mel, 1.0, alpha=1e6)  # half and half
    own, course = mel.mean(2), (mel - mel.mean(2, keepdim=True)) / mel.std(2, keepdim=True)
    partners = []
    for item in range(len(mel)):
        halfway = [(own[item] + own[other]) / 2 for other in range(len(mel))]
        near = [float((mixed[item].mean(1) - half).abs().max()) for half in halfway]
        partners.append(near.index(min(near)))
        assert min(near) < 0.01
        spread = (mel[item].std(1) + mel[partners[-1]].std(1)) / 2
        assert torch.allclose(mixed[item].std(1), spread, atol=0.01)
    assert sorted(partners) == list(range(len(mel))), "each item lends its style once"
    again = (mixed - mixed.mean(2, keepdim=True)) / mixed.std(2, keepdim=True)
    assert torch.allclose(again, course, atol=1e-3)


def test_a_share_of_the_items_is_mixed(mel):
    torch.manual_seed(0)
    many = mel.repeat(100, 1, 1) + torch.randn(600, 1, 1)
    moved = (mix_styles(many, 0.25) - many).abs().amax((1, 2)) > 1e-3
    assert 0.15 < float(moved.float().mean()) < 0.35
    assert mix_styles(mel, 0.0) is mel


def test_alone_in_a_batch_nothing_is_mixed(mel):
    assert torch.allclose(mix_styles(mel[:1], 1.0), mel[:1], atol=1e-5)


def test_only_while_training():
    torch.manual_seed(0)
    plain = CompactTagger(["a", "b"], **TINY, spec_augment=0, dropout=0, head_dropout=0)
    mixing = CompactTagger(["a", "b"], **TINY, spec_augment=0, dropout=0, head_dropout=0, style_share=1.0)
    mixing.load_state_dict(plain.state_dict())
    waves = torch.randn(4, 9000) * torch.rand(4, 9000)
    assert torch.equal(mixing.eval()(waves), plain.eval()(waves))
    assert not torch.allclose(mixing.train()(waves), plain.train()(waves), atol=1e-3)
