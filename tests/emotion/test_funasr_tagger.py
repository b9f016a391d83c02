"""emotion2vec+ in FunASR's layout: FunASR's own output, from tests/data/funasr.json (see tests/support)."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from funasr_layout import SECONDS, VARIANTS, VECTORS, clip, write_model

from sed.archive.journal import fingerprint
from sed.emotion import load_tagger
from sed.emotion.funasr import read_funasr
from sed.emotion.tagger import Tagger
from sed.errors import ModelError
from sed.grid import frame_count
from sed.networks.store import load_tagger as load_stored
from sed.networks.store import save_tagger

ENGLISH = {"disgusted": "disgust", "<unk>": "unknown"}


@pytest.fixture(scope="module", params=VARIANTS)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    write_model(folder, **VARIANTS[request.param])
    return folder, load_tagger(folder), json.loads(VECTORS.read_text(encoding="utf-8"))[request.param]


@pytest.mark.parametrize("number", range(len(SECONDS)))
def test_the_frames_agree_with_funasr(model, number):
    """The mean of the frames' log-posteriors is FunASR's log-posterior, up to a constant."""
    _, tagger, vectors = model
    expected, wave = vectors[number], clip(SECONDS[number])
    names = [label.rpartition("/")[2] for label in expected["labels"]]
    columns = [tagger.labels.index(ENGLISH.get(name, name)) for name in names]
    found = tagger.posteriors(wave[None])[0]
    assert found.shape == (frame_count(len(wave)), 9) and found.std(0).max() > 1e-3
    logs = np.log(found[: expected["frames"], columns].astype(np.float64)).mean(0)
    assert np.exp(logs) / np.exp(logs).sum() == pytest.approx(expected["scores"], abs=1e-5)
    assert (found[expected["frames"] :] == found[expected["frames"] - 1]).all()


def test_the_states_of_frames_are_funasrs_features(model):
    folder, _, vectors = model
    network = read_funasr(folder).model.eval()
    for expected, seconds in zip(vectors, SECONDS, strict=True):
        with torch.no_grad():
            states = network.states(torch.from_numpy(clip(seconds))[None])[0].numpy()
        assert len(states) == expected["frames"]
        chosen = states[[0, len(states) // 2, len(states) - 1]]
        assert np.abs(chosen - expected["features"]).max() < 1e-4 and np.ptp(chosen, axis=0).max() > 0.1


def test_all_labels_have_names_of_this_project(model):
    _, tagger, _ = model
    assert isinstance(tagger, Tagger)
    assert tagger.labels[:4] == ("neutral", "happy", "angry", "sad")
    assert set(tagger.labels[4:]) == {"disgust", "fearful", "other", "surprised", "unknown"}
    assert tagger.settings["label_names"]["angry"] == "生气/angry"
    assert tagger.settings["label_names"]["unknown"] == "<unk>"


def test_a_batch_is_its_waves_and_short_audio_has_frames(model):
    tagger = model[1]
    two = np.stack([clip(0.6), clip(0.6)[::-1]])
    assert np.array_equal(tagger.posteriors(two)[1:], tagger.posteriors(two[1:]))
    assert tagger.posteriors(two[:, :100]).shape == (2, 1, 9)


def test_it_can_be_stored(model, tmp_path):
    folder, tagger, _ = model
    network = read_funasr(folder)
    save_tagger(network.model, tmp_path / "run", network.labels, network.card)
    assert load_stored(tmp_path / "run")[1]["kind"] == "emotion2vec"
    other, wave = load_tagger(tmp_path / "run"), clip(0.6)[None]
    assert other.labels == tagger.labels and np.array_equal(other.posteriors(wave), tagger.posteriors(wave))


@pytest.mark.slow
def test_it_can_be_exported(tmp_path):
    from sed.training.export.onnx import export_onnx

    write_model(tmp_path)
    network = read_funasr(tmp_path)
    exported = export_onnx(network.model, tmp_path / "m.onnx", network.labels)
    waves = clip(2.513)[None]
    assert np.abs(exported.posteriors(waves) - load_tagger(tmp_path).posteriors(waves)).max() < 1e-5


def test_the_parameter_groups_have_every_parameter_once(model):
    network = read_funasr(model[0]).model
    groups = network.parameter_groups(1e-4, 1e-3, 0.5)
    found = [id(p) for group in groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in network.parameters())
    assert [group["lr"] for group in groups][-3:] == [1e-4, 1e-4 * 0.5**4, 1e-3]


def test_results_depend_on_the_files_and_not_on_their_place(model, tmp_path):
    folder = model[0]
    moved = shutil.copytree(folder, tmp_path / "moved")
    assert fingerprint({"tagger": str(moved)}) == fingerprint({"tagger": str(folder)})
    (moved / "tokens.txt").write_text("a\nb\n")
    assert fingerprint({"tagger": str(moved)}) != fingerprint({"tagger": str(folder)})


def edit(folder, **settings):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    audio = config["model_conf"]["modalities"]["audio"]
    for name, value in settings.items():
        target = audio if name in audio else config["model_conf"] if name in config["model_conf"] else config
        target[name] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer_norm_first": True}, "found layer_norm_first True, expected False"),
        ({"extractor_mode": "default"}, "found extractor_mode 'default', expected 'layer_norm'"),
        ({"model": "SenseVoiceSmall"}, "found a model 'SenseVoiceSmall', expected Emotion2vec"),
        ({"feature_encoder_spec": "__import__('os')"}, "without a usable feature_encoder_spec"),
        ({"feature_encoder_spec": "[(12, 10, 5)]"}, "a frame of 5 samples, expected 320"),
        ({"depth": 1}, "found 4 layers, expected 3"),
        ({"depth": 5}, "found nothing for layers.4"),
        ({"mlp_ratio": None}, "without a usable"),
        ({"num_alibi_heads": 2}, "found shape (1, 4) for alibi_scale, expected shape (1, 2)"),
    ],
)
def test_other_models_are_refused(tmp_path, settings, message):
    write_model(tmp_path)
    edit(tmp_path, **settings)
    with pytest.raises(ModelError) as caught:
        load_tagger(tmp_path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_do_not_fit_are_refused(tmp_path):
    weights = write_model(tmp_path)
    (tmp_path / "tokens.txt").write_text("angry\nhappy\n")
    with pytest.raises(
        ModelError, match="a proj of 9 outputs, expected one with an output for each of the 2"
    ):
        load_tagger(tmp_path)
    torch.save({n: v for n, v in weights.items() if not n.startswith("proj")}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match="found no proj"):
        load_tagger(tmp_path)
    (tmp_path / "model.pt").unlink()
    with pytest.raises(ModelError, match=r"expected model\.pt too"):
        load_tagger(tmp_path)
