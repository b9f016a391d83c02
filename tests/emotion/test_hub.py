"""Models by their name on the Hugging Face hub, without network: from the cache, or with an error."""

import shutil
import socket

import huggingface_hub
import pytest
from speechbrain_layout import write_layout

from sed.emotion import load_tagger
from sed.errors import ModelError


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return write_layout(tmp_path_factory.mktemp("layout"))


@pytest.fixture(params=[False, True], ids=["online", "offline"])
def hub_cache(request, tmp_path, monkeypatch):
    """An empty hub cache without network; the variant `offline` sets HF_HUB_OFFLINE.

    Yields the cache, whether HF_HUB_OFFLINE is set, and a list that is not empty after an attempted connection.
    """
    from huggingface_hub import constants

    def refuse(*_, **__):
        connections.append(True)
        raise OSError("no network here")

    connections = []
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", request.param)
    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub", request.param, connections


def snapshot_folder(cache, name):
    """Create the folders of the model `name` in the cache; returns where its files go."""
    folder = cache / f"models--{name.replace('/', '--')}"
    (folder / "snapshots").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0123")
    return folder / "snapshots" / "0123"


def test_a_cached_model_is_loaded_without_network(published, hub_cache):
    cache, _, connections = hub_cache
    shutil.copytree(published, snapshot_folder(cache, "owner/model"))
    assert load_tagger("owner/model").labels == ("neutral", "happy", "angry", "sad")
    assert not connections


def test_a_model_that_cannot_be_downloaded(published, hub_cache):
    cache, offline, connections = hub_cache
    partial = snapshot_folder(cache, "owner/partial")
    partial.mkdir()
    shutil.copy(published / "model.ckpt", partial)
    for name, text in (
        ("owner/absent", r"'owner/absent' is not in the Hugging Face cache and cannot be downloaded"),
        ("owner/partial", r"'owner/partial'"),
    ):
        with pytest.raises(ModelError, match=text) as caught:
            load_tagger(name)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
        if name == "owner/absent":
            assert ("(HF_HUB_OFFLINE is set)" in str(caught.value)) == offline
    assert bool(connections) != offline


def test_only_the_first_line_of_the_hubs_message_is_reported(monkeypatch, hub_cache):
    def fail(*_, **__):
        raise OSError(
            "Got: ConnectError: no such host\nAn error happened while trying to locate the files on the Hub"
        )

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ModelError, match=r"OSError: Got: ConnectError: no such host$"):
        load_tagger("owner/absent")


def test_the_config_of_speechbrain_is_not_used_as_that_of_the_encoder(published, tmp_path, hub_cache):
    folder = shutil.copytree(published, tmp_path / "m")
    (folder / "config.json").write_text('{"speechbrain_interface": "Speech_Emotion_Diarization"}')
    text = (folder / "hyperparams.yaml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("wav2vec2_hub"))
    (folder / "hyperparams.yaml").write_text(text.replace(line, "wav2vec2_hub: owner/encoder"))
    with pytest.raises(ModelError, match="found no configuration of the encoder 'owner/encoder'"):
        load_tagger(folder)
    shutil.copytree(published.parent / "encoder", snapshot_folder(hub_cache[0], "owner/encoder"))
    assert load_tagger(folder).labels == ("neutral", "happy", "angry", "sad")


def test_a_revision_is_that_of_the_cache(published, hub_cache):
    cache, _, connections = hub_cache
    folder = snapshot_folder(cache, "owner/model")
    shutil.copytree(published, folder.with_name("4567"))
    (cache / "models--owner--model" / "refs" / "v2").write_text("4567")
    assert load_tagger("owner/model@v2").labels == ("neutral", "happy", "angry", "sad")
    assert not connections
    with pytest.raises(ModelError, match=r"'owner/model@v1' is not in the Hugging Face cache"):
        load_tagger("owner/model@v1")


def test_encoders_and_weights_are_found_by_name(published, hub_cache):
    from sed.networks.encoder_config import read_config
    from sed.networks.weights import read_weights

    cache, _, connections = hub_cache
    folder = snapshot_folder(cache, "owner/encoder")
    shutil.copytree(published.parent / "encoder", folder)
    config, inputs = read_config("owner/encoder")
    assert config["model_type"] == "wavlm" and inputs == "normalised"
    weights = read_weights("owner/encoder")
    assert read_weights("owner/encoder@main/model.safetensors").keys() == weights.keys()
    assert not connections
    with pytest.raises(ModelError, match="'owner/absent' is not in the Hugging Face cache"):
        read_weights("owner/absent")
