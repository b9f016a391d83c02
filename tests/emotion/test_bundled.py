"""The bundled editions: their names and files, and that nothing else names the files."""

import re
from pathlib import Path

import pytest

from sed import EmotionDiarizer
from sed.emotion import load_tagger
from sed.emotion.bundled import DEFAULT, EDITIONS, FREE, edition_of
from sed.emotion.onnx import OnnxTagger
from sed.errors import ModelError

ROOT = Path(__file__).resolve().parents[2]


def test_default_names_the_model_that_is_used_without_a_name():
    assert edition_of(None) is edition_of("default") is DEFAULT and edition_of("free") is FREE
    assert load_tagger("default").path == load_tagger().path == OnnxTagger.bundled().path == DEFAULT.path
    assert EmotionDiarizer(tagger="default").tagger.path == DEFAULT.path


def test_the_licences_are_those_of_the_cards():
    for edition in EDITIONS:
        if edition.path.is_file():
            assert OnnxTagger.bundled(edition=edition).card["licence"] == edition.licence
            assert edition.licence in edition.path.with_suffix(".md").read_text(encoding="utf-8")
    assert not DEFAULT.commercial and FREE.commercial


def test_an_edition_without_its_file_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr("sed.emotion.bundled.MODELS", tmp_path)
    expected = (
        rf"tagger 'free': this installation has no file {re.escape(str(FREE.path))}, expected the model"
    )
    with pytest.raises(ModelError, match=expected):
        load_tagger("free")


def test_a_path_with_the_name_of_an_edition_is_no_edition(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "free").mkdir()
    (tmp_path / "default").write_text("a file")
    for name in ("./free", Path("free"), str(tmp_path / "free")):
        with pytest.raises(ModelError, match="free: found nothing, expected a tagger"):
            load_tagger(name)
    with pytest.raises(ModelError, match="found a file without the suffix"):
        load_tagger("./default")
    assert load_tagger("default").path == DEFAULT.path


def test_an_unknown_name_is_answered_with_the_editions():
    with pytest.raises(ModelError, match=r"'freee': found nothing, expected default, free, an ONNX file"):
        load_tagger("freee")


def test_no_other_module_names_the_files():
    for edition in EDITIONS:
        found = [
            path for path in ROOT.glob("sed/**/*.py") if edition.file in path.read_text(encoding="utf-8")
        ]
        assert found == [ROOT / "sed" / "emotion" / "bundled.py"]
