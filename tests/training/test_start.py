"""What training starts from: the bundled model rebuilt from its ONNX file, and models of other libraries."""

import csv

import numpy as np
import onnx
import pytest
import soundfile
import torch
from classification_layouts import audeering_model, transformers_classifier
from onnx import numpy_helper
from speechbrain_layout import write_layout
from tiny_taggers import TWO_BRANCHES
from tones import SHORT, make_corpora, run

from sed.cli.export import export
from sed.emotion import load_tagger
from sed.emotion.bundled import bundled_path
from sed.errors import ModelError
from sed.networks.compact import CompactTagger
from sed.networks.store import load_tagger as load_trained
from sed.networks.store import save_tagger
from sed.training.bundled import SHAPE, load_bundled
from sed.training.recipe.run import run_recipe
from sed.training.start import open_start, start_from

RECIPE = "hparams/adapt.yaml"


@pytest.fixture(scope="module")
def clips(data):
    """Recordings with their emotions."""
    return [(path, path.stem.split("_")[2]) for path in sorted(data.glob("emodb_*_*_*.flac"))]


@pytest.mark.slow
def test_the_bundled_model_can_be_rebuilt(clips):
    model, description = open_start("bundled")
    tagger = load_tagger()
    assert description["labels"] == list(tagger.labels)
    same, mean = [], []
    for path, _ in clips[:6]:
        wave = soundfile.read(path, dtype="float32")[0][None, :64_000]
        with torch.no_grad():
            found = model(torch.from_numpy(wave)).softmax(2)[0].numpy()
        expected = tagger.posteriors(wave)[0]
        same.append((found.argmax(1) == expected.argmax(1)).mean())
        mean.append(np.abs(found - expected).mean())
    # The file rounds activations to 8 bits as well, so the posteriors differ a little.
    assert np.mean(same) > 0.98 and max(mean) < 0.03


@pytest.mark.slow
def test_a_file_of_another_shape_is_refused(tmp_path):
    graph = onnx.load(bundled_path())
    for tensor in graph.graph.initializer:
        if tensor.name == "model.fusion.norm.bias":
            tensor.CopyFrom(numpy_helper.from_array(np.zeros(3, np.float32), tensor.name))
    onnx.save(graph, tmp_path / "m.onnx")
    with pytest.raises(ModelError):
        load_bundled(tmp_path / "m.onnx")


@pytest.mark.slow
def test_the_bundled_model_adapts(clips, tmp_path, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    with (tmp_path / "mine.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "emotion"])
        writer.writerows([str(path), emotion] for path, emotion in clips)
    options = {
        "start": "bundled",
        "clips_table": str(tmp_path / "mine.csv"),
        "output_folder": str(tmp_path / "run"),
    }
    small = {
        "epochs": 1,
        "epoch_steps": 2,
        "steps": 2,
        "warmup_steps": 1,
        "decay_steps": 1,
        "keep": "last",
        "score_start": False,
    }
    folder = run_recipe(RECIPE, options | small, {"device": "cpu"})
    adapted, start = load_tagger(folder), open_start("bundled")[0]
    assert adapted.labels == ("neutral", "happy", "angry", "sad")
    assert adapted.card["adapted_from"] == "emotion" and adapted.card["prior"]["neutral"] == 0.5
    wave = soundfile.read(clips[0][0], dtype="float32")[0][None, :32_000]
    with torch.no_grad():
        before = start(torch.from_numpy(wave)).softmax(2)[0].numpy()
    change = np.abs(adapted.posteriors(wave)[0] - before).max()
    assert 1e-5 < change < 0.5


@pytest.mark.slow
def test_models_of_other_libraries_can_be_started_stored_and_exported(tmp_path):
    wave = np.random.default_rng(0).standard_normal((1, 16_000)).astype(np.float32) * 0.1
    transformers_classifier(tmp_path / "hf", "wav2vec2", use_weighted_layer_sum=True)
    for folder in (write_layout(tmp_path / "sb"), tmp_path / "hf"):
        model, description = open_start(folder)
        assert any(p.requires_grad for p in model.parameters())
        save_tagger(model, tmp_path / "stored", description["labels"], description["card"])
        expected = load_tagger(folder)
        stored = load_tagger(tmp_path / "stored")
        assert stored.labels == expected.labels and stored.window == expected.window
        assert np.abs(stored.posteriors(wave) - expected.posteriors(wave)).max() < 1e-6
    summary = export((tmp_path / "hf",), tmp_path / "m.onnx", False, None, None)
    assert "labels neutral happy angry tired" in summary[0]
    assert np.abs(load_tagger(tmp_path / "m.onnx").posteriors(wave) - expected.posteriors(wave)).max() < 1e-4


def test_what_cannot_be_started(tmp_path):
    audeering_model(tmp_path / "dimensions")
    with pytest.raises(ModelError, match="found a UtteranceTagger, expected a model with a linear layer"):
        open_start(tmp_path / "dimensions")
    with pytest.raises(
        ModelError, match=r"start 'nothing': found nothing, expected bundled, the folder of a"
    ):
        open_start("nothing")


BUNDLED_SHAPE = "{encoder_head: False, voice_halved: True, shares: [], spec_augment: 0}"


@pytest.mark.slow
def test_compact_starts_from_the_bundled_model(tmp_path):
    """At a learning rate of 0 what comes out is the bundled model."""
    corpora = make_corpora(tmp_path / "corpora", ("one",))
    options = {**SHORT, "steps": 1, "epochs": 1, "epoch_steps": 1, "encoder_rate": 0, "head_rate": 0}
    options |= {"valid_clips": 2, "clips": "{length: [1.0, 1.0], batch_seconds: 2.0}"}
    four = "[neutral, happy, angry, sad]"
    folder = run(
        "compact",
        tmp_path / "out",
        corpora=corpora,
        start="bundled",
        trained_labels=four,
        tagger=BUNDLED_SHAPE,
        **options,
    )
    expected = load_bundled()[0].state_dict()
    found = load_trained(folder)[0].state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.slow
def test_a_start_of_another_shape_or_other_labels_is_refused():
    model = load_bundled()[0]
    other = CompactTagger(model.labels, **{**SHAPE, "head_width": 64})
    with pytest.raises(
        ModelError, match="bundled: found a tagger with head_width 192, expected head_width 64"
    ):
        start_from(other, "bundled")
    with pytest.raises(ModelError, match=r"expected a CompactTagger of labels a b \(trained_labels\)"):
        start_from(CompactTagger(["a", "b"], **SHAPE), ["bundled"])


def test_a_start_may_be_a_name_on_the_hub(tmp_path, monkeypatch):
    model = CompactTagger(["a", "b"], **TWO_BRANCHES)
    save_tagger(model, tmp_path, model.labels, {})
    asked = []
    monkeypatch.setattr("sed.training.start.fetch", lambda *arguments: asked.append(arguments[0]) or tmp_path)
    other = CompactTagger(["a", "b"], **TWO_BRANCHES)
    start_from(other, "owner/model@v1")
    assert asked == ["owner/model@v1"]
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
