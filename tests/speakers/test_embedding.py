"""Features against Kaldi's and for any block sizes, and embeddings of real voices."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.audio.fbank import FEATURE_HOP, FEATURE_WINDOW, filter_bank
from sed.errors import ModelError
from sed.inference import MODELS
from sed.speakers.embedding import FeatureStream, SpeakerEmbedding


def test_features_match_kaldi(data):
    import sed.networks  # noqa: F401  (must precede the import of torchaudio)

    kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
    import torch

    samples, _ = sf.read(data / "emodb_15_angry_1.flac", dtype="float32")
    samples = np.concatenate([samples, np.zeros(4_000, np.float32), samples[:777]])
    theirs = kaldi.fbank(
        torch.from_numpy(samples)[None], num_mel_bins=80, sample_frequency=16_000, dither=0.0
    )
    ours = filter_bank(samples)
    assert ours.dtype == np.float32 and ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-3)


def test_a_tone_peaks_in_its_mel_band():
    time = np.arange(16_000) / 16_000
    peaks = [filter_bank(np.sin(2 * np.pi * hertz * time)).mean(0).argmax() for hertz in (300, 1_000, 3_000)]
    mel = 1127 * np.log1p(np.array([300, 1_000, 3_000, 20, 8_000]) / 700)
    expected = (mel[:3] - mel[3]) / (mel[4] - mel[3]) * 81 - 1
    np.testing.assert_allclose(peaks, expected, atol=0.6)


def test_audio_shorter_than_a_frame():
    assert filter_bank(np.zeros(FEATURE_WINDOW - 1)).shape == (0, 80)
    assert filter_bank(np.zeros(FEATURE_WINDOW)).shape == (1, 80)


@settings(max_examples=25, deadline=None)
@given(samples=st.integers(0, 60_000), seed=st.integers(0, 99))
def test_the_features_of_a_stream_do_not_depend_on_the_block_sizes(samples, seed):
    rng = np.random.default_rng(seed)
    audio = rng.normal(size=samples).astype(np.float32)
    stream, whole = FeatureStream(), FeatureStream()
    for part in np.split(audio, np.sort(rng.integers(0, samples + 1, 5))):
        stream.push(part)
    whole.push(audio)
    stream.close()
    whole.close()
    frames = -(-samples // 320)
    found = stream.between(0, frames)
    np.testing.assert_array_equal(found, whole.between(0, frames))
    padded = np.pad(audio, (0, max(0, (2 * frames - 1) * FEATURE_HOP + FEATURE_WINDOW - samples)))
    if frames:
        np.testing.assert_allclose(found, filter_bank(padded)[: 2 * frames], atol=1e-3)


def test_features_are_available_after_each_half_second_until_dropped():
    audio = np.random.default_rng(0).normal(size=48_000).astype(np.float32)
    stream = FeatureStream()
    for part in np.split(audio, 6):
        stream.push(part)
    available = stream.between(0, 149)  # the window of the last of the 150 frames is incomplete
    np.testing.assert_allclose(available, filter_bank(audio)[:298], atol=1e-3)
    stream.drop(100)
    np.testing.assert_array_equal(stream.between(100, 149), available[200:])
    with pytest.raises(ValueError, match="frames 10 to 20"):
        stream.between(10, 20)
    with pytest.raises(ValueError, match="frames 100 to 250"):
        stream.between(100, 250)


def test_speakers_are_distinguished_across_emotions(data):
    embed = SpeakerEmbedding()
    names = [
        f"emodb_{speaker}_{emotion}_1" for speaker in (15, 16) for emotion in ("angry", "neutral", "sad")
    ]
    vectors = np.array(
        [embed(filter_bank(sf.read(data / f"{name}.flac", dtype="float32")[0])) for name in names]
    )
    similarity = vectors @ vectors.T
    np.testing.assert_allclose(similarity.diagonal(), 1, atol=1e-5)
    same = np.arange(6)[:, None] // 3 == np.arange(6)[None] // 3
    for n in range(6):
        others = np.arange(6) != n
        assert similarity[n, same[n] & others].mean() - similarity[n, ~same[n]].mean() > 0.1
    assert similarity[same & ~np.eye(6, dtype=bool)].mean() - similarity[~same].mean() > 0.2


def test_embeddings_do_not_depend_on_loudness_or_previous_calls(data):
    embed = SpeakerEmbedding()
    samples, _ = sf.read(data / "emodb_16_neutral_1.flac", dtype="float32")
    first = embed(filter_bank(samples))
    assert first @ embed(filter_bank(samples * 0.3)) > 0.99
    np.testing.assert_array_equal(embed(filter_bank(samples)), first)
    assert np.isfinite(embed(np.zeros((30, 80)))).all()


def test_other_models_are_rejected():
    with pytest.raises(ModelError, match="expected \\(batch, dimension\\)"):
        SpeakerEmbedding(MODELS / "segmentation.onnx")
