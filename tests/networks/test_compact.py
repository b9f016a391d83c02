import numpy as np
import pytest
import torch

from sed.errors import ModelError
from sed.grid import HOP, frame_count
from sed.networks.compact import CompactTagger
from sed.networks.mel import BINS, FOURIER, LogMel, mask_spectrum, mel_filters
from sed.networks.store import CARD, WEIGHTS, load_tagger, save_tagger
from sed.scoring.counts import mean_recall
from sed.training.evaluation import evaluate_posteriors
from sed.training.objectives.losses import run_means, tagger_loss
from sed.training.schedule import learning_rate_factor

LABELS = ["neutral", "happy", "sad", "bored"]
TINY = {"layers": 2, "width": 16, "heads": 2, "feedforward": 32, "head_width": 8, "positions": 400}


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return CompactTagger(LABELS, **TINY).eval()


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 319, 320, 321, 80_000])
def test_one_frame_per_started_20_ms(tiny, samples):
    assert tiny(torch.zeros(2, samples)).shape == (2, frame_count(samples), len(LABELS))
    assert tiny.log_mel(torch.zeros(2, samples)).shape == (2, 80, 2 * frame_count(samples))


def test_log_mel_equals_whispers():
    """Compared with an independent computation: FFT, and filters as triangles over Hz."""
    wave = np.random.default_rng(0).standard_normal(3200) * 0.1
    window = np.hanning(FOURIER + 1)[:-1]
    padded = np.concatenate([np.zeros(200), wave, np.zeros(200)])
    power = [np.abs(np.fft.rfft(padded[t * 160 : t * 160 + 400] * window)) ** 2 for t in range(20)]
    logs = np.log10(np.maximum(mel_filters() @ np.array(power).T, 1e-10))
    expected = (np.maximum(logs, logs.max() - 8) + 4) / 4
    assert LogMel()(torch.from_numpy(wave[None].astype(np.float32)))[0].numpy() == pytest.approx(
        expected, abs=1e-4
    )


def test_mel_filters_are_triangles_of_equal_area():
    filters = mel_filters()
    assert filters.shape == (80, BINS) and (filters >= 0).all()
    centres = (filters * np.arange(BINS) * 40).sum(1) / filters.sum(1)
    assert np.all(np.diff(centres) > 0) and centres[0] < 60 and 7500 < centres[-1] < 8000
    assert filters[60:].sum(1) * 40 == pytest.approx(1, abs=0.06), "40 Hz per bin"


def test_silence_and_noise_of_any_level_are_finite(tiny):
    for level in (0, 1e-20, 1e-4, 1, 1e4):
        assert torch.isfinite(tiny(torch.randn(1, 5000) * level)).all()


def test_items_of_a_batch_are_independent(tiny):
    wave, loud = torch.randn(1, 9000), torch.randn(1, 9000) * 50
    together = tiny(torch.cat([wave, loud, torch.zeros(1, 9000)]))
    assert torch.allclose(together[:1], tiny(wave), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 320, 321, 9600, 9601])
