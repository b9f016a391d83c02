"""Folders in SpeechBrain's layout: the same frames and posteriors as SpeechBrain itself, offline."""

import os
import shutil

import numpy as np
import pytest
import soundfile
import torch
from speechbrain_layout import write_layout

from sed.emotion import load_tagger
from sed.emotion.folders import SPEECHBRAIN
from sed.emotion.label_names import label_names, sort_labels
from sed.emotion.tagger import Tagger
from sed.emotion.wavlm import read_labels
from sed.errors import ModelError
from sed.grid import frame_count

VARIANTS = {
    "published": {},
    "base": {"name": "wavlm", "normalise": False},
    "other": {"output_norm": False, "bias": True, "std_norm": True},
    "hubert": {"name": "hubert", "std_norm": True, "normalise": False},
}
LABEL_NAMES = {"n": "neutral", "h": "happy", "a": "angry", "s": "sad"}


@pytest.fixture(scope="module", params=VARIANTS)
def pair(request, tmp_path_factory):
    """Our tagger and SpeechBrain's interface for the same folder."""
    folder = write_layout(tmp_path_factory.mktemp(request.param), **VARIANTS[request.param])
    ours = load_tagger(folder)
    from speechbrain.inference.diarization import Speech_Emotion_Diarization

    return ours, Speech_Emotion_Diarization.from_hparams(
        source=str(folder), savedir=str(folder.parent / "run")
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return write_layout(tmp_path_factory.mktemp("layout"))


def clip(samples, seed=0):
    """Noise of varying loudness, so that frames differ."""
    rng = np.random.default_rng(seed)
    swell = 0.05 + 0.3 * np.abs(np.sin(np.arange(samples) / 4000))
    return (0.02 + swell * rng.standard_normal(samples)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("samples", [400, 4321, 16_000, 80_000, 160_001])
def test_posteriors_match_speechbrain(pair, samples):
    ours, theirs = pair
    wave = clip(samples, samples)
    with torch.no_grad():
        states = theirs.encode_batch(torch.from_numpy(wave)[None], torch.tensor([1.0]))
        scores = (
            theirs.hparams.log_softmax(theirs.mods.output_mlp(theirs.hparams.avg_pool(states)))[0]
            .exp()
            .numpy()
        )
    columns = theirs.hparams.label_encoder.lab2ind
    letters = {name: letter for letter, name in LABEL_NAMES.items()}
    expected = scores[:, [columns[letters[label]] for label in ours.labels]]
    found = ours.posteriors(wave[None])[0]
    assert len(found) == frame_count(samples) and 1 <= len(found) - len(expected) <= 2
    assert np.abs(found[: len(expected)] - expected).max() < 1e-4
    assert np.array_equal(found[: len(expected)].argmax(1), expected.argmax(1))
    assert np.array_equal(found[len(expected) :], found[[len(expected) - 1] * (len(found) - len(expected))])
    if samples > 16_000:
        assert expected.std(0).max() > 0.01, "the posteriors are constant, so that the test is void"


def test_labels_match_the_segments_of_speechbrain(pair, tmp_path):
    ours, theirs = pair
    path = tmp_path / "clip.wav"
    soundfile.write(path, clip(64_000, 5), 16_000, subtype="FLOAT")
    wave = theirs.load_audio(str(path)).numpy()
    segments = theirs.diarize_batch(torch.from_numpy(wave)[None], torch.tensor([1.0]), ["x"])["x"]
    labels = [ours.labels[n] for n in ours.posteriors(wave[None])[0].argmax(1)]
    for segment in segments:
        frames = labels[round(segment["start"] * 50) : round(segment["end"] * 50)]
        assert set(frames) == {LABEL_NAMES[segment["emotion"]]}


def test_it_is_a_tagger_with_full_label_names_in_the_documented_order(published):
    tagger = load_tagger(published)
    assert isinstance(tagger, Tagger)
    assert tagger.labels == ("neutral", "happy", "angry", "sad")
    assert (tagger.frame_rate, tagger.window, tagger.max_samples) == (50, 240_000, None)
    assert tagger.posteriors(clip(999)[None]).dtype == np.float32
    assert tagger.posteriors(clip(16_000)[None])[0].sum(1) == pytest.approx(1, abs=1e-5)


def test_other_label_sets_keep_their_names(tmp_path):
    letters = ("sad", "bored", "neutral")
    folder = write_layout(tmp_path, letters=letters)
    assert load_tagger(folder).labels == ("neutral", "sad", "bored")
    (folder / "label_encoder.txt").write_text("'n' => 0\n'bored' => 1\n")
    assert label_names(read_labels(folder / "label_encoder.txt")) == ["n", "bored"], (
        "letters are not expanded among names"
    )
    assert sort_labels(["x", "sad", "neutral"]) == ["neutral", "sad", "x"]


@pytest.mark.parametrize("name", SPEECHBRAIN)
def test_a_missing_file_is_reported(published, tmp_path, name):
    folder = shutil.copytree(published, tmp_path / "m")
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"m: found .*, expected {name} too"):
        load_tagger(folder)


def test_broken_links_and_folders_are_reported_as_such(published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "m")
    for name in ("model.ckpt", "label_encoder.txt"):
        (folder / name).unlink()
    (folder / "label_encoder.txt").mkdir()
    (folder / "model.ckpt").symlink_to(tmp_path / "nowhere")
    text = r"label_encoder.txt \(a folder\), model.ckpt \(a link to nothing\), .* expected model.ckpt, label_"
    with pytest.raises(ModelError, match=text):
        load_tagger(folder)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("hyperparams.yaml", "a: [", "hyperparams.yaml is not YAML"),
        ("hyperparams.yaml", "- 3", "found list, expected hyperparameters by name"),
        ("hyperparams.yaml", "a: 3", "found no modules with a wav2vec2"),
        ("hyperparams.yaml", "a: !ref <b>", "found a reference to <b>, expected an entry of that name"),
        ("hyperparams.yaml", "a: !ref <a>", "found circular references"),
        ("wav2vec2.ckpt", "x", "cannot read weights from .*wav2vec2.ckpt: it is damaged"),
        ("model.ckpt", "x", "cannot read .*model.ckpt"),
        ("label_encoder.txt", "n 0\n", "label_encoder.txt is damaged"),
        ("label_encoder.txt", "'n' => 0\n'h' => 2\n", r"indices \[0, 2\], expected 0, 1, 2"),
        ("label_encoder.txt", "'n' => 0\n'h' => 1\n", "to 4 labels, expected 32 channels and 2 labels"),
        ("label_encoder.txt", "", r"found labels with indices \[\]"),
    ],
)
def test_damaged_files(published, tmp_path, name, content, text):
    folder = shutil.copytree(published, tmp_path / "m")
    (folder / name).write_text(content)
    with pytest.raises(ModelError, match=text) as caught:
        load_tagger(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("window_length: 1", "window_length: 5", r"found frames pooled by \(5, 1\), expected a window and"),
        (
            "norm_type: sentence",
            "norm_type: global",
            "found an input_norm of type 'global', expected 'sentence'",
        ),
        (
            "freeze: True",
            "output_all_hiddens: True",
            "with the states of all layers, expected those of the last",
        ),
        ("encoder\n", "nowhere\n", "found no configuration of the encoder '.*nowhere', expected"),
    ],
)
def test_other_kinds_of_models(published, tmp_path, old, new, message):
    folder = shutil.copytree(published, tmp_path / "m")
    text = (folder / "hyperparams.yaml").read_text()
    assert old in text
    (folder / "hyperparams.yaml").write_text(text.replace(old, new))
    with pytest.raises(ModelError, match=message):
        load_tagger(folder)


