"""Tagger folders: those of earlier versions can be loaded, and a failed save keeps the old one."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_taggers import TWO_BRANCHES
from tones import LABELS

from sed.networks.compact import CompactTagger
from sed.networks.logmel import LogMelTagger
from sed.networks.store import WEIGHTS, load_tagger, save_tagger

MAKERS = {"compact": lambda: CompactTagger(LABELS, **TWO_BRANCHES), "logmel": lambda: LogMelTagger(LABELS)}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKERS)
def test_folders_of_earlier_versions_can_be_loaded(tmp_path, kind):
    torch.manual_seed(0)
    tagger = MAKERS[kind]().eval()
    save_tagger(tagger, tmp_path, LABELS, {})
    weights = load_file(tmp_path / WEIGHTS)
    old = {name.replace("classifier.", "classify."): value for name, value in weights.items()}
    assert set(old) != set(weights)
    save_file(old, tmp_path / WEIGHTS)
    again, _ = load_tagger(tmp_path)
    wave = torch.randn(1, 16_000)
    with torch.no_grad():
        assert torch.equal(again(wave), tagger(wave))


def test_a_save_that_fails_changes_nothing(tmp_path):
    torch.manual_seed(0)
    save_tagger(LogMelTagger(LABELS), tmp_path, LABELS, {})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(TypeError):
        save_tagger(LogMelTagger(LABELS), tmp_path, LABELS, {"not JSON": object()})
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
