"""The model in the package: its name and file, and that nothing else names the file."""

import re
from pathlib import Path

import pytest

from sed import EmotionDiarizer
from sed.emotion import load_tagger
from sed.emotion.bundled import FILE, LICENCE, bundled_path
from sed.emotion.onnx import OnnxTagger
from sed.errors import ModelError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_bundled_names_the_model_that_is_used_without_a_name():
    assert load_tagger("bundled").path == load_tagger().path == OnnxTagger.bundled().path == bundled_path()
    assert EmotionDiarizer(tagger="bundled").tagger.path == bundled_path()


def test_the_licence_is_that_of_the_card():
    assert OnnxTagger.bundled().card["licence"].startswith(LICENCE)
    assert LICENCE in bundled_path().with_suffix(".md").read_text(encoding="utf-8")


def test_an_installation_without_the_file_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr("sed.emotion.bundled.MODELS", tmp_path)
    expected = rf"no file {re.escape(str(tmp_path / FILE))}, expected the bundled emotion model"
    with pytest.raises(ModelError, match=expected):
        load_tagger("bundled")


def test_a_path_with_that_name_is_another_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bundled").mkdir()
    for name in ("./bundled", Path("bundled"), str(tmp_path / "bundled")):
        with pytest.raises(ModelError, match="bundled: found nothing, expected a tagger"):
            load_tagger(name)
    assert load_tagger("bundled").path == bundled_path()


def test_no_other_module_names_the_file():
    found = [path for path in ROOT.glob("sed/**/*.py") if f'"{FILE}"' in path.read_text(encoding="utf-8")]
    assert found == [ROOT / "sed" / "emotion" / "bundled.py"]
