"""Task-adaptive pretraining on tiny random encoders: masked frames become predictable, and the encoder opens."""

import json

import numpy as np
import pytest
import soundfile
import torch
from tiny_encoders import CONFIGS, transformers_model
from tones import log, make_corpora, run, tone

from sed.errors import AudioError, OptionError
from sed.networks.encoder_config import read_config
from sed.networks.masked import MaskedEncoder
from sed.networks.pretrained import EncoderTagger
from sed.networks.weights import read_weights
from sed.training.data.frame_states import encoder_states
from sed.training.pretraining.clips import MaskedClips, MaskOptions, draw_mask

TINY = {
    "clusters": 8,
    "cluster_layer": 1,
    "epoch_steps": 15,
    "epochs": 2,
    "steps": 30,
    "warmup_steps": 2,
    "decay_steps": 10,
    "valid_batches": 2,
    "encoder_rate": 0.003,
    "head_rate": 0.02,
    "masks": "{length: [0.6, 1.0], batch_seconds: 8.0, starts: 0.05, frames: 5}",
}


def folder_of(name, folder):
    torch.manual_seed(0)
    transformers_model(name).save_pretrained(folder)
    return folder


def likelihoods(output):
    return [float(line.split("nll")[1].split()[0]) for line in log(output)]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return make_corpora(tmp_path_factory.mktemp("tapt-corpora"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return folder_of("hubert", tmp_path_factory.mktemp("tapt-encoder"))


@pytest.fixture(scope="module")
def whole(corpora, encoder, tmp_path_factory):
    output = tmp_path_factory.mktemp("tapt")
    return output, run("tapt", output, corpora=corpora, encoder=encoder, **TINY)


@pytest.mark.slow
def test_masked_frames_of_held_out_speech_become_predictable(whole):
    start, *_, end = likelihoods(whole[0])
    assert end < 0.6 * start and start == pytest.approx(np.log(8), rel=0.5)
    scores = json.loads((whole[0] / "scores.json").read_text())["valid"]
    assert scores["nll"] == pytest.approx(end, abs=1e-4)


@pytest.mark.slow
def test_the_folder_opens_here_and_in_transformers(whole, encoder):
    from transformers import AutoFeatureExtractor, AutoModel

    folder = whole[1]
    assert read_config(folder) == (read_config(folder)[0], read_config(encoder)[1])
    model = EncoderTagger(["a", "b"], folder, layers="last", norm="none", tail="repeat", inputs="raw").eval()
    model.load_encoder(folder)
    wave = torch.from_numpy(tone(900))[None]
    with torch.no_grad():
        found, expected = model.states(wave), AutoModel.from_pretrained(folder).eval()(wave).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-5)
    assert AutoFeatureExtractor.from_pretrained(folder).do_normalize is (read_config(encoder)[1] != "raw")
    before, after = read_weights(encoder), read_weights(folder)
    layer = "encoder.layers.1.attention.q_proj.weight"
    assert not torch.equal(before[layer], after[layer])
    assert torch.equal(*(each["feature_extractor.conv_layers.1.conv.weight"] for each in (before, after)))


@pytest.mark.slow
def test_a_tagger_is_fine_tuned_from_the_folder(whole, corpora, tmp_path):
    options = {"epoch_steps": 2, "epochs": 1, "valid_clips": 4, "clips": "{length: [1.0, 2.0]}"}
    run("wavlm_large", tmp_path, corpora=corpora, encoder=whole[1], **options)
    assert len(log(tmp_path)) == 1


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(whole, corpora, encoder, tmp_path):
    run("tapt", tmp_path, corpora=corpora, encoder=encoder, **{**TINY, "epochs": 1})
    first = (tmp_path / "clusters.npz").read_bytes()
    folder = run("tapt", tmp_path, corpora=corpora, encoder=encoder, **TINY)
    resumed, expected = read_weights(folder), read_weights(whole[1])
    assert all(torch.equal(resumed[name], value) for name, value in expected.items())
    assert log(tmp_path) == log(whole[0]) and (tmp_path / "clusters.npz").read_bytes() == first
    with pytest.raises(OptionError, match="holds a run with clusters 8, found 9"):
        run("tapt", tmp_path, corpora=corpora, encoder=encoder, **{**TINY, "clusters": 9})


@pytest.mark.slow
def test_pseudo_labels_of_a_fine_tuned_tagger(whole, corpora, tmp_path):
    """P-TAPT: the clusters are those of what the tagger's last layer sees, and the tones are clusters of their own."""
    options = {
        "steps": 30,
        "epochs": 1,
        "epoch_steps": 30,
        "warmup_steps": 2,
        "decay_steps": 5,
        "valid_clips": 4,
    }
    clips = "{length: [1.0, 2.0], batch_seconds: 9.0}"
    tagger = "{head_width: 16, dilations: [1], spec_augment: 0}"
    run("logmel", tmp_path / "t", corpora=corpora, head_rate=0.01, clips=clips, tagger=tagger, **options)
    source = folder_of("wav2vec2", tmp_path / "encoder")
    output = tmp_path / "out"
    run("tapt", output, corpora=corpora, encoder=source, teacher=tmp_path / "t", **TINY)
    start, *_, end = likelihoods(output)
    assert end < 0.8 * start
    with np.load(output / "clusters.npz") as own, np.load(whole[0] / "clusters.npz") as other:
        assert own["centres"].shape == (8, 16) and other["centres"].shape == (8, 32)
        assert own["lengths"].tolist() == other["lengths"].tolist()
        utterances = np.split(own["labels"], np.cumsum(own["lengths"])[:-1])
    common = [np.bincount(labels, minlength=8).argmax() for labels in utterances]
    assert (
        len(set(common)) >= 3 and common[:8] == common[8:]
    )  # train and valid of both corpora: the same four tones


@pytest.mark.slow
def test_unlabelled_files_are_used_in_pieces_and_some_are_held_out(encoder, tmp_path):
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", tone(400 * (number + 1), 16_000 * 25, number), 16_000)
    output = tmp_path / "out"
    options = {**TINY, "epochs": 1, "epoch_steps": 1, "held_out": 0.3, "audio": "disk"}
    run("tapt", output, corpora="[]", unlabelled=f"[{tmp_path}]", encoder=encoder, **options)
    with np.load(output / "clusters.npz") as stored:
        assert stored["lengths"].tolist() == pytest.approx([1000, 250, 1000, 250, 1000, 250], abs=20)
    with pytest.raises(AudioError, match="no unlabelled audio"):
        run("tapt", tmp_path / "b", corpora="[]", unlabelled="[nothing]", encoder=encoder, **options)


def test_masked_frames_are_not_seen_and_have_targets():
    options = MaskOptions(length=(1.0, 1.0), batch_seconds=4.0, starts=0.1, frames=4)
    waves = [(tone(300) * 32767).astype(np.int16), (tone(900, 9_000) * 32767).astype(np.int16)]
    clusters = [np.arange(50) % 3, np.arange(29) % 3]
    clips = MaskedClips([(None, wave) for wave in waves], clusters, options, 0)
    batch = clips.batch(0)
    again = clips.batch(0)
    assert np.array_equal(batch.targets, again.targets) and np.array_equal(batch.waves, again.waves)
    torch.manual_seed(0)
    model = MaskedEncoder(CONFIGS["wavlm-large"], 3).eval()
    masked = torch.from_numpy(batch.targets >= 0)
    assert masked.any(1).all() and not masked.all(1).any()
    for row, length in enumerate(batch.lengths):
        assert length in (16_000, 9_000) and not masked[row, -(-length // 320) :].any()
    whole = next(row for row, length in enumerate(batch.lengths) if length == 16_000)
    targets = batch.targets[whole]
    assert all(target == frame % 3 for frame, target in enumerate(targets) if target >= 0)
    with torch.no_grad():
        wave = torch.from_numpy(batch.waves[whole][None])
        features = []
        model.layers[0].register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
        everything = torch.ones(1, 50, dtype=torch.bool)
        one, other = model(wave, None, everything), model(torch.flip(wave, [1]), None, everything)
        assert torch.allclose(one, other, atol=1e-5)  # with every frame masked nothing of the wave is left
        assert not torch.allclose(model(wave, None, masked[whole][None]), model(wave), atol=1e-3)


def test_masks_have_their_share_and_length():
    rng = np.random.default_rng(0)
    found = [draw_mask(rng, 400, 0.08, 10).mean() for _ in range(20)]
    assert 0.45 < np.mean(found) < 0.65
    assert draw_mask(rng, 3, 0.5, 10).all() and draw_mask(rng, 1, 0.01, 1).all()


def test_invalid_options_are_refused(encoder):
    with pytest.raises(
        OptionError, match="found Whisper, expected an encoder that was pretrained with masks"
    ):
        MaskedEncoder(CONFIGS["whisper"], 4)
    with pytest.raises(OptionError, match="clusters: found 1, expected 2 or more"):
        MaskedEncoder(CONFIGS["hubert"], 1)
    with pytest.raises(OptionError, match="layer: found 3, expected 0 to 2"):
        encoder_states(MaskedEncoder(CONFIGS["hubert"], 4), 3)
    without_masks = {**CONFIGS["hubert"], "mask_time_prob": 0.0}
    assert (
        MaskedEncoder(without_masks, 4)(torch.zeros(1, 3200), None, torch.ones(1, 10, dtype=torch.bool))
        .isfinite()
        .all()
    )
