"""Segmentation windows: exact frame geometry, an absolute grid, and independence of the block sizes."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.errors import ModelError, OptionError
from sed.grid import HOP, frame_count
from sed.inference import MODELS, open_model
from sed.speech.segmentation import (
    MODEL_FIELD,
    MODEL_STEP,
    POWERSET,
    WINDOW,
    WINDOW_FRAMES,
    Segmentation,
    SegmentationStream,
    model_frames,
    nearest_model_frames,
)


class Loudness(Segmentation):
    """Replaces the network: the activity of the first local speaker is the peak level of each frame."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def activities(self, waves: np.ndarray) -> np.ndarray:
        self.batches.append(len(waves))
        level = np.abs(waves.reshape(len(waves), -1, HOP)).max(2)
        return np.stack([level, level * 0, level * 0], 2)


@pytest.fixture(scope="module")
def network() -> Segmentation:
    return Segmentation()


def test_nearest_model_frames_have_the_nearest_centres():
    nearest = nearest_model_frames(WINDOW)
    assert len(nearest) == WINDOW_FRAMES
    centres = np.arange(model_frames(WINDOW)) * MODEL_STEP + (MODEL_FIELD - 1) / 2
    for frame in range(WINDOW_FRAMES):
        distance = np.abs(centres - (frame * HOP + (HOP - 1) / 2))
        assert distance[nearest[frame]] == distance.min()


def test_the_network_returns_model_frames_frames(network):
    for samples in (MODEL_FIELD, MODEL_FIELD + MODEL_STEP - 1, MODEL_FIELD + MODEL_STEP, 48_000):
        found = network.powerset(np.zeros((1, samples), np.float32))
        assert found.shape == (1, model_frames(samples), len(POWERSET))
        np.testing.assert_allclose(found.sum(2), 1, atol=1e-5)


