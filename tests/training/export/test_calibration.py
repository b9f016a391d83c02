"""Temperature and offsets of an export: taken from another one, or fitted to speech of any length."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from export_models import command, make, noise
from tones import LABELS

from sed.cli import export as export_command
from sed.emotion.onnx import OnnxTagger
from sed.errors import FormatError, ModelError
from sed.networks.store import save_tagger
from sed.training.data.clips import Utterance
from sed.training.evaluation import evaluate
from sed.training.export import onnx as export
from sed.training.export.calibration import Calibration, calibrated, fit_calibration, read_calibration


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


def test_no_speech_to_calibrate_on_is_refused():
    with pytest.raises(FormatError, match="no utterance to calibrate on: expected some of neutral, happy"):
        fit_calibration(make("compact"), [], LABELS)
