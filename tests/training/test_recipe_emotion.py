"""The recipe of the bundled tagger on tones: states computed once, heads that learn from them."""

import csv

import numpy as np
import pytest
import soundfile
import torch
from tones import PITCH, RATE, make_corpora, run, tone

from sed.corpora.audio import read_manifest
from sed.errors import OptionError
from sed.networks.blocks import double_frames
from sed.networks.compact import CompactTagger
from sed.networks.store import load_tagger
from sed.training.data.augment import Augmentation
from sed.training.data.state_windows import WindowOptions, WindowSampler
from sed.training.data.states import compute_states
from sed.training.evaluation import evaluate

LABELS = list(PITCH)
SHAPE = {
    "layers": 2,
    "width": 16,
    "heads": 2,
    "feedforward": 32,
    "head_width": 16,
    "positions": 300,
    "reaches": [10],
    "dilations": [1],
    "halve_after": 1,
    "voice": True,
    "fusion": 1,
    "encoder_head": False,
    "voice_halved": True,
    "frozen_layers": 2,
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return CompactTagger(LABELS, **SHAPE).eval()


@pytest.fixture(scope="module")
def acted(tmp_path_factory):
    return make_corpora(tmp_path_factory.mktemp("acted"))


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory):
    """Ordinary speech: a tone between those of neutral and happy."""
    folder = tmp_path_factory.mktemp("ordinary")
    rows = [["corpus", "path", "speaker", "emotion", "split"]]
    for number in range(4):
        soundfile.write(folder / f"{number}.wav", tone(500, seed=90 + number), RATE)
        rows.append(["street", f"{number}.wav", f"s{number}", "neutral", "train"])
    with open(folder / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def states(model, folder, target, views=2):
    augmentations = [Augmentation(speed=1.0)] * (views - 1)
    return compute_states(model, read_manifest(folder, ["train"]), target, augmentations)


def test_logits_from_states_are_those_of_the_waves(model):
    waves = torch.randn(2, 9700) * 0.1
    with torch.no_grad():
        logits = model.classifier(model.fused_features(model.fused_states(waves)))
        assert torch.allclose(double_frames(logits, 31), model(waves), atol=1e-5)


def test_inference_keeps_the_output(model):
    waves = torch.randn(1, 9700) * 0.1
    with torch.no_grad():
        before = model(waves)
        model.prepare_for_inference()
        assert torch.allclose(model(waves), before, atol=1e-5)


def test_a_head_that_needs_other_states_is_refused():
    other = CompactTagger(LABELS, **{**SHAPE, "encoder_head": True})
    with pytest.raises(OptionError, match="expected fusion, encoder_head False and voice_halved True"):
        other.fused_states(torch.zeros(1, 3200))
    with pytest.raises(OptionError, match="expected a layer after which frames are halved"):
        CompactTagger(LABELS, **{**SHAPE, "halve_after": 0})


def test_states_are_computed_once(model, acted, tmp_path, caplog):
    caplog.set_level("INFO", "sed.training")
    first = states(model, acted, tmp_path)
    assert len(caplog.records) == 4, "two corpora, two views"
    again = states(model, acted, tmp_path)
    assert len(caplog.records) == 4
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.states, other.states) and one.utterances == other.utterances
    assert not np.array_equal(first[0].states[:20], first[1].states[:20]), (
        "the second view is another recording"
    )
    with torch.no_grad():
        next(iter(model.layers[0].parameters())).add_(0.1)
    states(model, acted, tmp_path)
    assert len(caplog.records) == 8, "other encoder weights"


def test_states_in_a_batch_are_those_of_one_utterance(model, acted, tmp_path):
    part = states(model, acted, tmp_path, views=1)[0]
    for number, utterance in enumerate(part.utterances):
        alone = compute_states(model, [utterance], tmp_path / str(number))[0]
        frames = min(len(alone.frames(0)), len(part.frames(number)))
        assert frames >= len(alone.frames(0)) - 3
        assert part.frames(number)[: frames - 2] == pytest.approx(alone.frames(0)[: frames - 2], abs=0.3)


@pytest.mark.slow
def test_targets(model, acted, ordinary, tmp_path):
    options = WindowOptions(windows=200, ordinary=0.5, ordinary_neutral=0.7, smoothing=0.2, pairs=1.0)
    sampler = WindowSampler(
        states(model, acted, tmp_path / "a"), states(model, ordinary, tmp_path / "o"), LABELS, LABELS, options
    )
    batch = sampler.batch(0)
    assert np.allclose(batch.targets.sum(2), 1, atol=1e-5)
    kinds = {tuple(row) for row in batch.targets.reshape(-1, 4).astype(float).round(2).tolist()}
    assert kinds == {
        (0.7, 0.1, 0.1, 0.1),
        (0.85, 0.05, 0.05, 0.05),
        (0.05, 0.85, 0.05, 0.05),
        (0.05, 0.05, 0.85, 0.05),
        (0.05, 0.05, 0.05, 0.85),
    }
    is_ordinary = (batch.targets[..., 0].round(2) == 0.7).mean()
    assert 0.4 < is_ordinary < 0.6
    assert np.array_equal(batch.states, sampler.batch(0).states)
    assert not np.array_equal(batch.states, sampler.batch(1).states)


def test_votes_soften_targets_and_drop_what_nobody_heard(model, tmp_path):
    votes = {"neutral": "neutral=4", "happy": "happy=1 neutral=3", "angry": "sad=5", "sad": ""}
    folder = make_corpora(tmp_path / "c", ("one",), columns={"votes": votes.get})
    parts = states(model, folder, tmp_path / "s", views=1)
    options = WindowOptions(smoothing=0.0, votes=0.5)
    sampler = WindowSampler(parts, [], LABELS, ["neutral", "happy", "sad"], options)
    targets = {tuple(target) for target in sampler._targets.values()}
    assert targets == {(1, 0, 0, 0), (0.375, 0.625, 0, 0), (0, 0, 0, 1)}
    with pytest.raises(OptionError, match="no training speech with the emotions angry"):
        WindowSampler(parts, [], LABELS, LABELS, options)


@pytest.mark.slow
def test_the_recipe_learns_tones_and_ordinary_speech(acted, ordinary, tmp_path):
    tagger = ", ".join(f"{key}: {value}" for key, value in SHAPE.items() if key != "frozen_layers")
    folder = run(
        "emotion",
        tmp_path / "out",
        corpora=acted,
        ordinary=ordinary,
        encoder_weights="",
        voice_weights="",
        states_folder=tmp_path / "states",
        trained_labels=f"[{', '.join(LABELS)}]",
        tagger=f"{{{tagger}}}",
        windows="{windows: 16, ordinary: 0.3, length: [0.5, 1.0]}",
        augmentations="[]",
        steps=150,
        head_rate=0.01,
        consistency=0.1,
    )
    model, description = load_tagger(folder)
    assert description["labels"] == LABELS and description["card"]["name"] == "emotion"
    speech = [
        (utterance, (soundfile.read(utterance.path)[0] * 32767).astype(np.int16))
        for utterance in read_manifest(acted, ["valid"])
    ]
    assert evaluate(model, speech, [], LABELS).scores()["uar"] == 1.0
    with torch.inference_mode():
        logits = model(torch.from_numpy(tone(500, seed=7))[None])[0].mean(0)
    assert int(logits.argmax()) == 0, "ordinary speech is neutral"
