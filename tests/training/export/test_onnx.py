"""Every kind of tagger as one ONNX file: the same posteriors as the torch model, at any length, or an error."""

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from export_models import ENCODERS, command, make, noise
from safetensors.torch import save_file
from tones import LABELS, make_corpora
from torch import nn

from sed.cli import export as export_command
from sed.emotion import load_tagger as open_tagger
from sed.emotion.neural import TorchTagger
from sed.emotion.onnx import OnnxTagger
from sed.errors import ModelError
from sed.grid import frame_count
from sed.networks.dimensions import HEAD
from sed.networks.logmel import LogMelTagger
from sed.networks.store import load_tagger, save_tagger
from sed.training.export import onnx as export
from sed.training.export.calibration import Calibration
from sed.training.export.quantise import convolutions, quantise
from sed.training.objectives.dimensions import load_dimensions

LENGTHS = (1, 319, 320, 321, 399, 400, 401, 4321, 20_001)


def reported_difference(output):
    return float(output.split("from the original: ")[1].split()[0])


def export_tiny(kind, folder):
    """What the command reports about the export of a tiny tagger to ``out/model.onnx`` in `folder`."""
    save_tagger(
        make(kind), folder / "run" / "tagger", ["sad", "neutral", "happy"], {"name": "tiny", "window": 32_000}
    )
    return command(folder / "run", folder / "out" / "model.onnx", "--temperature", 0.5)


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """The folder of the tagger with CAM++, whose export takes as long as that of all others."""
    folder = tmp_path_factory.mktemp("voice")
    return folder, export_tiny("voice", folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*ENCODERS, "logmel", "compact", "voice"])
def test_the_file_gives_the_posteriors_of_the_model(kind, tmp_path, request):
    """At every length, single and in a batch, for some of the labels in another order, with a temperature."""
    if kind == "voice":
        folder, output = request.getfixturevalue("voice")
    else:
        folder, output = tmp_path, export_tiny(kind, tmp_path)
    assert reported_difference(output) < 1e-4
    model, tagger = load_tagger(folder / "run" / "tagger")[0], open_tagger(folder / "out" / "model.onnx")
    max_samples = {"whisper": 64_000, "logmel": 32_000, "compact": 32_000, "voice": 32_000}.get(kind)
    assert tagger.labels == ("sad", "neutral", "happy") and tagger.card["name"] == "tiny"
    assert (tagger.window, tagger.max_samples) == (32_000, max_samples)
    for samples in (*LENGTHS, max_samples or 90_000):
        waves = noise(2, samples)
        with torch.inference_mode():
            expected = torch.softmax(2 * model(torch.from_numpy(waves))[:, :, [3, 0, 1]], 2).numpy()
        (found,) = tagger._session.run(["posteriors"], {"waves": waves})
        assert found.shape == (2, frame_count(samples), 3)
        assert found == pytest.approx(expected, abs=1e-4)
        assert tagger.posteriors(waves[1:])[0] == pytest.approx(expected[1], abs=1e-4)
    assert np.ptp(expected, axis=1).max() > 0.01, "the test needs frames that differ"
    assert [path.name for path in (folder / "out").iterdir()] == ["model.onnx"]


@pytest.mark.slow
def test_an_encoder_calibrated_and_in_8_bits(tmp_path):
    save_tagger(make("wavlm-large"), tmp_path / "run", LABELS, {})
    corpora = make_corpora(tmp_path / "corpora")
    output = command(tmp_path / "run", tmp_path / "small.onnx", "--int8", "--corpora", corpora)
    tagger = OnnxTagger(tmp_path / "small.onnx")
    assert 1e-6 < reported_difference(output) < 0.05
    assert tagger.card["weights"] == "int8" and len(tagger.card["offsets"]) == 4
    assert tagger.card["temperature"] != 1 and (tagger.window, tagger.max_samples) == (80_000, None)
    assert tagger.posteriors(noise(1, 20_001)).shape == (1, 63, 4)


def quantised_convolutions(path):
    return sum(node.op_type == "QuantizeLinear" for node in onnx.load(path).graph.node)


@pytest.mark.slow
def test_convolutions_have_8_bits_if_calibration_clips_are_given(tmp_path, voice):
    full = OnnxTagger(voice[0] / "out" / "model.onnx")
    for name, clips in (("without", ()), ("with", [noise(8000), noise(20_000)])):
        path, wave = tmp_path / f"{name}.onnx", noise(1, 20_001)
        quantise(full.path, path, clips, over_time=True)
        export.finish(path, full.card)
        assert OnnxTagger(path).posteriors(wave) == pytest.approx(full.posteriors(wave), abs=0.05)
    assert quantised_convolutions(tmp_path / "without.onnx") == 0
    assert quantised_convolutions(tmp_path / "with.onnx") >= 10
    assert len(convolutions(full.path)) == 11, "all but the first, which has one input channel"
    assert len(convolutions(full.path, over_time=True)) == 14, "the two of Whisper's stem, one of CAM++"


@pytest.mark.slow
def test_an_export_with_clips_has_convolutions_in_8_bits(tmp_path):
    clips = [noise(8000), noise(20_000)]
    tagger = export.export_onnx(make("compact"), tmp_path / "m.onnx", LABELS, int8=True, clips=clips)
    assert tagger.card["weights"] == "int8" and quantised_convolutions(tagger.path) >= 2  # of Whisper's stem


