"""SpeechBrain's layout: the same frames and probabilities as SpeechBrain itself, from a folder, offline."""

import os
import shutil
import socket

import huggingface_hub
import numpy as np
import pytest
import soundfile
import torch
from speechbrain_layout import write_layout

from sed.emotion import load_tagger
from sed.emotion.folders import SPEECHBRAIN
from sed.emotion.tagger import Tagger
from sed.emotion.wavlm import in_order, read_labels
from sed.errors import ModelError
from sed.grid import frame_count

VARIANTS = {
    "published": {},
    "base": {"name": "wavlm", "normalise": False},
    "other": {"output_norm": False, "bias": True, "std_norm": True},
    "hubert": {"name": "hubert", "std_norm": True, "normalise": False},
}
WORDS = {"n": "neutral", "h": "happy", "a": "angry", "s": "sad"}


@pytest.fixture(scope="module", params=VARIANTS)
def pair(request, tmp_path_factory):
    """Our tagger and SpeechBrain's own interface on one folder."""
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
    """Noise whose loudness and offset change, so that frames differ."""
    rng = np.random.default_rng(seed)
    swell = 0.05 + 0.3 * np.abs(np.sin(np.arange(samples) / 4000))
    return (0.02 + swell * rng.standard_normal(samples)).astype(np.float32)


@pytest.mark.parametrize("samples", [400, 4321, 16_000, 80_000, 160_001])
def test_frame_for_frame_as_speechbrain(pair, samples):
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
    letters = {word: letter for letter, word in WORDS.items()}
    expected = scores[:, [columns[letters[label]] for label in ours.labels]]
    found = ours.posteriors(wave[None])[0]
    assert len(found) == frame_count(samples) and 1 <= len(found) - len(expected) <= 2
    assert np.abs(found[: len(expected)] - expected).max() < 1e-4
    assert np.array_equal(found[: len(expected)].argmax(1), expected.argmax(1))
    assert np.array_equal(found[len(expected) :], found[[len(expected) - 1] * (len(found) - len(expected))])
    if samples > 16_000:
        assert expected.std(0).max() > 0.01, "a constant would agree with anything"


def test_segments_of_its_file_interface(pair, tmp_path):
    ours, theirs = pair
    path = tmp_path / "clip.wav"
    soundfile.write(path, clip(64_000, 5), 16_000, subtype="FLOAT")
    wave = theirs.load_audio(str(path)).numpy()
    told = theirs.diarize_batch(torch.from_numpy(wave)[None], torch.tensor([1.0]), ["x"])["x"]
    decided = [ours.labels[n] for n in ours.posteriors(wave[None])[0].argmax(1)]
    for row in told:
        frames = decided[round(row["start"] * 50) : round(row["end"] * 50)]
        assert set(frames) == {WORDS[row["emotion"]]}


def test_it_is_a_tagger_with_whole_words_in_the_documented_order(published):
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
    assert read_labels(folder / "label_encoder.txt") == ["n", "bored"], "no letters among words"
    assert in_order(["x", "sad", "neutral"]) == ["neutral", "sad", "x"]


@pytest.mark.parametrize("name", SPEECHBRAIN)
def test_a_missing_file_is_named(published, tmp_path, name):
    folder = shutil.copytree(published, tmp_path / "m")
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"m: found .*, expected {name} too"):
        load_tagger(folder)


def test_links_to_nothing_and_folders_are_not_told_as_files_that_are_there(published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "m")
    for name in ("model.ckpt", "label_encoder.txt"):
        (folder / name).unlink()
    (folder / "label_encoder.txt").mkdir()
    (folder / "model.ckpt").symlink_to(tmp_path / "nowhere")
    said = r"label_encoder.txt \(a folder\), model.ckpt \(a link to nothing\), .* expected model.ckpt, label_"
    with pytest.raises(ModelError, match=said):
        load_tagger(folder)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("hyperparams.yaml", "a: [", "hyperparams.yaml is not YAML"),
        ("hyperparams.yaml", "- 3", "found list, expected hyperparameters by name"),
        ("hyperparams.yaml", "a: 3", "found no modules with a wav2vec2"),
        ("hyperparams.yaml", "a: !ref <b>", "found a reference to <b>, expected such an entry"),
        ("hyperparams.yaml", "a: !ref <a>", "references that lead in a circle"),
        ("wav2vec2.ckpt", "x", "cannot read weights from .*wav2vec2.ckpt: it is damaged"),
        ("model.ckpt", "x", "cannot read .*model.ckpt"),
        ("label_encoder.txt", "n 0\n", "label_encoder.txt is damaged"),
        ("label_encoder.txt", "'n' => 0\n'h' => 2\n", r"numbers \[0, 2\], expected 0, 1, 2"),
        ("label_encoder.txt", "'n' => 0\n'h' => 1\n", "to 4 labels, expected 32 channels and 2 labels"),
        ("label_encoder.txt", "", r"found labels with numbers \[\]"),
    ],
)
def test_damaged_files(published, tmp_path, name, content, said):
    folder = shutil.copytree(published, tmp_path / "m")
    (folder / name).write_text(content)
    with pytest.raises(ModelError, match=said) as caught:
        load_tagger(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("window_length: 1", "window_length: 5", r"found frames pooled by \(5, 1\), expected a window and"),
        (
            "norm_type: sentence",
            "norm_type: global",
            "found an input_norm of type 'global', expected 'sentence'",
        ),
        ("freeze: True", "output_all_hiddens: True", "with all layers' states, expected the last"),
        ("encoder\n", "nowhere\n", "found no configuration of the encoder '.*nowhere', expected"),
    ],
)
def test_models_of_another_kind(published, tmp_path, old, new, said):
    folder = shutil.copytree(published, tmp_path / "m")
    text = (folder / "hyperparams.yaml").read_text()
    assert old in text
    (folder / "hyperparams.yaml").write_text(text.replace(old, new))
    with pytest.raises(ModelError, match=said):
        load_tagger(folder)