def test_weights_of_wrong_shapes(published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "m")
    stored = torch.load(folder / "wav2vec2.ckpt")
    name = next(key for key in stored if "q_proj" in key)
    torch.save({key: value for key, value in stored.items() if key != name}, folder / "wav2vec2.ckpt")
    with pytest.raises(ModelError, match=r"wav2vec2\.ckpt: found nothing for .*, expected shape"):
        load_tagger(folder)
    torch.save({"a": torch.zeros(2, 2), "b": torch.zeros(2, 2)}, folder / "model.ckpt")
    shutil.copy(published / "wav2vec2.ckpt", folder)
    with pytest.raises(ModelError, match="expected one linear layer"):
        load_tagger(folder)


def test_nothing_in_the_folder_is_executed(published, tmp_path):
    """A function in hyperparams.yaml or a class in a checkpoint is not called."""
    folder = shutil.copytree(published, tmp_path / "m")
    marker = tmp_path / "marker"
    text = (folder / "hyperparams.yaml").read_text()
    (folder / "hyperparams.yaml").write_text(text + f"\nbad: !apply:os.mkdir [{marker}]\n")
    assert load_tagger(folder).labels[0] == "neutral" and not marker.exists()

    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(marker),)

    torch.save(Malicious(), folder / "model.ckpt")
    with pytest.raises(ModelError, match="cannot read"):
        load_tagger(folder)
    assert not marker.exists()


