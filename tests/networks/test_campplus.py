import numpy as np
import pytest
import torch

from sed.audio.fbank import filter_bank
from sed.errors import ModelError, OptionError
from sed.grid import HOP, frame_count
from sed.networks.campplus import WIDTH, VoiceEncoder
from sed.networks.compact import CompactTagger
from sed.networks.mel import KaldiMel, mask_spectrum
from sed.networks.store import load_tagger, save_tagger
from sed.training.objectives.base import FeatureTap
from sed.training.objectives.losses import tagger_loss

LABELS = ["neutral", "happy", "sad"]
TINY = {"layers": 1, "width": 16, "heads": 2, "feedforward": 32, "head_width": 8, "positions": 400}


@pytest.fixture(scope="module")
def noise():
    """One second of noise with a varying level, so that no two frames are equal."""
    rng = np.random.default_rng(0)
    return (rng.standard_normal(16_000) * (0.05 + 0.04 * np.sin(np.arange(16_000) / 900))).astype(np.float32)


def features(wave):
    return KaldiMel()(torch.from_numpy(wave)[None])[0].numpy().T


def test_features_are_those_of_the_speaker_network(noise):
    expected = filter_bank(np.concatenate([np.zeros(200, np.float32), noise]))
    found = features(noise)
    assert found.shape == (2 * frame_count(len(noise)), 80)
    inner = slice(3, len(expected) - 3)  # the first and last windows include silence
    difference = found[inner] - expected[inner]
    difference = np.abs(difference - np.median(difference, 0))
    assert np.quantile(difference, 0.98) < 2e-3, "bands with little energy have rounding errors"


def test_the_mean_ignores_silence(noise):
    padded = np.concatenate([noise, np.zeros(32_000, np.float32)])
    inner = slice(3, 90)
    assert features(padded)[inner] == pytest.approx(features(noise)[inner], abs=0.1)
    plain = filter_bank(padded)
    assert np.abs(plain.mean(0) - filter_bank(noise).mean(0)).min() > 1, "a plain mean would be shifted"


def test_the_level_does_not_matter(noise):
    assert features(noise * 30) == pytest.approx(features(noise), abs=1e-3)
    for level in (0, 1e-20, 1e4):
        assert np.isfinite(features(noise * np.float32(level))).all()


