"""Taggers loaded from folders of `sed-train`: every family, any block sizes, any batch, reproducible results."""

import json

import numpy as np
import pytest
import torch
from tiny_encoders import CONFIGS

from sed import EmotionDiarizer
from sed.emotion import load_tagger
from sed.emotion.neural import TorchTagger
from sed.emotion.tagger import Tagger
from sed.emotion.windows import PosteriorStream, posteriors_of
from sed.errors import ModelError, OptionError
from sed.grid import HOP, frame_count
from sed.networks.compact import CompactTagger
from sed.networks.pretrained import EncoderTagger
from sed.networks.store import CARD, WEIGHTS, save_tagger

TRAINED_LABELS = ["calm", "sad", "neutral", "angry", "happy"]
LABELS = ["neutral", "happy", "angry", "sad"]
WINDOW = 24_000


def model_of(name):
    torch.manual_seed(1)
    if name == "compact":
        return CompactTagger(
            TRAINED_LABELS, layers=2, width=16, heads=2, feedforward=32, head_width=8, positions=200
        )
    return EncoderTagger(TRAINED_LABELS, CONFIGS[name], head="context", head_width=8, lora_rank=2)


def save(name, folder, **card):
    model = model_of(name)
    with torch.no_grad():
        for (
            parameter
        ) in model.parameters():  # away from the initial values, which are zero for low-rank matrices
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_tagger(model, folder, LABELS, {"name": name, "window": WINDOW, **card})
    return model.eval()


@pytest.fixture(scope="module", params=["compact", *CONFIGS])
def saved(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return save(request.param, folder / "tagger"), folder


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * 0.1


@pytest.mark.slow
def test_a_trained_folder_is_loaded(saved):
    """From the run's folder or the tagger's; the softmax is over the saved labels, a subset of the trained ones."""
    model, folder = saved
    tagger = load_tagger(folder / "tagger")
    assert isinstance(tagger, Tagger) and tagger.labels == tuple(LABELS) and tagger.window == WINDOW
    wave = noise(1, 9999)
    with torch.inference_mode():
        logits = model(torch.from_numpy(wave))[:, :, [TRAINED_LABELS.index(label) for label in LABELS]]
        expected = torch.softmax(logits, 2).numpy()
    assert tagger.posteriors(wave) == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(load_tagger(folder).posteriors(wave), tagger.posteriors(wave))


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 319, 320, 321, WINDOW])
def test_frames_and_sums(saved, samples):
    posteriors = load_tagger(saved[1]).posteriors(noise(2, samples))
    assert posteriors.shape == (2, frame_count(samples), 4) and posteriors.dtype == np.float32
    assert posteriors.sum(2) == pytest.approx(1, abs=1e-5)


def test_posteriors_do_not_depend_on_the_block_sizes(saved):
    tagger, audio = load_tagger(saved[1]), noise(100_001)
    whole = posteriors_of(tagger, audio)
    assert whole.shape == (frame_count(100_001), 4)
    rng = np.random.default_rng(2)
    for _ in range(3):
        stream = PosteriorStream(tagger)
        cuts = sorted(rng.integers(0, 100_001, 7))
        parts = [stream.push(block) for block in np.split(audio, cuts)]
        assert np.array_equal(np.concatenate([*parts, stream.close()]), whole)


def test_posteriors_do_not_depend_on_the_rest_of_the_batch(saved):
    tagger, wave = load_tagger(saved[1]), noise(1, 16_000)
    alone = tagger.posteriors(wave)[0]
    for other in (np.zeros_like(wave), 100 * noise(1, 16_000, seed=1), wave):
        assert np.array_equal(tagger.posteriors(np.concatenate([other, wave]))[1], alone)
    tagger.batch = 16  # as on a GPU
    together = tagger.posteriors(np.concatenate([noise(4, 16_000, seed=3) * 30, wave]))
    assert together[4] == pytest.approx(alone, abs=1e-5)


@pytest.mark.slow
def test_results_are_reproducible(saved):
    tagger, wave = load_tagger(saved[1]), noise(1, 16_000)
    assert np.array_equal(tagger.posteriors(wave), tagger.posteriors(wave))
    assert np.array_equal(tagger.posteriors(wave), load_tagger(saved[1]).posteriors(wave))
    assert load_tagger(saved[1], threads=2).posteriors(wave) == pytest.approx(
        tagger.posteriors(wave), abs=1e-5
    )


def test_posteriors_of_silence_and_extremes_are_finite(saved):
    waves = np.stack([np.zeros(5000), np.ones(5000), np.full(5000, 1e-20), np.resize([1.0, -1.0], 5000)])
    assert np.isfinite(load_tagger(saved[1]).posteriors(waves.astype(np.float32))).all()


