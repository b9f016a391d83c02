"""The bidirectional multi-scale head: what each chain sees, what it learns, and its export."""

import numpy as np
import pytest
import torch
from tiny_taggers import TWO_BRANCHES

from sed.errors import OptionError
from sed.networks.compact import CompactTagger
from sed.networks.head import BidirectionalScales, Head
from sed.networks.store import load_tagger, save_tagger

TINY = {"layers": 1, "width": 16, "heads": 2, "feedforward": 32, "head_width": 8, "positions": 400}


@pytest.fixture(scope="module")
def scales():
    torch.manual_seed(1)
    return BidirectionalScales(8, 3, 0.0).eval()


@pytest.mark.parametrize(("chain", "expected"), [("forwards", range(32, 61)), ("backwards", range(4, 33))])
def test_a_chain_sees_one_side_only_up_to_its_reach(scales, chain, expected):
    """Two convolutions of 3 frames per scale with dilations 1, 2, 4 reach 28 frames."""
    x = torch.randn(1, 90, 8)
    changed = x.clone()
    changed[0, 32] += 1

    def run(y):
        for block in getattr(scales, chain):
            y = block(y)
        return y

    with torch.no_grad():
        moved = torch.nonzero((run(x) - run(changed)).abs().sum((0, 2)) > 1e-7)[:, 0].tolist()
    assert moved == list(expected)


def test_gates_start_near_one_and_frames_are_kept(scales):
    x = torch.randn(4, 200, 8)
    with torch.no_grad():
        y = scales.forwards[0](x)
        assert 0.8 < (y / x).mean() < 1.2 and ((y / x) > 0).all()
        assert scales(x).shape == x.shape
        assert torch.allclose(scales(x)[1:2], scales(x[1:2]), atol=1e-6)


@pytest.mark.slow
def test_it_learns_a_pattern_that_single_frames_do_not_show():
    """The label is whether a click came in the 10 frames before or in the 10 after."""
    torch.manual_seed(0)

    def batch(generator):
        x, y = torch.tensor([1.0, -1.0, 0.5, -0.5]).repeat(16, 60, 1), torch.full((16, 60), -100)
        for row in range(16):
            at = int(torch.randint(15, 45, (), generator=generator))
            x[row, at] *= -1
            y[row, at - 10 : at], y[row, at + 1 : at + 11] = 0, 1
        return x + 0.05 * torch.randn(x.shape, generator=generator), y

    def trained(scales):
        head = torch.nn.Sequential(Head(4, 16, (), (), 0.0, scales=scales), torch.nn.Linear(16, 2))
        optimiser = torch.optim.Adam(head.parameters(), 1e-2)
        generator = torch.Generator().manual_seed(1)
        for _ in range(60):
            x, y = batch(generator)
            loss = torch.nn.functional.cross_entropy(head(x).flatten(0, 1), y.flatten(), ignore_index=-100)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        x, y = batch(torch.Generator().manual_seed(2))
        with torch.no_grad():
            right = head(x).argmax(2) == y
        return float(right[y >= 0].float().mean())

    assert trained(3) > 0.9 > 0.65 > trained(0)


def test_a_tagger_with_scales_is_stored_with_them(tmp_path):
    model = CompactTagger(("a", "b"), **{**TWO_BRANCHES, "dilations": (), "scales": 2}).eval()
    heads = model.heads
    assert len(heads) == 2 and all(type(head.context[-1]) is BidirectionalScales for head in heads)
    save_tagger(model, tmp_path, model.labels, {})
    found, description = load_tagger(tmp_path)
    waves = torch.randn(1, 9_000) * 0.1
    with torch.no_grad():
        assert torch.equal(found(waves), model(waves)) and description["settings"]["scales"] == 2
    del description["settings"]["scales"]  # a folder of an earlier version
    assert not any(
        isinstance(m, BidirectionalScales)
        for m in CompactTagger(("a", "b"), **description["settings"]).modules()
    )


@pytest.mark.slow
def test_it_can_be_exported(tmp_path):
    from sed.training.export.onnx import export_onnx

    torch.manual_seed(2)
    model = CompactTagger(("a", "b"), **TINY, dilations=(), scales=3).eval()
    exported = export_onnx(model, tmp_path / "m.onnx", model.labels)
    waves = np.random.default_rng(0).standard_normal((2, 33_333)).astype(np.float32) * 0.1
    with torch.no_grad():
        expected = torch.softmax(model(torch.from_numpy(waves)), 2).numpy()
    assert np.abs(exported.posteriors(waves) - expected).max() < 1e-4


def test_numbers_that_make_no_head_are_refused():
    with pytest.raises(OptionError, match="11 scales: expected 1 to 10"):
        BidirectionalScales(8, 11, 0.0)
    with pytest.raises(OptionError, match="and 2 scales: expected none"):
        Head(8, 0, (), (), 0.0, scales=2)