@pytest.mark.slow
def test_the_encoder_equals_the_published_one(shared):
    import onnx
    import onnxruntime

    path = shared / "models" / "campplus-zh-en.onnx"
    graph = onnx.load(path)
    name = "/xvector/transit2/linear/Conv_output_0"
    graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    encoder = VoiceEncoder().eval()
    encoder.load(path)
    for frames in (60, 260, 500):  # less than a segment of the context masks, and more than two
        mel = np.random.default_rng(frames).standard_normal((1, frames, 80)).astype(np.float32)
        expected = session.run([name], {session.get_inputs()[0].name: mel})[0]
        found = encoder(torch.from_numpy(mel).transpose(1, 2)).transpose(1, 2).numpy()
        assert found.shape == (1, WIDTH, frames // 2)
        assert found == pytest.approx(expected, abs=1e-3)


def test_only_the_published_file_is_accepted(tmp_path, shared):
    with pytest.raises(ModelError, match="cannot read speaker weights"):
        VoiceEncoder().load(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match=r"found nothing for .*, expected CAM"):
        VoiceEncoder().load(shared / "models" / "segmentation-3.0.onnx")
    with pytest.raises(OptionError, match="without voice"):
        CompactTagger(LABELS, **TINY).load_voice("x.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 321, 40_000])
@pytest.mark.parametrize("kind", [{}, {"fusion": 1}, {"fusion": 1, "layers": 2, "halve_after": 1}])
def test_one_frame_per_started_20_ms(kind, samples):
    torch.manual_seed(0)
    tagger = CompactTagger(LABELS, **{**TINY, **kind}, voice=True).eval()
    assert tagger(torch.randn(2, samples)).shape == (2, frame_count(samples), len(LABELS))


@pytest.mark.parametrize("fusion", [0, 1])
def test_items_of_a_batch_are_independent(fusion):
    torch.manual_seed(0)
    tagger = CompactTagger(LABELS, **TINY, voice=True, fusion=fusion).eval()
    wave, loud = torch.randn(1, 9000), torch.randn(1, 9000) * 50
    assert torch.allclose(tagger(torch.cat([wave, loud]))[:1], tagger(wave), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("learns", [False, True])
def test_the_speaker_encoder_is_trained_only_if_enabled(learns):
    torch.manual_seed(0)
    tagger = CompactTagger(LABELS, **TINY, voice=True, train_voice=learns)
    before = {name: value.clone() for name, value in tagger.state_dict().items()}
    optimiser = torch.optim.SGD(tagger.parameter_groups(0.1, 0.1, 1.0))
    tagger_loss(tagger(torch.randn(1, 30 * HOP)), torch.zeros(1, 30, dtype=torch.long), 0, 0.5).backward()
    optimiser.step()
    changed = {name for name, value in tagger.state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.startswith("voice.head.") for name in changed)
    assert any(name.startswith("voice.encoder.") for name in changed) == learns


def test_the_logits_are_the_mean_of_the_branches():
    torch.manual_seed(0)
    tagger = CompactTagger(LABELS, **TINY, voice=True).eval()
    tap = FeatureTap(tagger)
    together = tagger(torch.randn(2, 9000))
    features = tap.take()
    encoder, voice = tagger.branch_logits(features)
    assert torch.allclose((encoder + voice) / 2, together, atol=1e-5) and not torch.allclose(encoder, voice)
    without = torch.cat(
        [features[:, :, : tagger.head.width], torch.randn_like(features[:, :, tagger.head.width :])], 2
    )
    assert torch.equal(tagger.branch_logits(without)[0], encoder), "independent of the other branch"
    single = CompactTagger(LABELS, **TINY).eval()
    tap = FeatureTap(single)
    logits = single(torch.randn(2, 9000))
    assert torch.equal(single.branch_logits(tap.take())[0], logits)


@pytest.mark.slow
def test_fusion_uses_both_branches_and_has_separate_logits():
    torch.manual_seed(0)
    tagger = CompactTagger(LABELS, **{**TINY, "layers": 3}, voice=True, fusion=2).eval()
    tap, waves, inputs = FeatureTap(tagger), torch.randn(2, 9000), []
    tagger.fusion.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    together = tagger(waves)
    encoder, voice, fused = tagger.branch_logits(tap.take())
    assert torch.allclose((encoder + voice + fused) / 3, together, atol=1e-5)
    states = []
    for layer in tagger.layers:
        layer.register_forward_hook(lambda _, given, output: states.append(output))
    tagger.voice.register_forward_hook(lambda _, given, output: states.append(output))
    tagger(waves)
    assert torch.equal(inputs[0], torch.cat(states[1:], 2)), "the last two layers, then the speaker network"


@pytest.mark.slow
def test_branches_are_weighted_by_their_shares_and_removed_with_share_0(tmp_path):
    torch.manual_seed(0)
    tagger = CompactTagger(LABELS, **TINY, voice=True, fusion=1, shares=[0, 1, 3]).eval()
    tap, waves = FeatureTap(tagger), torch.randn(2, 9000)
    together = tagger(waves)
    _, voice, fused = tagger.branch_logits(tap.take())
    assert torch.allclose((voice + 3 * fused) / 4, together, atol=1e-5) and not torch.allclose(voice, fused)
    waves[0, :4000] = 0
    save_tagger(tagger, tmp_path, LABELS, {})
    again, description = load_tagger(tmp_path)
    assert description["settings"]["shares"] == [0, 1, 3] and torch.equal(again(waves), tagger(waves))
    before = {name.split(".")[0] for name in again.state_dict()}
    again.prepare_for_inference()
    assert torch.allclose(again(waves), tagger(waves), atol=1e-5)
    assert before - {name.split(".")[0] for name in again.state_dict()} == {"head"}
    again.prepare_for_inference()
    assert again.classifier.in_features == 2 * 8 and not again.has_branches
    encoder_only = CompactTagger(LABELS, **TINY, voice=True, fusion=1, shares=[1, 0, 0]).eval()
    expected = encoder_only(waves)
    encoder_only.prepare_for_inference()
    assert torch.allclose(encoder_only(waves), expected, atol=1e-5)
    assert encoder_only.voice is None and encoder_only.fusion is None, "the speaker network is unused"


@pytest.mark.slow
def test_a_branch_with_share_0_still_trains_the_encoder():
    torch.manual_seed(0)
    tagger = CompactTagger(LABELS, **TINY, voice=True, fusion=1, shares=[0, 1, 1]).train()
    tap = FeatureTap(tagger)
    tagger(torch.randn(1, 30 * HOP))
    logits = tagger.branch_logits(tap.take())[0]
    tagger_loss(logits, torch.zeros(1, 30, dtype=torch.long), 0, 0.5).backward()
    assert tagger.head.reduce.weight.grad.abs().max() > 0
    assert tagger.layers[-1].fc1.weight.grad.abs().max() > 0


@pytest.mark.parametrize("shares", [[1, 1], [0, 0, 0], [1, -1, 1]])
def test_invalid_shares_are_refused(shares):
    with pytest.raises(OptionError, match="expected 3 numbers, none below 0, not all 0"):
        CompactTagger(LABELS, **TINY, voice=True, fusion=1, shares=shares)


@pytest.mark.slow
def test_fusion_after_halving_is_at_the_last_layers_rate():
    wide = {**TINY, "layers": 3, "reaches": [4, 9]}
    tagger = CompactTagger(LABELS, **wide, voice=True, fusion=2, halve_after=1).eval()
    assert tagger.fusion.statistics.reaches == [2, 4] and tagger.head.statistics.reaches == [4, 9]
    shapes = []
    tagger.fusion.register_forward_pre_hook(lambda _, given: shapes.append(given[0].shape))
    assert tagger(torch.randn(1, 41 * HOP)).shape[1] == 41
    assert shapes == [(1, 21, 2 * 16 + WIDTH)]


def test_fusion_needs_a_voice_and_layers_of_one_rate():
    with pytest.raises(
        OptionError, match="fusion of 1 layers without voice: expected at most 1, those of one"
    ):
        CompactTagger(LABELS, **TINY, fusion=1)
    with pytest.raises(OptionError, match="fusion of 2 layers with voice: expected at most 1"):
        CompactTagger(LABELS, **{**TINY, "layers": 3}, voice=True, fusion=2, halve_after=2)


def test_0_masks_change_nothing():
    mel = torch.randn(2, 80, 50)
    assert mask_spectrum(mel, 0) is mel


def test_features_are_full_precision_under_autocast():
    tagger = CompactTagger(LABELS, **TINY, voice=True).eval()
    wave = torch.randn(1, 9000) * 0.1
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(tagger.log_mel(wave), CompactTagger(LABELS, **TINY).log_mel(wave.clone()))
        mel = tagger.voice.mel(wave)
    assert mel.dtype == torch.float32 and torch.equal(mel, KaldiMel()(wave))
