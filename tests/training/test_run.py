"""The recipe from end to end on tiny data: it learns, resumes, and its result can be exported."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from sed.cli import export as export_command
from sed.cli import train as train_command
from sed.corpora.audio import Utterance
from sed.emotion.onnx import OnnxTagger
from sed.errors import ModelError, OptionError
from sed.grid import frame_count
from sed.networks.compact import CompactTagger
from sed.networks.store import load_tagger
from sed.training.export.calibration import Calibration, fit_calibration
from sed.training.export.onnx import PosteriorTagger, export_onnx, largest_difference
from sed.training.recipe.run import run_command

ROOT = Path(__file__).resolve().parents[2]
RATE = 16_000
PITCH = {"neutral": 300, "happy": 900, "angry": 2000, "sad": 4000}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Four "emotions" (tones of four pitches) by two speakers each of two corpora, in two splits."""
    folder = tmp_path_factory.mktemp("corpora")
    rng = np.random.default_rng(0)
    rows = ["corpus,path,speaker,emotion,split"]
    for corpus in ("one", "two"):
        for split in ("train", "valid"):
            for emotion, pitch in PITCH.items():
                name = f"{corpus}-{split}-{emotion}.wav"
                tone = np.sin(np.arange(RATE) * 2 * np.pi * pitch / RATE)
                soundfile.write(folder / name, 0.1 * tone + 0.003 * rng.standard_normal(RATE), RATE)
                rows.append(f"{corpus},{name},{split},{emotion},{split}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def train(corpora, output, epochs, **changes):
    options = {
        "corpora": corpora,
        "output_folder": output,
        "encoder_weights": "",
        "voice_weights": "",
        "trained_labels": "[neutral, happy, angry, sad]",
        "steps": 60,
        "epochs": epochs,
        "epoch_steps": 20,
        "warmup_steps": 4,
        "decay_steps": 20,
        "head_rate": 0.01,
        "encoder_rate": 0.01,
        "valid_clips": 8,
        "tagger": "{layers: 1, width: 16, heads: 2, feedforward: 32, head_width: 16, positions: 300,"
        " head_dropout: 0.1, spec_augment: 0, train_stem: True, fusion: 1, style_share: 0.2}",
        "augmentation": "{reverberation: 0, equaliser: 0, telephone: 0, noise: 0.2, speed: 0.2,"
        " gain_range: [-6, 6]}",
        "clips": "{length: [1.0, 2.0], batch_seconds: 9.0}",
        **changes,
    }
    arguments = [str(ROOT / "hparams" / "compact.yaml")]
    for key, value in options.items():
        arguments += [f"--{key}", str(value)]
    return run_command(arguments)


@pytest.fixture(scope="module")
def full_run(corpora, tmp_path_factory):
    """An uninterrupted run of 60 steps."""
    output = tmp_path_factory.mktemp("full")
    return output, train(corpora, output, 3)


def losses(output):
    lines = (output / "valid.log").read_text().splitlines()
    return [float(line.split("loss")[1].split()[0]) for line in lines]


@pytest.mark.slow
def test_it_learns_and_logs(full_run):
    output, folder = full_run
    found = losses(output)
    assert len(found) == 3 and found[-1] < 0.7 * found[0]
    assert (output / "hyperparams.yaml").is_file()
    model, description = load_tagger(folder)
    assert description["labels"] == ["neutral", "happy", "angry", "sad"]
    assert not model.training


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(corpora, full_run, tmp_path):
    train(corpora, tmp_path, 1)
    train(corpora, tmp_path, 2)
    resumed = load_tagger(train(corpora, tmp_path, 3))[0].state_dict()
    expected = load_tagger(full_run[1])[0].state_dict()
    assert losses(tmp_path) == losses(full_run[0])
    for name, value in expected.items():
        assert torch.equal(resumed[name], value), name


@pytest.mark.slow
def test_batches_of_worker_processes_are_the_same(corpora, full_run, tmp_path):
    train(corpora, tmp_path, 1, workers=2)
    assert losses(tmp_path)[0] == losses(full_run[0])[0]


@pytest.mark.slow
def test_it_starts_from_a_trained_tagger(corpora, full_run, tmp_path):
    folder = train(
        corpora, tmp_path, 1, start=full_run[1], steps=1, epoch_steps=1, head_rate=0, encoder_rate=0
    )
    expected = load_tagger(full_run[1])[0].state_dict()
    for name, value in load_tagger(folder)[0].state_dict().items():
        assert torch.equal(value, expected[name]), name
    with pytest.raises(ModelError, match=r"found a tagger with layers 1, .* expected layers 4"):
        train(corpora, tmp_path / "wider", 1, start=full_run[1], tagger="{head_width: 8}")
    with pytest.raises(
        ModelError, match=r"of labels neutral happy angry sad, expected .* of labels neutral sad"
    ):
        train(
            corpora,
            tmp_path / "fewer",
            1,
            start=full_run[1],
            trained_labels="[neutral, sad]",
            labels="[neutral, sad]",
        )


@pytest.mark.slow
def test_the_seed_matters(corpora, full_run, tmp_path):
    train(corpora, tmp_path, 1, seed=99)
    assert losses(tmp_path)[0] != losses(full_run[0])[0]


@pytest.mark.slow
def test_the_exported_tagger_gives_the_same_posteriors(corpora, full_run, tmp_path):
    target = tmp_path / "model.onnx"
    result = CliRunner().invoke(
        export_command.main, [str(full_run[0]), str(target), "--corpora", str(corpora)]
    )
    assert result.exit_code == 0, result.output
    assert "temperature" in result.output and "SHA-256" in result.output
    tagger = OnnxTagger(target)
    model, _ = load_tagger(full_run[1])
    assert tagger.labels == ("neutral", "happy", "angry", "sad") and len(tagger.card["source_sha256"]) == 64
    rng = np.random.default_rng(0)
    waves = [rng.standard_normal(n).astype(np.float32) for n in (1, 319, 320, 321, 80_000)]
    assert largest_difference(model, tagger, waves) < 1e-4
    for wave in waves:
        assert tagger.posteriors(wave[None]).shape == (1, frame_count(len(wave)), 4)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.slow
def test_int8_is_close_and_smaller(tmp_path):
    torch.manual_seed(0)
    model = CompactTagger(["a", "b", "c"], layers=2, width=64, heads=4, feedforward=256, positions=300).eval()
    full = export_onnx(model, tmp_path / "full.onnx", ["a", "b"])
    small = export_onnx(model, tmp_path / "small.onnx", ["a", "b"], int8=True)
    waves = [np.random.default_rng(1).standard_normal(20_000).astype(np.float32)]
    assert largest_difference(model, full, waves) < 1e-4 < largest_difference(model, small, waves) < 0.05
    assert small.path.stat().st_size < 0.75 * full.path.stat().st_size
    assert (full.card["weights"], small.card["weights"]) == ("float32", "int8")


def test_posteriors_cover_only_the_given_labels_and_temperature_softens_them():
    torch.manual_seed(0)
    model = CompactTagger(["a", "b", "c"], layers=1, width=16, heads=2, feedforward=32, positions=99).eval()
    wave = torch.randn(1, 6400)
    with torch.no_grad():
        logits = model(wave)
        for labels, columns in ((["a", "c"], [0, 2]), (["c", "a"], [2, 0])):
            expected = torch.softmax(logits[..., columns] / 2 + torch.tensor([0.3, -0.3]), -1)
            found = PosteriorTagger(model, labels, Calibration(2.0, (0.3, -0.3)))(wave)
            assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-6)