@pytest.mark.parametrize(
    ("precision", "text"),
    [("fp32", r"NaN posteriors.*weights are damaged$"), ("fp16", "or too large for fp16")],
)
def test_nan_posteriors_raise_an_error(precision, text):
    model = model_of("wavlm")
    with torch.no_grad():
        model.classifier.weight[TRAINED_LABELS.index("sad"), 0] = torch.nan
    tagger = TorchTagger(model, LABELS, WINDOW, precision=precision)
    with pytest.raises(ModelError, match=text):
        tagger.posteriors(noise(1, 3200))


def test_half_precision_is_close(saved):
    tagger, wave = load_tagger(saved[1]), noise(1, 16_000)
    half = load_tagger(saved[1], precision="bf16")
    difference = np.abs(half.posteriors(wave) - tagger.posteriors(wave)).max()
    assert 0 < difference < 0.1


def test_the_number_of_torch_threads_is_restored(saved):
    initial = torch.get_num_threads()
    try:
        for own, others in ((1, 3), (3, 1)):
            torch.set_num_threads(others)
            seen = []
            tagger = load_tagger(saved[1], threads=own)
            tagger._model.register_forward_hook(lambda *_, seen=seen: seen.append(torch.get_num_threads()))
            tagger.posteriors(noise(1, 3200))
            assert seen == [own] and torch.get_num_threads() == others
            with pytest.raises(OptionError):
                tagger.posteriors(noise(1, 0))
            assert torch.get_num_threads() == others
    finally:
        torch.set_num_threads(initial)


def test_invalid_input_is_rejected(saved):
    tagger = load_tagger(saved[1])
    for shape in ((100,), (1, 0), (1, 2, 100)):
        with pytest.raises(OptionError, match=r"expected \(batch, samples\)"):
            tagger.posteriors(np.zeros(shape, np.float32))
    if tagger.max_samples:
        with pytest.raises(OptionError, match=r"4\.0000625 s of audio at once: expected at most 4\.0 s"):
            tagger.posteriors(np.zeros((1, 64_001), np.float32))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"threads": 0}, "0 threads: expected at least 1"),
        ({"device": "abacus"}, "device 'abacus': expected auto, cpu or a GPU that torch finds"),
        ({"device": "cuda:77"}, "device 'cuda:77': expected"),
        ({"precision": "fp8"}, "precision 'fp8': expected one of auto, fp32, fp16, bf16"),
    ],
)
def test_invalid_options_are_rejected(saved, options, text):
    with pytest.raises(OptionError, match=text):
        load_tagger(saved[1], **options)


@pytest.mark.parametrize("kind", ["compact", "wavlm"])
@pytest.mark.parametrize("missing", [CARD, WEIGHTS])
def test_incomplete_folders(kind, missing, tmp_path):
    save(kind, tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ModelError, match=rf"found tagger\.\w+, expected {missing} too"):
        load_tagger(tmp_path)


def test_invalid_cards_are_rejected(tmp_path):
    save("whisper", tmp_path)
    for window, text in (
        (24_001, "a window of 24001 samples"),
        (64_320, "multiple of 320 up to 64000"),
        ("ten", "a window of 'ten' samples"),
        (None, "a window of None samples"),
        (24_000.0, "a window of 24000.0 samples"),
    ):
        description = json.loads((tmp_path / CARD).read_text())
        (tmp_path / CARD).write_text(json.dumps({**description, "card": {"window": window}}))
        with pytest.raises(ModelError, match=text):
            load_tagger(tmp_path)
    for labels in (["calm"], ["calm", "calm"]):
        with pytest.raises(ModelError, match=r"found labels \[.*\], expected two or more distinct ones of"):
            TorchTagger(model_of("compact"), labels, 3200)
    description["labels"] = ["calm"]
    (tmp_path / CARD).write_text(json.dumps({**description, "card": {}}))
    with pytest.raises(ModelError, match="found labels"):
        load_tagger(tmp_path)


def test_the_default_window_is_five_seconds_or_the_maximum(tmp_path):
    for name, window in (("wavlm", 80_000), ("whisper", 64_000)):
        save_tagger(model_of(name), tmp_path / name, LABELS, {})
        assert load_tagger(tmp_path / name).window == window and window % HOP == 0


@pytest.mark.slow
def test_the_pipeline_accepts_a_folder(saved, data):
    diarizer = EmotionDiarizer(tagger=saved[1], threads=2)
    result = diarizer(data / "emodb_15_angry_1.flac")
    assert result.labels == tuple(LABELS) and result.segments
    live = EmotionDiarizer(tagger=str(saved[1]), latency=1.0)(data / "emodb_15_angry_1.flac")
    assert live.labels == tuple(LABELS)
