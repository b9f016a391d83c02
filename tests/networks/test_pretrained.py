"""Taggers on every family of encoders: number of frames, padding, frozen parts, and loading of weights."""

import json
import warnings

import numpy as np
import pytest
import torch
from tiny_encoders import CONFIGS, transformers_model

from sed.errors import ModelError, OptionError
from sed.grid import frame_count
from sed.networks.compact import CompactTagger
from sed.networks.lora import LowRankLinear
from sed.networks.pretrained import EncoderTagger
from sed.networks.store import CARD, load_tagger, save_tagger
from sed.training.objectives.losses import tagger_loss

LABELS = ["neutral", "happy", "angry", "sad"]
FAMILIES = list(CONFIGS)
CONV = [name for name in FAMILIES if name != "whisper"]


def make(name="wavlm", **options):
    torch.manual_seed(0)
    return EncoderTagger(LABELS, CONFIGS[name], **{"head_width": 8, **options}).eval()


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32)) * 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
@torch.inference_mode()
def test_one_frame_per_started_20_ms(name):
    model = make(name)
    for samples in (1, 319, 320, 321, 16_001):
        logits = model(noise(2, samples))
        assert logits.shape == (2, frame_count(samples), 4) and torch.isfinite(logits).all()


@pytest.mark.parametrize("name", CONV)
@torch.inference_mode()
def test_the_last_frame_depends_on_the_last_samples(name):
    """An encoder without padding would ignore the last 80 samples and more."""
    model, wave = make(name, inputs="raw"), noise(1, 6400)
    louder = wave.clone()
    louder[0, 6380:] += 0.5
    changed = (model(wave) - model(louder)).abs().amax(2)[0]
    assert changed[-1] > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", CONV)
@torch.inference_mode()
def test_without_padding_the_encoder_is_unchanged_and_the_last_frame_repeats(name):
    model = make(name, layers="last", norm="none", tail="repeat", inputs="raw")
    encoder = transformers_model(name)
    encoder.load_state_dict(model.backbone.encoder.state_dict())
    wave = noise(1, 6400)
    expected = model.classifier(encoder(wave).last_hidden_state)
    logits = model(wave)
    assert expected.shape[1] == 19
    assert torch.allclose(logits[:, :19], expected, atol=1e-5)
    assert torch.equal(logits[:, 19], logits[:, 18])


@torch.inference_mode()
def test_whisper_equals_transformers_whisper():
    """Compared on an input that fills all positions, the only length that transformers accepts."""
    model = make("whisper", layers="last", norm="none")
    wave = noise(1, 200 * 320)
    expected = model.backbone.encoder(model.backbone.log_mel(wave)).last_hidden_state
    assert torch.allclose(model(wave), model.classifier(expected), atol=1e-5)
    with pytest.raises(ModelError, match="found 64001 samples at once, expected at most 64000"):
        model(noise(1, 64_001))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
@torch.inference_mode()
def test_the_sum_is_over_the_states_of_all_layers(name):
    """Weights that pick one layer give that layer's states, as transformers reports them."""
    options = {"norm": "none", "inputs": "raw", "tail": "pad" if name == "whisper" else "repeat"}
    model, wave = make(name, **options), noise(1, 200 * 320)
    if name == "whisper":
        encoder = model.backbone.encoder
        states = encoder(model.backbone.log_mel(wave), output_hidden_states=True).hidden_states
    else:
        encoder = transformers_model(name)
        encoder.load_state_dict(model.backbone.encoder.state_dict())
        states = encoder(wave, output_hidden_states=True).hidden_states
    for layer in (0, 1):
        model.layer_weights.copy_(torch.full((3,), -1e9).index_fill(0, torch.tensor(layer), 0.0))
        expected = model.classifier(states[layer])
        assert torch.allclose(model(wave)[:, : expected.shape[1]], expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    "options",
    [{}, {"layers": "last", "norm": "clip"}, {"head": "context", "tail": "repeat", "inputs": "normalised"}],
)
@torch.inference_mode()
def test_padding_and_neighbours_do_not_leak(name, options):
    if name == "whisper":
        options = {key: value for key, value in options.items() if key != "tail"}
    model, waves = make(name, **options), noise(3, 16_001) * torch.tensor([[1.0], [0.1], [9.0]])
    lengths = [16_001, 9000, 333]
    padded = waves * (torch.arange(16_001) < torch.tensor(lengths)[:, None])
    together = model(padded, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone = model(waves[row : row + 1, :length])[0]
        assert torch.allclose(together[row, : len(alone)], alone, atol=1e-4)
    whole = model(waves)
    assert torch.allclose(whole[1:2], model(waves[1:2]), atol=1e-5)


@pytest.mark.slow
@torch.inference_mode()
def test_input_scaling():
    wave = noise(1, 8000)
    for inputs, other in (
        ("centred", wave + 0.3),
        ("normalised", 5 * wave - 0.2),
        ("standardised", 1e-6 * wave + 1e-9),
    ):
        model = make("wavlm-large", inputs=inputs)
        assert torch.allclose(model(other), model(wave), atol=2e-3)
        assert not torch.allclose(make("wavlm-large", inputs="raw")(other), model(wave), atol=2e-3)
    assert make("wavlm-large").config.inputs == "normalised"
    assert torch.isfinite(make("wavlm-large")(torch.zeros(1, 5000))).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layers": "last", "head": "context"},
        {"freeze_features": False},
        {"frozen_layers": 1, "spec_augment": 1},
        {"frozen_layers": -1},
        {"lora_rank": 2, "frozen_layers": 1, "layers": "last"},
    ],
)
def test_only_trainable_parameters_change(name, options):
    """Every trainable parameter gets a gradient, as distributed training requires."""
    model = make(name, dropout=0.1, **options).train()
    for layer in model.modules():
        if isinstance(layer, LowRankLinear):
            torch.nn.init.normal_(layer.lora_b)
    optimiser = torch.optim.AdamW(model.parameter_groups(0.01, 0.01, 0.9), weight_decay=0.1)
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    tagger_loss(model(noise(2, 9600)), torch.zeros(2, 30, dtype=torch.long), 0.0, 0.5).backward()
    optimiser.step()
    for key, value in model.named_parameters():
        if value.requires_grad:
            assert value.grad is not None, key
            assert not torch.equal(value, before[key]) or value.grad.abs().max() == 0, key
        else:
            assert torch.equal(value, before[key]), key
    changed = {key for key, value in model.named_parameters() if not torch.equal(value, before[key])}
    assert "classifier.weight" in changed
    layers = "backbone.encoder.layers" if name == "whisper" else "backbone.encoder.encoder.layers"
    in_layers = {key for key in changed if key.startswith(layers)}
    if options.get("lora_rank"):
        assert in_layers and all(".lora_" in key and f"{layers}.1" in key for key in in_layers)
    elif frozen := options.get("frozen_layers"):
        assert bool(in_layers) == (frozen == 1) and not any(f"{layers}.0" in key for key in in_layers)
    else:
        assert any(f"{layers}.0" in key for key in in_layers)
    convolutions = {key for key in changed if "feature_extractor" in key or "encoder.conv" in key}
    assert bool(convolutions) == (options.get("freeze_features") is False)