def test_geometry_and_posteriors_match_pyannote(shared, data):
    """With pyannote's own weights; the bundled ones are trained further."""
    from sed.speakers.pyannote import import_pyannote

    import_pyannote()
    import torch
    from pyannote.audio import Model
    from pyannote.audio.utils.powerset import Powerset

    model = Model.from_pretrained(str(shared / "models" / "pyannote-segmentation-3.0")).eval()
    field = model.receptive_field
    assert round(field.start * 16_000, 6) == 0
    assert round(field.duration * 16_000, 6) == MODEL_FIELD
    assert round(field.step * 16_000, 6) == MODEL_STEP
    np.testing.assert_array_equal(POWERSET, Powerset(3, 2).mapping.numpy())
    samples = sf.read(data / "ami_trn00.flac", dtype="float32")[0][:WINDOW]
    with torch.inference_mode():
        theirs = model(torch.from_numpy(samples)[None, None]).exp().numpy()
    ours = Segmentation(shared / "models" / "segmentation-3.0.onnx").powerset(samples[None])
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_training_further_has_improved_conversations(shared):
    """Missed and invented speech of `valid` speakers, from whom nothing was learnt: 13.7 % (16.7)."""
    from sed.simulation.sets import conversation_set

    wrong = {"published": 0, "bundled": 0}
    total = 0
    networks = {
        "published": Segmentation(shared / "models" / "segmentation-3.0.onnx"),
        "bundled": Segmentation(),
    }
    for _, samples, reference in conversation_set(shared / "corpora", "valid", 4, seed=3):
        count = np.zeros(frame_count(len(samples)), int)
        for segment in reference:
            count[round(segment.start * 50) : round(segment.end * 50)] += 1
        whole = np.float32(samples[: len(samples) // WINDOW * WINDOW]).reshape(-1, WINDOW)
        count = count[: whole.size // HOP].clip(max=2)
        total += count.sum()
        for name, one in networks.items():
            wrong[name] += np.abs(one.active(whole).sum(2).ravel() - count).sum()
    assert wrong["bundled"] < 0.87 * wrong["published"], wrong
    assert wrong["bundled"] < 0.15 * total


def test_powerset_classes_are_silence_each_speaker_and_each_pair():
    expected = [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    assert [tuple(np.flatnonzero(row)) for row in POWERSET] == expected


def test_powerset_is_converted_to_speakers(network, monkeypatch):
    classes = np.zeros((1, 589, 7), np.float32)
    classes[:, :, 4] = 0.75  # the first and the second together
    classes[:, :, 3] = 0.25  # the third alone
    monkeypatch.setattr(network, "powerset", lambda waves: classes)
    found = network.activities(np.zeros((1, WINDOW), np.float32))
    assert found.shape == (1, WINDOW_FRAMES, 3)
    np.testing.assert_allclose(found, np.broadcast_to([0.75, 0.75, 0.25], found.shape))
    active = network.active(np.zeros((1, WINDOW), np.float32))
    assert active.dtype == bool
    np.testing.assert_array_equal(active, np.broadcast_to([True, True, False], found.shape))


@settings(max_examples=30, deadline=None)
@given(samples=st.integers(0, 700_000), seed=st.integers(0, 99), step=st.sampled_from([2.5, 5.0, 10.0]))
def test_windows_do_not_depend_on_the_block_sizes(samples, seed, step):
    rng = np.random.default_rng(seed)
    audio = rng.random(samples, np.float32)
    whole, split = (SegmentationStream(Loudness().activities, step) for _ in range(2))
    expected = [*whole.push(audio), *whole.close()]
    cuts = np.sort(rng.integers(0, samples + 1, rng.integers(0, 6)))
    found = [window for part in np.split(audio, cuts) for window in split.push(part)]
    found += list(split.close())
    assert [number for number, _ in found] == [number for number, _ in expected] == list(range(len(expected)))
    for (_, one), (_, other) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert split._segment.__self__.batches == whole._segment.__self__.batches, (
        "other batch sizes may round differently"
    )


@pytest.mark.parametrize("samples", [0, 1, 160_000, 160_001, 240_000, 240_001, 400_000, 480_001, 555_555])
def test_windows_lie_on_the_grid_and_cover_everything(samples):
    audio = np.random.default_rng(1).random(samples, np.float32)
    stream = SegmentationStream(Loudness().activities, 5.0)
    windows = [*stream.push(audio), *stream.close()]
    for number, activities in windows:
        wave = audio[number * 80_000 : number * 80_000 + WINDOW]
        whole = len(wave) // HOP
        expected = np.abs(wave[: whole * HOP].reshape(-1, HOP)).max(1)
        np.testing.assert_array_equal(activities[:whole, 0], expected)
        np.testing.assert_allclose(activities[whole + 1 :, 0], activities[-1, 0])  # the padding is constant
    covered = (len(windows) - 1) * 250 + WINDOW_FRAMES if windows else 0
    assert covered >= frame_count(samples)
    assert covered - 250 < frame_count(samples) or len(windows) <= 1, "more windows than necessary"


def test_real_speech_and_silence(network, data):
    speech, _ = sf.read(data / "ami_trn00.flac", dtype="float32")
    assert network.activities(speech[None, -WINDOW:]).max() > 0.9
    for level in (0, 0.5, -1):
        assert network.activities(np.full((1, WINDOW), level, np.float32)).max() < 0.1


@pytest.mark.parametrize("samples", [16, 8_000, 160_001])
def test_the_end_of_a_dc_offset_is_not_detected_as_speech(network, samples):
    stream = SegmentationStream(network.activities)
    windows = [*stream.push(np.full(samples, 0.5, np.float32)), *stream.close()]
    assert max(activities.max() for _, activities in windows) < 0.1


def test_invalid_models_and_steps_are_rejected(network, tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        Segmentation(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ModelError, match="not an ONNX model"):
        Segmentation(tmp_path / "text.onnx")
    with pytest.raises(ModelError, match="expected \\(windows, frames, 7\\)"):
        Segmentation(MODELS / "campplus-zh-en-int8.onnx")
    with pytest.raises(ModelError, match="takes 1 inputs, expected 3"):
        open_model("segmentation.onnx", inputs=3)
    with pytest.raises(OptionError, match="0 threads"):
        Segmentation(threads=0)
    for step in (0, -1, 10.02, 0.01):
        with pytest.raises(OptionError, match="step"):
            SegmentationStream(network.active, step)


def test_ctrl_c_while_onnxruntime_is_imported_is_not_reported_as_a_damaged_model(monkeypatch):
    class Interrupted:
        def find_spec(self, name, *_):
            if name == "onnxruntime":  # as pybind11 reports an exception raised during module initialisation
                raise ImportError("initialization failed") from KeyboardInterrupt()

    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(KeyboardInterrupt):
        open_model("segmentation.onnx")
