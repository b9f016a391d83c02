"""Block expansion: the expanded network equals the original before training, and only the copies are trained."""

import copy

import numpy as np
import pytest
import torch
from tiny_encoders import CONFIGS, transformers_model

from sed.errors import OptionError
from sed.networks.pretrained import EncoderTagger
from sed.networks.store import load_tagger, save_tagger
from sed.training.export.onnx import export_onnx

LABELS = ("neutral", "happy", "sad")
WAVES = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (2, 16_000)).astype(np.float32))
LENGTHS = torch.tensor([16_000, 9_000])


def tagger(name, added, layers="last", seed=0, **options):
    torch.manual_seed(seed)
    return EncoderTagger(LABELS, CONFIGS[name], layers=layers, added_layers=added, **options).eval()


def expanded_from(original, name, **options):
    """An expanded tagger with the weights of `original`; those of the copies are still random."""
    model = tagger(name, 2, seed=1, **options)
    missing = model.load_state_dict(original.state_dict(), strict=False)
    assert missing.missing_keys and all(key.startswith("expansion.") for key in missing.missing_keys)
    return model


def outputs(model):
    with torch.no_grad():
        return torch.cat([model(WAVES), model(WAVES, LENGTHS)])


def with_changed_blocks(model):
    """`model` after training, as it were: its blocks are no longer zero."""
    torch.manual_seed(5)
    for block in model.expansion:
        torch.nn.init.normal_(block.output.weight, std=0.3)
    return model


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("layers", ["last", "sum"])
def test_an_expanded_network_equals_the_original_exactly(name, layers):
    original = tagger(name, 0, layers)
    model = expanded_from(original, name, layers=layers)
    assert torch.equal(outputs(model), outputs(original))
    assert not torch.allclose(outputs(with_changed_blocks(model)), outputs(original), atol=1e-3)


@pytest.mark.parametrize("name", ["wavlm-large", "hubert"])
def test_the_copies_have_the_pretrained_weights(name, tmp_path):
    transformers_model(name).save_pretrained(tmp_path)
    model = tagger(name, 1)
    model.load_encoder(tmp_path)
    block, last = model.expansion[0], model.layers[1]
    assert all(torch.equal(value, last.state_dict()[key]) for key, value in block.layer.state_dict().items())


@pytest.mark.parametrize("name", ["wavlm-large", "hubert", "whisper"])
def test_only_copies_and_head_are_trained(name):
    model = tagger(name, 2).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    groups = model.parameter_groups(1e-2, 1e-2, 1.0)
    optimiser = torch.optim.SGD(groups, lr=1.0)
    for _ in range(3):  # the copies have a gradient once the layer after them is no longer zero
        optimiser.zero_grad()
        model(WAVES).square().sum().backward()
        optimiser.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert {key.split(".")[0] for key in changed} == {"expansion", "classifier", "norm"}
    assert any(".layer." in key for key in changed) and any(".output." in key for key in changed)
    listed = [id(p) for group in groups for p in group["params"]]
    assert len(listed) == len(set(listed))
    assert {id(p) for p in model.parameters() if p.requires_grad} <= set(listed)


def test_a_folder_keeps_the_copies(tmp_path):
    model = with_changed_blocks(tagger("wavlm", 2))
    save_tagger(model, tmp_path, LABELS, {})
    assert torch.equal(outputs(load_tagger(tmp_path)[0]), outputs(model))


def test_a_deep_copy_has_blocks_of_its_own():
    """The running mean of the weights is a deep copy."""
    model = with_changed_blocks(tagger("wavlm-large", 1))
    mean = copy.deepcopy(model)
    before = outputs(model)
    with torch.no_grad():
        model.expansion[0].output.weight.zero_()
    assert torch.equal(outputs(mean), before) and not torch.equal(outputs(model), before)


def test_gradient_checkpointing_covers_the_copies():
    plain = with_changed_blocks(tagger("hubert", 2, dropout=0.0))
    again = with_changed_blocks(tagger("hubert", 2, dropout=0.0, gradient_checkpointing=True))
    again.load_state_dict(plain.state_dict())
    for model in (plain, again):
        model(WAVES).square().sum().backward()
    found, expected = (model.expansion[0].output.weight.grad for model in (again, plain))
    assert torch.allclose(found, expected, atol=1e-6) and expected.abs().sum() > 0


@pytest.mark.slow
def test_an_expanded_tagger_can_be_exported(tmp_path):
    model = with_changed_blocks(tagger("wavlm-large", 2))
    export_onnx(model, tmp_path / "m.onnx", LABELS)  # which compares the file with the model


def test_invalid_expansions_are_refused():
    with pytest.raises(OptionError, match="3 added layers: expected 0 to 2, the layers of the encoder"):
        tagger("hubert", 3)
    with pytest.raises(OptionError, match="lora_rank cannot be combined with added_layers"):
        tagger("hubert", 1, lora_rank=2)
