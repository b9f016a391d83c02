"""The pyannote.audio backend, offline: its pipeline with the bundled weights and with a local model."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile as sf

from sed.audio.fbank import filter_bank
from sed.errors import ModelError, OptionError
from sed.grid import frame_count
from sed.speakers.embedding import SpeakerEmbedding
from sed.speakers.pyannote import CampplusForPyannote, PyannoteDiarizer, import_pyannote, is_pipeline

try:
    import_pyannote()
except ImportError as error:
    pytest.skip(str(error), allow_module_level=True)


def diarize(diarizer, audio):
    session = diarizer.begin()
    for part in np.array_split(audio, 3):
        session.push(part)
    return session.close()


@pytest.fixture(scope="module")
def bundled():
    return PyannoteDiarizer()


@pytest.fixture(scope="module")
def meeting(data):
    return sf.read(data / "ami_trn00.flac", dtype="float32")[0][: 15 * 16_000]


@pytest.mark.slow
def test_pyannotes_pipeline_with_the_bundled_weights(bundled, meeting):
    turns = diarize(bundled, meeting)
    assert turns.active.shape == (frame_count(len(meeting)), len(turns.names))
    assert turns.names[0] == "spk00" and 0.2 < turns.active.any(1).mean() < 1
    assert os.environ["PYANNOTE_METRICS_ENABLED"] == "0"


@pytest.mark.slow
def test_a_local_model_agrees_with_the_bundled_one(shared, bundled, meeting):
    local = PyannoteDiarizer(shared / "models" / "pyannote-segmentation-3.0")
    one, other = (diarize(diarizer, meeting).active.any(1) for diarizer in (local, bundled))
    assert (one == other).mean() > 0.97


@pytest.mark.parametrize("samples", [0, 16, 16_000])
def test_silence_has_no_turns(bundled, samples):
    assert diarize(bundled, np.zeros(samples, np.float32)).active.shape == (frame_count(samples), 0)


def test_the_adapter_embeds_the_masked_part(data):
    import torch

    samples, _ = sf.read(data / "emodb_15_neutral_1.flac", dtype="float32")
    adapter, plain = CampplusForPyannote(), SpeakerEmbedding()
    masks = np.ones((3, 589), np.float32)
    masks[1, :295] = 0
    masks[2, 10:] = 0  # too little audio
    found = adapter(torch.from_numpy(samples)[None, None].repeat(3, 1, 1), torch.from_numpy(masks))
    features = filter_bank(samples)
    np.testing.assert_allclose(found[0], plain(features), atol=1e-5)
    half = len(features) // 2
    later, earlier = (found[1] @ plain(part) for part in (features[half:], features[:half]))
    assert later > 0.9 and later > earlier + 0.05 and np.isnan(found[2]).all()


def test_pipelines_and_models_are_distinguished(tmp_path):
    (tmp_path / "config.yaml").write_text("pipeline:\n  name: pyannote.audio.pipelines.SpeakerDiarization\n")
    assert is_pipeline(tmp_path) and is_pipeline(tmp_path / "config.yaml")
    (tmp_path / "config.yaml").write_text("model:\n  _target_: pyannote.audio.models.segmentation.PyanNet\n")
    assert not is_pipeline(tmp_path) and not is_pipeline(tmp_path / "pytorch_model.bin")


def test_invalid_models_and_numbers_are_rejected(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "pytorch_model.bin").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot load this model"):
        PyannoteDiarizer(tmp_path)
    with pytest.raises(ModelError, match="owner/missing"):
        PyannoteDiarizer("owner/missing")
    with pytest.raises(OptionError, match="min <= max"):
        PyannoteDiarizer(min_speakers=3, max_speakers=2)