def test_groups_give_lower_layers_lower_rates():
    rates = [group["lr"] for group in make(freeze_features=False).parameter_groups(1e-4, 1e-3, 0.5)]
    assert rates == pytest.approx([5e-5, 1e-4, 2.5e-5, 1e-3])
    for options in ({}, {"frozen_layers": -1}, {"lora_rank": 2}):
        model = make(**options)
        grouped = [p for group in model.parameter_groups(1e-4, 1e-3, 1.0) for p in group["params"]]
        assert len(grouped) == len({id(p) for p in grouped})
        assert {id(p) for p in model.parameters() if p.requires_grad} <= {id(p) for p in grouped}


def test_low_rank_updates_start_at_zero_and_merge_exactly():
    wave = noise(1, 8000)
    plain, adapted = make(), make(lora_rank=3, lora_alpha=6.0)
    adapted.load_state_dict(plain.state_dict(), strict=False)
    with torch.inference_mode():
        assert torch.equal(adapted(wave), plain(wave))
    for layer in adapted.modules():
        if isinstance(layer, LowRankLinear):
            torch.nn.init.normal_(layer.lora_b)
    with torch.inference_mode():
        changed = adapted(wave)
        assert not torch.allclose(changed, plain(wave), atol=1e-3)
        adapted.merge_low_rank()
        assert torch.allclose(adapted(wave), changed, atol=1e-4)
    assert adapted.config.lora_rank == 0 and not any("lora" in key for key in adapted.state_dict())


