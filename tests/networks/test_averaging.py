"""The mean of several taggers' weights."""

import json

import pytest
import torch
from click.testing import CliRunner
from tiny_taggers import TWO_BRANCHES
from tones import LABELS

from sed.cli import export
from sed.emotion.onnx import OnnxTagger
from sed.errors import ModelError, OptionError
from sed.networks.averaging import load_mean
from sed.networks.compact import CompactTagger
from sed.networks.store import save_tagger
from sed.training.start import start_from


def saved(folder, seed, labels=LABELS, **changes):
    torch.manual_seed(seed)
    model = CompactTagger(labels, **{**TWO_BRANCHES, **changes})
    save_tagger(model, folder / "tagger", labels, {"name": f"seed {seed}"})
    return model


@pytest.mark.slow
def test_the_mean_has_equal_weights_and_the_card_of_the_first(tmp_path):
    models = [saved(tmp_path / str(seed), seed) for seed in range(3)]
    mean, description = load_mean([tmp_path / "0", tmp_path / "1" / "tagger", tmp_path / "2"])
    assert description["card"]["name"] == "seed 0" and not mean.training
    for name, value in mean.state_dict().items():
        expected = torch.stack([model.state_dict()[name] for model in models]).mean(0)
        torch.testing.assert_close(value, expected, msg=name)


@pytest.mark.slow
def test_the_mean_of_one_is_unchanged_and_of_none_is_refused(tmp_path):
    model = saved(tmp_path / "0", 0)
    mean, _ = load_mean([tmp_path / "0"])
    for name, value in mean.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    with pytest.raises(OptionError, match="expected at least one folder"):
        load_mean([])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"head_width": 4}, "found settings.head_width 4, expected 8 as in"),
        ({"labels": LABELS[::-1]}, "labels"),
        (None, "no trained tagger in"),
    ],
)
def test_incompatible_folders_are_one_line_errors_and_write_nothing(tmp_path, other, message):
    saved(tmp_path / "0", 0)
    if other is not None:
        saved(tmp_path / "1", 1, **other)
    with pytest.raises(ModelError, match=message):
        load_mean([tmp_path / "0", tmp_path / "1"])
    arguments = [str(tmp_path / name) for name in ("0", "1", "model.onnx")]
    result = CliRunner().invoke(export.main, arguments)
    assert result.exit_code == 1 and message in result.output
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.slow
def test_start_from_and_export_use_the_mean(tmp_path):
    for seed in range(2):
        saved(tmp_path / str(seed), seed, voice=False)
    folders = [str(tmp_path / "0"), str(tmp_path / "1")]
    mean, _ = load_mean(folders)
    model = CompactTagger(LABELS, **{**TWO_BRANCHES, "voice": False}).eval()
    start_from(model, folders)
    wave = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)) * 0.1
    with torch.inference_mode():
        assert torch.equal(model(wave), mean(wave))
        expected = torch.softmax(mean(wave), 2)
    result = CliRunner().invoke(export.main, [*folders, str(tmp_path / "model.onnx")])
    assert result.exit_code == 0, result.output
    tagger = OnnxTagger(tmp_path / "model.onnx")
    assert tagger.posteriors(wave.numpy()) == pytest.approx(expected.numpy(), abs=1e-4)
    assert len(tagger.card["source_sha256"]) == len(set(tagger.card["source_sha256"])) == 2
    json.dumps(tagger.card)
    with pytest.raises(ModelError, match=r"found a tagger with head_width .*, expected head_width 4"):
        start_from(CompactTagger(LABELS, **{**TWO_BRANCHES, "head_width": 4}), folders)
