"""The fast convolutions give the same results as those of transformers, and are used only where supported."""

import numpy as np
import pytest
import torch
from tiny_encoders import CONFIGS, transformers_model

from sed.networks.fast_convolutions import convolve, suits

CONV = [name for name in CONFIGS if name != "whisper"]


def noise(*shape):
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape).astype(np.float32)) * 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", CONV)
@pytest.mark.parametrize("offset", [0.0, 0.5])
@pytest.mark.parametrize("samples", [400, 401, 719, 720, 16_123])
@torch.inference_mode()
def test_same_results(name, offset, samples):
    extractor = transformers_model(name).feature_extractor
    for waves in (noise(2, samples) + offset, noise(samples, 2).T + offset, torch.full((1, samples), offset)):
        found, expected = convolve(extractor, waves), extractor(waves).transpose(1, 2)
        assert found.shape == expected.shape
        assert torch.allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("name", CONV)
@torch.inference_mode()
def test_with_biases_and_trained_norms(name):
    """All weights random: weights of 1 and biases of 0 could hide an error."""
    torch.manual_seed(0)
    extractor = transformers_model(name).feature_extractor
    for layer in extractor.conv_layers:
        layer.conv.bias = torch.nn.Parameter(0.1 * torch.randn(layer.conv.out_channels))
        if getattr(layer, "layer_norm", None) is not None:
            torch.nn.init.normal_(layer.layer_norm.weight)
            torch.nn.init.normal_(layer.layer_norm.bias)
    waves = noise(1, 8000)
    assert suits(extractor, waves)
    expected = extractor(waves).transpose(1, 2)
    assert expected.std() > 0.01
    assert torch.allclose(convolve(extractor, waves), expected, atol=2e-5)


def test_used_only_where_supported():
    extractor, waves = transformers_model("wavlm").feature_extractor, noise(1, 8000)
    assert not suits(extractor, waves), "gradients are required"
    with torch.no_grad():
        assert suits(extractor, waves)
        assert not suits(extractor, waves.double()) and not suits(extractor, waves.to("meta"))
        with torch.autocast("cpu", torch.bfloat16):
            assert not suits(extractor, waves)
        for change in ({"padding": (1,)}, {"groups": 2}, {"dilation": (2,)}):
            kept = {name: getattr(extractor.conv_layers[3].conv, name) for name in change}
            for name, value in change.items():
                setattr(extractor.conv_layers[3].conv, name, value)
            assert not suits(extractor, waves)
            for name, value in kept.items():
                setattr(extractor.conv_layers[3].conv, name, value)
        extractor.conv_layers[2].activation = torch.nn.ReLU()
        assert not suits(extractor, waves)