class FirstSample(torch.nn.Module):
    """A tagger whose logit of ``a`` is the first sample of a frame, scaled and shifted."""

    labels = ("a", "b")
    max_samples = None

    def __init__(self, scale=1.0, bias=0.0):
        super().__init__()
        self.scale, self.bias = scale, bias

    def forward(self, waves):
        log_odds = waves[:, ::320]
        return torch.stack([self.scale * log_odds + self.bias, torch.zeros_like(log_odds)], 2)


def drawn_speech(share_of_a=1.0):
    """Utterances of one frame with labels drawn by their logits; of label ``a`` only `share_of_a` are kept."""
    rng = np.random.default_rng(0)
    log_odds = rng.uniform(-1, 1, 800)
    names = np.where(rng.random(800) < 1 / (1 + np.exp(-log_odds)), "a", "b")
    kept = (names == "b") | (rng.random(800) < share_of_a)
    return [
        (Utterance("c", Path(), "s", str(name), "valid"), np.full(320, value * 32768 * 0.999, np.int16))
        for value, name in zip(log_odds[kept], names[kept], strict=True)
    ]


def test_temperature_of_an_overconfident_model():
    """Logits three times as large require a temperature three times as high."""
    speech = drawn_speech()
    one, three = (fit_calibration(FirstSample(scale), speech, ["a", "b"]).temperature for scale in (1.0, 3.0))
    assert three / one == pytest.approx(3, rel=0.1) and 0.6 < one < 1.7


def test_a_bias_is_corrected_even_for_a_rare_label():
    """A model biased towards ``b`` gets an offset against it, regardless of the amount of ``a``."""
    for share in (1.0, 0.25):
        fitted = fit_calibration(FirstSample(bias=-1.0), drawn_speech(share), ["a", "b"])
        assert sum(fitted.offsets) == pytest.approx(0, abs=1e-3)
        assert 0.3 < fitted.offsets[0] - fitted.offsets[1] < 1.2


def test_posteriors_are_those_of_a_stated_share_of_ordinary_speech():
    """Four times the odds of neutral: an offset of log 4, and the card of the export states the prior."""
    model = FirstSample()
    model.labels = ("neutral", "b")
    speech = drawn_speech()
    acted, ordinary = ([item for item in speech if item[0].emotion == label] for label in ("b", "a"))
    half, most = (
        fit_calibration(model, acted, ["neutral", "b"], ordinary=ordinary, neutral=share)
        for share in (0.5, 0.8)
    )
    shift = np.subtract(*most.offsets) - np.subtract(*half.offsets)
    assert shift == pytest.approx(np.log(4), abs=0.15)
    assert half.prior == (0.5, 0.5) and most.prior == pytest.approx((0.8, 0.2))


def test_errors_of_the_commands(tmp_path, capsys):
    with pytest.raises(OptionError, match="no recipe"):
        run_command([str(tmp_path / "none.yaml")])
    with pytest.raises(SystemExit) as stop:
        train_command.main([str(tmp_path / "none.yaml")])
    assert stop.value.code == 1 and "sed-train: no recipe" in capsys.readouterr().err
    result = CliRunner().invoke(export_command.main, [str(tmp_path), str(tmp_path / "m.onnx")])
    assert result.exit_code == 1 and "found nothing, expected a tagger" in result.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "what"), [({"weight_decay": 1e30, "head_rate": 1e30}, "weight"), ({"head_rate": 1e30}, "loss")]
)
def test_a_diverging_run_stops_and_writes_no_tagger(corpora, tmp_path, broken, what):
    steps = 1 if what == "weight" else 20
    changes = {"epoch_steps": steps, "steps": steps, "warmup_steps": 0, "decay_steps": 0, "ema_decay": 0.0}
    with pytest.raises(OptionError, match=f"found a non-finite {what}, expected finite numbers only"):
        train(corpora, tmp_path, 1, **changes, **broken)
    assert not (tmp_path / "tagger").exists()
