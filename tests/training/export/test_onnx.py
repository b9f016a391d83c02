"""Every kind of tagger as one ONNX file: the same posteriors as the torch model, at any length, or an error."""

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from tiny_encoders import CONFIGS
from tones import LABELS, make_corpora
from torch import nn

from sed.cli import export as export_command
from sed.emotion import load_tagger as open_tagger
from sed.emotion.neural import TorchTagger
from sed.emotion.onnx import OnnxTagger
from sed.errors import FormatError, ModelError
from sed.grid import frame_count
from sed.networks.compact import CompactTagger
from sed.networks.dimensions import HEAD
from sed.networks.logmel import LogMelTagger
from sed.networks.lora import LowRankLinear
from sed.networks.pretrained import EncoderTagger
from sed.networks.store import load_tagger, save_tagger
from sed.training.data.clips import Utterance
from sed.training.evaluation import evaluate
from sed.training.export import onnx as export
from sed.training.export.calibration import Calibration, calibrated, fit_calibration, read_calibration
from sed.training.export.quantise import convolutions
from sed.training.objectives.dimensions import load_dimensions

ENCODERS = {  # every option of head and input with one of the encoders
    "wavlm": {"layers": "last", "norm": "clip", "tail": "repeat", "inputs": "standardised"},
    "wavlm-large": {"norm": "clip", "lora_rank": 2, "inputs": "normalised"},
    "hubert": {"tail": "repeat", "depth": 1},
    "wav2vec2": {"depth": 1, "head": "context", "inputs": "centred"},
    "data2vec-audio": {"depth": 1, "norm": "none"},
    "whisper": {"depth": 1, "head": "context"},
}
LENGTHS = (1, 319, 320, 321, 399, 400, 401, 4321, 20_001)


def noise(*shape):
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32) * 0.1


def make(kind):
    torch.manual_seed(0)
    if kind == "logmel":
        return LogMelTagger(LABELS, positions=100, head_width=8, reaches=(5,)).eval()
    if kind in ("compact", "voice"):
        shape = {"layers": 2, "width": 16, "heads": 2, "feedforward": 32, "positions": 100}
        voice = kind == "voice"
        return CompactTagger(LABELS, **shape, halve_after=int(voice), voice=voice, fusion=int(voice)).eval()
    model = EncoderTagger(LABELS, CONFIGS[kind], head_width=8, **ENCODERS[kind]).eval()
    for layer in model.modules():
        if isinstance(layer, LowRankLinear):
            torch.nn.init.normal_(layer.lora_b)
    return model


def command(*arguments):
    result = CliRunner().invoke(export_command.main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return result.output


def reported_difference(output):
    return float(output.split("from the original: ")[1].split()[0])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*ENCODERS, "logmel", "compact", "voice"])
def test_the_file_gives_the_posteriors_of_the_model(kind, tmp_path):
    """At every length, single and in a batch, for some of the labels in another order, with a temperature."""
    folder, target = tmp_path / "run", tmp_path / "out" / "model.onnx"
    save_tagger(
        make(kind), folder / "tagger", ["sad", "neutral", "happy"], {"name": "tiny", "window": 32_000}
    )
    output = command(folder, target, "--temperature", 0.5)
    assert reported_difference(output) < 1e-4
    model, tagger = load_tagger(folder / "tagger")[0], open_tagger(target)
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
    assert [path.name for path in target.parent.iterdir()] == ["model.onnx"]


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


