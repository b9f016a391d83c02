"""Encoders of recipes by name on the hub: from the cache without network, or one clear sentence."""

import pytest

from sed.errors import ModelError
from sed.training.recipe.encoder import encoder_folder


@pytest.fixture()
def cache(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "hub" / "models--microsoft--wavlm-large"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0123")
    snapshot = folder / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    return snapshot


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_a_name_is_the_folder_in_the_cache(cache, weights):
    for name in ("config.json", weights):
        (cache / name).write_text("{}")
    assert encoder_folder("microsoft/wavlm-large") == str(cache)


def test_a_folder_is_itself(tmp_path):
    assert encoder_folder(str(tmp_path)) == str(tmp_path)
    assert encoder_folder("./models/wavlm") == "./models/wavlm"


def test_a_missing_encoder_is_one_sentence(cache):
    with pytest.raises(
        ModelError, match=r"the model 'microsoft/wavlm-base' is not in the Hugging Face cache"
    ):
        encoder_folder("microsoft/wavlm-base")