def test_known_encoders_need_neither_network_nor_cache(published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "m")
    text = (folder / "hyperparams.yaml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("wav2vec2_hub"))
    (folder / "hyperparams.yaml").write_text(text.replace(line, "wav2vec2_hub: microsoft/wavlm-base-plus"))
    with pytest.raises(ModelError, match=r"found shape \(.*\) for .*, expected shape \(.*768"):
        load_tagger(folder)  # the configuration was found, but the weights are not those of a base model


def test_the_message_on_an_unsupported_encoder_contains_the_folder(published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "m")
    (folder / "encoder").mkdir()
    (folder / "encoder" / "config.json").write_text('{"model_type": "bert"}')
    text = (folder / "hyperparams.yaml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("wav2vec2_hub"))
    (folder / "hyperparams.yaml").write_text(text.replace(line, "wav2vec2_hub: encoder"))
    with pytest.raises(ModelError, match=r"m: the encoder 'encoder' cannot be used: found .* type 'bert'"):
        load_tagger(folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nothing", "tagger 'nothing': found nothing, expected bundled, an ONNX file"),
        ("tests/nothing", "tagger 'tests/nothing': found nothing, expected bundled, an ONNX file"),
        ("./a/b", "tagger './a/b': found nothing"),
        ("setup.cfg", "tagger 'setup.cfg': found a file without the suffix .onnx"),
        (
            "tests",
            r"tests: found .*, expected a tagger: tagger.json and tagger.safetensors as sed-train writes",
        ),
    ],
)
def test_names_without_a_model(name, text, request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    with pytest.raises(ModelError, match=text):
        load_tagger(name)


@pytest.mark.slow
def test_the_frames_of_an_utterance_model_agree_with_speechbrain(tmp_path):
    """The mean of the frames' log-posteriors is the log-posterior of SpeechBrain's pooled states, up to a constant."""
    folder = write_layout(tmp_path, name="wav2vec2", letters=("neu", "ang", "hap", "sad"))
    text = (folder / "hyperparams.yaml").read_text()
    start, end = text.index("avg_pool: !new"), text.index("output_mlp: !new")
    pool = "avg_pool: !new:speechbrain.nnet.pooling.StatisticsPooling\n    return_std: False\n\n"
    (folder / "hyperparams.yaml").write_text(text[:start] + pool + text[end:])
    tagger = load_tagger(folder)
    from speechbrain.inference.diarization import Speech_Emotion_Diarization

    theirs = Speech_Emotion_Diarization.from_hparams(source=str(folder), savedir=str(tmp_path / "run"))
    wave = clip(48_000, 3)
    with torch.no_grad():
        states = theirs.encode_batch(torch.from_numpy(wave)[None], torch.tensor([1.0]))
        pooled = theirs.hparams.avg_pool(states, torch.tensor([1.0]))
        expected = theirs.mods.output_mlp(pooled)[0, 0].softmax(0).numpy()[[0, 2, 1, 3]]
    assert tagger.labels == ("neutral", "happy", "angry", "sad")
    logs = np.log(tagger.posteriors(wave[None])[0, : states.shape[1]].astype(np.float64)).mean(0)
    assert np.exp(logs) / np.exp(logs).sum() == pytest.approx(expected, abs=1e-3)
    assert expected.std() > 0.01
    (folder / "hyperparams.yaml").write_text(
        (text[:start] + pool + text[end:]).replace("std: False", "std: True")
    )
    with pytest.raises(ModelError, match="found an avg_pool with deviations"):
        load_tagger(folder)