def test_dropout_and_masks_only_while_training_and_from_torchs_seed():
    model, wave = make(dropout=0.2, spec_augment=2), noise(2, 16_000)
    with torch.inference_mode():
        assert torch.equal(model(wave), model(wave))
        model.train()
        found = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            found.append(model(wave))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    features = torch.ones(4, 100, 40)
    hidden = model._mask(features) == 0
    assert 0 < hidden.float().mean() < 0.6
    assert torch.equal(hidden, hidden.all(2, keepdim=True) | hidden.all(1, keepdim=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_saved_tagger_is_loaded_unchanged(name, tmp_path):
    model = make(name, head="context", lora_rank=2, depth=1)
    save_tagger(model, tmp_path, ["neutral", "sad"], {"name": "x"})
    loaded, description = load_tagger(tmp_path)
    assert description["kind"] == "encoder" and description["labels"] == ["neutral", "sad"]
    with torch.inference_mode():
        assert torch.equal(loaded(noise(1, 5000)), model(noise(1, 5000)))


def test_folder_of_another_kind(tmp_path):
    save_tagger(make(), tmp_path, LABELS, {})
    description = json.loads((tmp_path / CARD).read_text())
    (tmp_path / CARD).write_text(json.dumps({**description, "kind": "forest"}))
    with pytest.raises(ModelError, match="found a tagger of kind 'forest', expected compact or encoder"):
        load_tagger(tmp_path)
    (tmp_path / CARD).write_text(json.dumps({**description, "settings": {"encoder": {"model_type": "bert"}}}))
    with pytest.raises(ModelError, match="found an encoder of type 'bert', expected WavLM, HuBERT"):
        load_tagger(tmp_path)
    with pytest.raises(
        ModelError, match=r"a tagger of class Linear: expected CompactTagger or EncoderTagger"
    ):
        save_tagger(torch.nn.Linear(2, 2), tmp_path, LABELS, {})


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_saved_by_transformers_are_loaded(name, tmp_path):
    torch.manual_seed(7)
    source = transformers_model(name)
    source.save_pretrained(tmp_path)
    model = EncoderTagger(LABELS, tmp_path, depth=1)
    model.load_encoder(tmp_path)
    own, stored = model.backbone.encoder.state_dict(), source.state_dict()
    prefix = "encoder." if name == "whisper" else ""
    assert all(
        torch.equal(value, stored[prefix + key]) for key, value in own.items() if key != "masked_spec_embed"
    )
    with pytest.raises(ModelError, match="found 2 layers, expected 1 as the encoder's configuration says"):
        EncoderTagger(LABELS, model.config.encoder).load_encoder(tmp_path)
    deeper = EncoderTagger(LABELS, {**model.config.encoder}, depth=3)
    with pytest.raises(ModelError, match=r"found nothing for .*layers\.2.*, expected shape"):
        deeper.load_encoder(tmp_path)


def test_weights_with_old_names_and_prefixes(tmp_path):
    stored = {f"wavlm.{key}": value for key, value in make().backbone.encoder.state_dict().items()}
    for old, new in (
        ("weight_g", "parametrizations.weight.original0"),
        ("weight_v", "parametrizations.weight.original1"),
    ):
        stored = {key.replace(new, old): value for key, value in stored.items()}
    torch.save({**stored, "classifier.weight": torch.zeros(3)}, tmp_path / "pytorch_model.bin")
    torch.manual_seed(5)
    other = EncoderTagger(LABELS, CONFIGS["wavlm"])
    other.load_encoder(tmp_path)
    for key, value in make().backbone.encoder.state_dict().items():
        assert torch.equal(other.backbone.encoder.state_dict()[key], value), key


def test_files_without_weights(tmp_path):
    model = make()
    with pytest.raises(ModelError, match=r"found no weights in .*, expected model\.safetensors or"):
        model.load_encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"cannot read weights from .*: it is damaged"):
        model.load_encoder(tmp_path)
    (tmp_path / "other.ckpt").write_bytes(b"\x80\x1enothing")  # the start of a pickle with protocol 30
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(
            ModelError, match=r"cannot read weights from .*other\.ckpt: it is damaged or holds"
        ):
            model.load_encoder(tmp_path / "other.ckpt")
    assert not caught
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ModelError, match="found list, expected tensors by name"):
        model.load_encoder(tmp_path / "list.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": "first"}, "layers 'first': expected one of sum, last"),
        ({"norm": "batch"}, "norm 'batch': expected one of frame, clip, none"),
        ({"head": "big"}, "head 'big': expected one of linear, context"),
        ({"tail": "cut"}, "tail 'cut': expected one of pad, repeat"),
        ({"inputs": "loud"}, "inputs 'loud': expected one of raw, centred, normalised, standardised"),
        ({"frozen_layers": 3}, "3 frozen layers: expected -1 to 2"),
        ({"depth": 0}, "a depth of 0 layers: expected 1 or more, or null for all"),
        ({"lora_rank": -1}, "low-rank matrices of rank -1: expected 1 or more"),
    ],
)
def test_invalid_options_are_refused(change, message):
    with pytest.raises(OptionError, match=message):
        make(**change)


def test_unsupported_encoders_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"found no encoder in .*, expected a folder with"):
        EncoderTagger(LABELS, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS["wavlm"]))
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"preprocessor_config\.json is damaged: Expecting"):
        EncoderTagger(LABELS, tmp_path)
    fast = {**CONFIGS["wavlm"], "conv_stride": [5, 2, 2, 2, 2, 2, 1]}
    with pytest.raises(ModelError, match="makes a frame of 160 samples, expected 320"):
        EncoderTagger(LABELS, fast)
    for config in ({}, {"model_type": "no such"}):  # transformers lists every type that it has
        with pytest.raises(
            ModelError, match=r"found an encoder of type (None|'no such'), expected"
        ) as caught:
            EncoderTagger(LABELS, config)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.slow
def test_older_folders_without_kind_are_compact_taggers(tmp_path):
    model = CompactTagger(LABELS, layers=1, width=16, heads=2, feedforward=32, positions=99).eval()
    save_tagger(model, tmp_path, LABELS, {})
    description = json.loads((tmp_path / CARD).read_text())
    assert description.pop("kind") == "compact"
    (tmp_path / CARD).write_text(json.dumps(description))
    loaded, found = load_tagger(tmp_path)
    assert found["kind"] == "compact" and torch.equal(loaded(noise(1, 3000)), model(noise(1, 3000)))