def test_weights_of_another_shape(published, tmp_path):
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
    """A hyperparams.yaml may name any function, and a checkpoint any class: none is called."""
    folder = shutil.copytree(published, tmp_path / "m")
    mark = tmp_path / "mark"
    text = (folder / "hyperparams.yaml").read_text()
    (folder / "hyperparams.yaml").write_text(text + f"\nbad: !apply:os.mkdir [{mark}]\n")
    assert load_tagger(folder).labels[0] == "neutral" and not mark.exists()

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    torch.save(Evil(), folder / "model.ckpt")
    with pytest.raises(ModelError, match="cannot read"):
        load_tagger(folder)
    assert not mark.exists()


@pytest.fixture(params=[False, True], ids=["online", "offline"])
def hub_cache(request, tmp_path, monkeypatch):
    """An empty hub cache on a machine whose network is dead; `offline` says so to huggingface_hub."""
    from huggingface_hub import constants

    def refuse(*_, **__):
        asked.append(True)
        raise OSError("no network here")

    asked = []
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", request.param)
    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub", request.param, asked


def put(cache, name):
    """The folder of the model `name` in the cache."""
    place = cache / f"models--{name.replace('/', '--')}"
    (place / "snapshots").mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0123")
    return place / "snapshots" / "0123"


def test_a_hub_name_is_taken_from_the_cache_and_nobody_is_asked(published, hub_cache):
    cache, _, asked = hub_cache
    shutil.copytree(published, put(cache, "owner/model"))
    assert load_tagger("owner/model").labels == ("neutral", "happy", "angry", "sad")
    assert not asked


def test_a_hub_name_that_cannot_be_had(published, hub_cache):
    cache, offline, asked = hub_cache
    half = put(cache, "owner/half")
    half.mkdir()
    shutil.copy(published / "model.ckpt", half)
    for name, said in (
        ("owner/absent", r"'owner/absent' is not in the Hugging Face cache and cannot be fetched"),
        ("owner/half", r"'owner/half'"),
    ):
        with pytest.raises(ModelError, match=said) as caught:
            load_tagger(name)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
        if name == "owner/absent":
            assert ("(HF_HUB_OFFLINE is set)" in str(caught.value)) == offline
    assert bool(asked) != offline


def test_known_encoders_need_neither_network_nor_cache(published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "m")
    text = (folder / "hyperparams.yaml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("wav2vec2_hub"))
    (folder / "hyperparams.yaml").write_text(text.replace(line, "wav2vec2_hub: microsoft/wavlm-base-plus"))
    with pytest.raises(ModelError, match=r"found shape \(.*\) for .*, expected shape \(.*768"):
        load_tagger(folder)  # the configuration was found; these weights are not a base model's


def test_an_encoder_of_another_family_is_named_with_its_folder(published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "m")
    (folder / "encoder").mkdir()
    (folder / "encoder" / "config.json").write_text('{"model_type": "bert"}')
    text = (folder / "hyperparams.yaml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("wav2vec2_hub"))
    (folder / "hyperparams.yaml").write_text(text.replace(line, "wav2vec2_hub: encoder"))
    with pytest.raises(ModelError, match=r"m: its encoder 'encoder' is of no use here: found .* type 'bert'"):
        load_tagger(folder)


def test_what_the_hub_advises_is_left_out(monkeypatch, hub_cache):
    def fail(*_, **__):
        raise OSError(
            "Got: ConnectError: no such host\nAn error happened while trying to locate the files on the Hub"
        )

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ModelError, match=r"OSError: Got: ConnectError: no such host$"):
        load_tagger("owner/absent")


def test_speechbrains_own_config_describes_no_encoder(published, tmp_path, hub_cache):
    folder = shutil.copytree(published, tmp_path / "m")
    (folder / "config.json").write_text('{"speechbrain_interface": "Speech_Emotion_Diarization"}')
    text = (folder / "hyperparams.yaml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("wav2vec2_hub"))
    (folder / "hyperparams.yaml").write_text(text.replace(line, "wav2vec2_hub: owner/encoder"))
    with pytest.raises(ModelError, match="found no configuration of the encoder 'owner/encoder'"):
        load_tagger(folder)
    shutil.copytree(published.parent / "encoder", put(hub_cache[0], "owner/encoder"))
    assert load_tagger(folder).labels == ("neutral", "happy", "angry", "sad")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "tagger 'nothing': found nothing, expected an ONNX file"),
        ("tests/nothing", "tagger 'tests/nothing': found nothing, expected an ONNX file"),
        ("./a/b", "tagger './a/b': found nothing"),
        ("setup.cfg", "tagger 'setup.cfg': found a file that is no ONNX file"),
        (
            "tests",
            r"tests: found .*, expected a tagger: tagger.json and tagger.safetensors as sed-train writes",
        ),
    ],
)
def test_names_that_lead_nowhere(name, said, request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    with pytest.raises(ModelError, match=said):
        load_tagger(name)