def test_the_frame_rate_can_be_halved_after_a_layer(samples):
    torch.manual_seed(0)
    tagger = CompactTagger(LABELS, **{**TINY, "layers": 3}, halve_after=1).eval()
    inputs_of_layers = []
    for layer in tagger.layers:
        layer.register_forward_pre_hook(lambda _, inputs: inputs_of_layers.append(inputs[0]))
    frames = frame_count(samples)
    assert tagger(torch.randn(2, samples)).shape == (2, frames, len(LABELS))
    assert [x.shape[1] for x in inputs_of_layers] == [frames, (frames + 1) // 2, (frames + 1) // 2]
    full_rate, halved = tagger.layers[0](inputs_of_layers[0]), inputs_of_layers[1]
    assert torch.allclose(halved[:, 0], full_rate[:, :2].mean(1), atol=1e-6)
    assert torch.allclose(halved[:, -1], full_rate[:, -2 + frames % 2 :].mean(1), atol=1e-6)
    plain = CompactTagger(LABELS, **{**TINY, "layers": 3}).eval()
    plain.load_state_dict(tagger.state_dict())
    wave = torch.randn(1, 9600)
    assert not torch.allclose(plain(wave), tagger(wave))


def test_encoder_weights_come_from_the_file(tmp_path, tiny):
    from safetensors.torch import save_file

    other = CompactTagger(LABELS, **{**TINY, "layers": 3})
    stored = {k: v.half() for k, v in other.state_dict().items() if not k.startswith(("norm", "classifier"))}
    save_file({k: v.contiguous() for k, v in stored.items()}, tmp_path / "encoder.safetensors")
    classify = tiny.classifier.weight.clone()
    tiny.load_encoder(tmp_path / "encoder.safetensors")
    for name in ("conv1.weight", "layers.1.self_attn.q_proj.weight", "embed_positions.weight"):
        assert torch.equal(tiny.state_dict()[name], stored[name].float())
    assert torch.equal(tiny.classifier.weight, classify)
    with pytest.raises(ModelError, match="found nothing for layers"):
        CompactTagger(LABELS, **{**TINY, "layers": 4}).load_encoder(tmp_path / "encoder.safetensors")
    with pytest.raises(ModelError, match="expected shape"):
        CompactTagger(LABELS, **{**TINY, "feedforward": 64}).load_encoder(tmp_path / "encoder.safetensors")
    with pytest.raises(ModelError, match=r"found no weights at .*none, expected a file"):
        tiny.load_encoder(tmp_path / "none")


def test_whisper_weights_can_be_loaded(shared):
    model = CompactTagger(LABELS)
    model.load_encoder(shared / "models" / "whisper-base-encoder.safetensors")
    assert model.layers[2].fc1.weight.std().item() > 0


def test_spec_augment_only_while_training(tiny):
    wave = torch.randn(2, 16_000)
    assert torch.equal(tiny(wave), tiny(wave))
    mel = tiny.log_mel(wave)
    masked = mask_spectrum(mel, 2) != mel
    assert 0 < masked.float().mean() < 0.6
    whole_bands, whole_frames = masked.all(dim=2), masked.all(dim=1)
    assert torch.equal(masked, whole_bands[:, :, None] | whole_frames[:, None, :])


def test_lower_layers_have_lower_rates_and_the_stem_is_frozen(tiny):
    groups = tiny.parameter_groups(1e-3, 1e-2, 0.5)
    assert [g["lr"] for g in groups] == [5e-4, 1e-3, 1e-2]
    grouped = [p for g in groups for p in g["params"]]
    assert len(grouped) == len({id(p) for p in grouped})
    frozen = {id(p) for p in tiny.parameters()} - {id(p) for p in grouped}
    stem = (tiny.conv1, tiny.conv2, tiny.embed_positions)
    assert frozen == {id(p) for module in stem for p in module.parameters()}
    unfrozen = CompactTagger(LABELS, **TINY, train_stem=True).parameter_groups(1e-3, 1e-2, 0.5)
    assert [g["lr"] for g in unfrozen] == [5e-4, 1e-3, 2.5e-4, 1e-2]


@pytest.mark.slow
def test_frozen_layers_do_not_change():
    torch.manual_seed(0)
    model = CompactTagger(LABELS, **TINY, frozen_layers=1)
    optimiser = torch.optim.AdamW(model.parameter_groups(0.1, 0.1, 1.0), weight_decay=0.5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tagger_loss(model(torch.randn(1, 9600)), torch.zeros(1, 30, dtype=torch.long), 0, 0.5).backward()
    optimiser.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(("layers.0", "conv", "embed")) for name in changed)
    assert "layers.1.fc1.weight" in changed and "classifier.weight" in changed


def test_run_means_by_hand():
    logits = torch.arange(12.0).reshape(1, 6, 2)
    targets = torch.tensor([[1, 1, -1, 0, 0, 0]])
    means, labels = run_means(logits, targets, min_frames=2)
    assert means.tolist() == [[1, 2], [8, 9]] and labels.tolist() == [1, 0]
    assert run_means(logits, targets, min_frames=3)[1].tolist() == [0]


def test_runs_do_not_cross_clips():
    _, labels = run_means(torch.zeros(2, 4, 2), torch.zeros(2, 4, dtype=torch.long), min_frames=1)
    assert len(labels) == 2


def test_frames_without_target_are_ignored():
    torch.manual_seed(1)
    logits, targets = torch.randn(2, 40, 4), torch.randint(4, (2, 40))
    targets[:, 25:] = -1
    changed = logits.clone()
    changed[:, 25:] += 100
    assert tagger_loss(logits, targets, 0.1, 0.5) == tagger_loss(changed, targets, 0.1, 0.5)
    assert tagger_loss(logits, torch.full((2, 40), -1), 0.1, 0.5) == 0


def test_the_schedule_has_warmup_plateau_and_decay():
    factors = [learning_rate_factor(step, 1000, 100, 400) for step in range(1001)]
    assert factors[99] == factors[600] == 1 and factors[1000] == 0
    assert np.all(np.diff(factors[:100]) > 0) and np.all(np.diff(factors[600:]) <= 0)


def test_a_saved_tagger_is_loaded_unchanged(tmp_path, tiny):
    save_tagger(tiny, tmp_path / "t", ["neutral", "sad"], {"name": "x"})
    model, description = load_tagger(tmp_path / "t")
    assert description["labels"] == ["neutral", "sad"] and description["card"] == {"name": "x"}
    wave = torch.randn(1, 5000)
    assert torch.equal(model(wave), tiny(wave))
    assert sorted(p.name for p in (tmp_path / "t").iterdir()) == sorted([CARD, WEIGHTS])


def test_folder_errors(tmp_path, tiny):
    with pytest.raises(ModelError, match="no trained tagger in"):
        load_tagger(tmp_path)
    save_tagger(tiny, tmp_path, ["neutral", "sad"], {})
    (tmp_path / WEIGHTS).write_bytes(b"x" * 100)
    with pytest.raises(ModelError, match=r"damaged|no trained tagger"):
        load_tagger(tmp_path)
    save_tagger(tiny, tmp_path, ["neutral", "proud"], {})
    with pytest.raises(ModelError, match="proud"):
        load_tagger(tmp_path)


def test_evaluation_by_hand():
    from pathlib import Path

    from sed.corpora.audio import Utterance
    from sed.simulation.patterns import Event

    def posteriors(wave):  # "sad" if the first sample of a frame is positive
        sad = (wave[::HOP] > 0).astype(float)
        return np.stack([1 - sad, sad], axis=1)

    loud, silent = np.full(10 * HOP, 9, np.int16), np.zeros(10 * HOP, np.int16)
    rows = [("sad", loud), ("sad", loud), ("sad", silent), ("neutral", silent)]
    speech = [(Utterance("c", Path(), "s", emotion, "valid"), wave) for emotion, wave in rows]
    clip = np.concatenate([np.zeros(6 * HOP), np.ones(4 * HOP)])
    clips = [(clip, [Event(0, 5 * HOP, "neutral"), Event(5 * HOP, 10 * HOP, "sad")])]
    report = evaluate_posteriors(posteriors, speech, clips, ["neutral", "sad"])
    assert report.recalls() == {"c": pytest.approx((1 + 2 / 3) / 2)}
    assert report.pattern_error == pytest.approx(0.1)
    assert (
        evaluate_posteriors(posteriors, speech, [], ["neutral", "sad"], max_utterances=1)
        .confusions["c"]
        .sum()
        == 2
    )
    assert mean_recall(np.array([[3, 1, 0], [0, 0, 0], [1, 0, 1]])) == pytest.approx(0.625)