@pytest.mark.slow
def test_a_head_of_dimensions_is_a_second_output(tmp_path):
    """From 0 to 1 instead of -1 to 1; of several folders the mean; the posteriors are as without it."""
    torch.manual_seed(1)
    folders, heads = [tmp_path / "one", tmp_path / "two"], []
    for folder in folders:
        save_tagger(make("compact"), folder, LABELS, {})
        heads.append(nn.Linear(make("compact").classifier.in_features, 3))
        save_file(heads[-1].state_dict(), folder / HEAD)
    output = command(*folders, tmp_path / "m.onnx", "--temperature", 2)
    assert "dimensions arousal valence dominance" in output and reported_difference(output) < 1e-4
    tagger, waves = OnnxTagger(tmp_path / "m.onnx"), noise(1, 20_001)
    posteriors, found = tagger.outputs(waves)
    expected = np.mean([load_dimensions(folder)(waves[0]) for folder in folders], 0)
    assert found[0] == pytest.approx(np.clip((expected + 1) / 2, 0, 1), abs=1e-4) and np.ptp(found) > 0.01
    folder_tagger = open_tagger(folders[0])
    one = np.clip((load_dimensions(folders[0])(waves[0]) + 1) / 2, 0, 1)
    assert folder_tagger.dimensions == tagger.dimensions
    assert folder_tagger.outputs(waves)[1][0] == pytest.approx(one, abs=1e-5)
    assert np.array_equal(folder_tagger.outputs(waves)[0], folder_tagger.posteriors(waves))
    plain = export.export_onnx(make("compact"), tmp_path / "plain.onnx", LABELS, calibration=Calibration(2.0))
    assert plain.dimensions == () and posteriors == pytest.approx(plain.posteriors(waves), abs=1e-5)
    (folders[1] / HEAD).unlink()
    without = open_tagger(folders[1])
    assert without.dimensions == () and np.array_equal(
        without.posteriors(waves), folder_tagger.posteriors(waves)
    )
    with pytest.raises(
        ModelError, match=r"two: found no dimensions\.safetensors, expected one as in the other"
    ):
        export_command.export(tuple(folders), tmp_path / "n.onnx", False, None, 1.0)


def test_a_head_for_other_features_is_refused():
    with pytest.raises(ModelError, match="found a head of dimensions for 5 features, expected"):
        export.PosteriorTagger(make("logmel"), LABELS, head=nn.Linear(5, 3))
    with pytest.raises(ModelError, match=r"remove dimensions\.safetensors to use it without dimensions"):
        TorchTagger(make("logmel"), LABELS, 16_000, head=nn.Linear(5, 3))


class Branching(LogMelTagger):
    """A traced graph would contain only one side of the branch."""

    def forward(self, waves):
        return super().forward(waves) if waves.sum() > 3 else super().forward(waves) * 2


class OneLength(LogMelTagger):
    def forward(self, waves):
        return super().forward(waves.unfold(1, waves.shape[1], 1)[:, 0])


class DiffersInExport(LogMelTagger):
    def forward(self, waves):
        return super().forward(waves) * (9.0 if torch.compiler.is_exporting() else 1.0)


class ReturnsNaN(LogMelTagger):
    def forward(self, waves):
        return super().forward(waves) * torch.nan


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            ReturnsNaN,
            "found posteriors of the exported graph that differ by nan from the model's, expected at most",
        ),
        (Branching, "torch's exporter cannot write this tagger as ONNX: "),
        (OneLength, "found a graph for waves of batch x 2257 only, expected one for any batch and length"),
        (
            DiffersInExport,
            r"found posteriors of the exported graph that differ by 0\.\d+ from the model's, expected at most",
        ),
    ],
)
def test_failed_exports_are_one_line_errors_and_write_nothing(kind, message, tmp_path):
    torch.manual_seed(0)
    model = kind(LABELS, head_width=8, dilations=(1,)).eval()
    (tmp_path / "model.onnx").write_bytes(b"the previous one")
    with pytest.raises(ModelError, match=message) as error:
        export.export_onnx(model, tmp_path / "model.onnx", LABELS)
    assert "\n" not in str(error.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "model.onnx": b"the previous one"
    }


def test_too_large_weights_and_windows_are_refused(tmp_path, monkeypatch):
    model = make("compact")
    with pytest.raises(
        ModelError, match="found a window of 32320 samples, expected at most the model's 32000"
    ):
        export.export_onnx(model, tmp_path / "new" / "m.onnx", LABELS, {"window": 32_320})
    monkeypatch.setattr(export, "_MAX_BYTES", 10_000)
    with pytest.raises(
        ModelError, match=r"found 0\.0 GB of weights, expected at most .*, the limit of one ONNX file"
    ):
        export.export_onnx(model, tmp_path / "new" / "m.onnx", LABELS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_invalid_commands_are_refused_before_any_work(tmp_path):
    for name in ("one", "two"):
        save_tagger(make("compact"), tmp_path / name, LABELS, {})
    (tmp_path / "file").write_text("no folder")
    before = sorted(tmp_path.rglob("*"))
    for target, message in (
        ("two", "two: found a folder, expected the output file last, such as model.onnx"),
        ("model", "model: found another suffix, expected the output file last"),
        ("file/m.onnx", "file is a file, expected a folder"),
        ("/proc/m.onnx", "/proc/m.onnx: cannot be written ("),
    ):
        result = CliRunner().invoke(export_command.main, [str(tmp_path / "one"), str(tmp_path / target)])
        assert result.exit_code == 1 and message in result.output, result.output
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("text", ["[]", '{"labels": []}', '{"card": 3}'])
def test_a_description_without_a_card_is_refused(text, tmp_path):
    save_tagger(make("compact"), tmp_path, LABELS, {})
    (tmp_path / "tagger.json").write_text(text)
    with pytest.raises(
        ModelError, match=r"tagger\.json: found no card, expected labels, settings and a card"
    ):
        load_tagger(tmp_path)