@pytest.mark.slow
def test_convolutions_have_8_bits_if_calibration_clips_are_given(tmp_path):
    model = make("voice")
    full = export.export_onnx(model, tmp_path / "full.onnx", LABELS)
    quantised = {}
    for name, clips in (("without", ()), ("with", [noise(8000), noise(20_000)])):
        tagger = export.export_onnx(model, tmp_path / f"{name}.onnx", LABELS, int8=True, clips=clips)
        graph = onnx.load(tagger.path).graph
        quantised[name] = sum(node.op_type == "QuantizeLinear" for node in graph.node)
        wave = noise(1, 20_001)
        assert tagger.posteriors(wave) == pytest.approx(full.posteriors(wave), abs=0.05)
    assert quantised["without"] == 0 and quantised["with"] >= 10
    assert len(convolutions(full.path)) == 11, "all but the first, which has one input channel"
    assert len(convolutions(full.path, over_time=True)) == 14, "the two of Whisper's stem, one of CAM++"


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


@pytest.mark.slow
def test_calibration_of_another_export(tmp_path):
    """For a tagger that was trained on all speakers, so that none is left for calibration."""
    save_tagger(make("compact"), tmp_path / "run", LABELS, {})
    chosen = Calibration(1.5, (0.25, -0.25, 0.0, 0.0))
    export.export_onnx(make("compact"), tmp_path / "other.onnx", LABELS, calibration=chosen)
    output = command(tmp_path / "run", tmp_path / "a.onnx", "--calibration", tmp_path / "other.onnx")
    assert "temperature 1.5, offsets 0.25 -0.25 0.0 0.0" in output
    assert OnnxTagger(tmp_path / "a.onnx").card["offsets"] == [0.25, -0.25, 0.0, 0.0]
    with pytest.raises(ModelError, match=r"found labels .*, expected sad"):
        read_calibration(tmp_path / "other.onnx", ["sad"])
    arguments = [str(tmp_path / "run"), str(tmp_path / "b.onnx"), "--temperature", "nan"]
    result = CliRunner().invoke(export_command.main, arguments)
    assert result.exit_code == 2 and "found nan, expected a number from 0.05 to 20" in result.output
    both = ["--temperature", "2", "--calibration", str(tmp_path / "other.onnx")]
    result = CliRunner().invoke(export_command.main, [str(tmp_path / "run"), str(tmp_path / "b.onnx"), *both])
    assert result.exit_code == 2 and "cannot be combined with" in result.output
    assert not (tmp_path / "b.onnx").exists()


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


@pytest.mark.parametrize("kind", ["compact", "whisper"])
def test_utterances_longer_than_the_model_accepts_are_split_into_chunks(kind):
    """IEMOCAP has utterances of 34 s; Whisper has positions for 30."""
    model = make(kind)
    max_samples = 200 * 320 if kind == "whisper" else 100 * 320
    samples = np.round(noise(max_samples + 5000) * 32767).astype(np.int16)
    with torch.inference_mode():
        wave = torch.from_numpy(samples.astype(np.float32) / 32768)[None]
        logits = torch.cat([model(wave[:, :max_samples]), model(wave[:, max_samples:])], 1)[0]
    chosen = int(torch.softmax(logits, 1).mean(0).argmax())
    speech = [(Utterance("c", None, "s", LABELS[0], "valid"), samples)]
    report = evaluate(model, speech, [], LABELS)
    assert report.confusions["c"][0].tolist() == [int(label == chosen) for label in range(4)]
    posteriors_of = calibrated(model, LABELS, Calibration(2.0, (0.0, 0.0, 0.0, 30.0)))
    posteriors = posteriors_of(samples.astype(np.float32) / 32768)
    assert posteriors.shape == logits.shape and posteriors.argmax(1).tolist() == [3] * len(logits)
    shifted = logits / 2 + torch.tensor([0.0, 0.0, 0.0, 30.0])
    assert posteriors == pytest.approx(torch.softmax(shifted, 1).numpy(), abs=1e-5)
    found = fit_calibration(model, speech, LABELS)
    assert np.argmax(found.offsets) == 0 and sum(found.offsets) == pytest.approx(0, abs=1e-3)


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


def test_no_speech_to_calibrate_on_is_refused():
    with pytest.raises(FormatError, match="no utterance to calibrate on: expected some of neutral, happy"):
        fit_calibration(make("compact"), [], LABELS)
