"""Several emotions at once: votes as independent labels, from training to segments and ONNX files."""

import json

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from tones import SHORT, make_corpora, run, tone
from toy_batches import WIDTH, Tagger, batch, speech

from sed.cli import run as run_command_line
from sed.cli.export import export
from sed.corpora.ratings import Ratings
from sed.emotion import load_tagger
from sed.emotion.onnx import OnnxTagger
from sed.emotion.priors import reweighted
from sed.errors import OptionError
from sed.simulation.patterns import Event
from sed.training.objectives.base import Objectives
from sed.training.objectives.multi_label import MultiLabel

VOTES = {
    "neutral": "neutral=10",
    "happy": "happy=5 angry=5",
    "angry": "happy=1 angry=9",
    "sad": "sad=4 neutral=6",
}


def built(ratings, emotions=("happy", "sad"), **options):
    objective = MultiLabel(1.0, **options)
    objective.build(Tagger(), speech(list(emotions), ratings=ratings))
    return objective


def test_labels_with_enough_votes_are_present():
    votes = Ratings({"happy": 4.0, "angry": 1.0, "disgust": 5.0})  # disgust is no label of the tagger
    assert built([votes, None]).present.tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]
    assert built([votes, None], least_share=0.1).present.tolist() == [[0, 1, 1, 0], [0, 0, 0, 1]]
    with pytest.raises(OptionError, match="multi_label: found no votes in the manifest"):
        built([None, None])
    with pytest.raises(OptionError, match="least_share 0: expected more than 0, at most 1"):
        MultiLabel(1.0, 0)


def test_the_loss_is_that_of_each_label_by_itself():
    objective = built([Ratings({"happy": 1.0, "angry": 1.0}), None])
    given = batch([[Event(0, 6_400, "happy", 0), Event(9_600, 12_800, "sad", 1)]])
    logits = torch.randn(1, 40, 4)
    probability = torch.sigmoid(logits[0])
    both, sad = torch.tensor([0.0, 1, 1, 0]), torch.tensor([0.0, 0, 0, 1])
    rows = [
        -(target * p.log() + (1 - target) * (1 - p).log()).mean()
        for frames, target in ((probability[:20], both), (probability[30:], sad))
        for p in frames
    ]
    loss = objective(torch.zeros(1, 40, WIDTH), logits, given, 0.0)
    assert float(loss) == pytest.approx(float(torch.stack(rows).mean()), rel=1e-5)
    objectives = Objectives({"multi_label": objective})
    assert (objectives.hard_targets(given) == -1).all() and objectives.card == {"multi_label": True}
    branches = [logits, torch.randn(1, 40, 4)]
    each = [float(objective(torch.zeros(1, 40, WIDTH), b, given, 0.0)) for b in branches]
    total = objectives(torch.zeros(1, 40, WIDTH), logits, given, 0.0, branches)
    assert float(total) == pytest.approx(sum(each), rel=1e-5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tagger of tones: raters call the tone of happy both happy and angry, and sad both sad and neutral."""
    corpora = make_corpora(tmp_path_factory.mktemp("votes"), columns={"votes": VOTES.get})
    output = tmp_path_factory.mktemp("multi-label")
    options = {**SHORT, "steps": 60, "epochs": 1, "epoch_steps": 60}
    tagger = "{head_width: 16, dilations: [1], spec_augment: 0, head_dropout: 0}"
    folder = run(
        "logmel", output, corpora=corpora, tagger=tagger, multi_label=1.0, label_smoothing=0, **options
    )
    return folder, corpora


@pytest.fixture(scope="module")
def happy(tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / "happy.wav"
    soundfile.write(path, tone(900, 16_000 * 4, seed=9), 16_000)
    return path


@pytest.mark.slow
def test_a_segment_keeps_the_probabilities_of_several_emotions(trained, happy):
    arguments = [str(happy), "--tagger", str(trained[0]), "--vad", "none", "--speakers", "1", "-o", "json"]
    result = CliRunner().invoke(run_command_line.main, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    (segment,) = found["segments"]
    probabilities = segment["probabilities"]
    assert min(probabilities["happy"], probabilities["angry"]) > 0.6
    assert max(probabilities["neutral"], probabilities["sad"]) < 0.4
    assert segment["emotion"] in ("happy", "angry") and found["settings"] == {"multi_label": True}


@pytest.mark.slow
def test_the_exported_file_has_independent_labels_too(trained, happy, tmp_path):
    folder, corpora = trained
    lines = export((folder,), tmp_path / "m.onnx", False, corpora, None)
    assert "temperature 1.0, offsets none" in lines[1]
    tagger, wave = OnnxTagger(tmp_path / "m.onnx"), soundfile.read(happy, dtype="float32")[0][None]
    expected = load_tagger(str(folder)).posteriors(wave)
    assert np.allclose(tagger.posteriors(wave), expected, atol=1e-4)
    assert (tagger.posteriors(wave).sum(2) > 1.2).mean() > 0.9
    assert tagger.settings == {"multi_label": True}
    for name, value in (("prior", {"neutral": 0.5}), ("sensitivity", 2.0)):
        with pytest.raises(OptionError, match=f"{name}: found a tagger with independent labels"):
            reweighted(tagger, **{name: value})
    with pytest.raises(OptionError, match="independent labels, which has no calibration"):
        export((folder,), tmp_path / "n.onnx", False, corpora, 2.0)


@pytest.mark.slow
def test_adaptation_to_single_labels_is_refused(trained, happy, tmp_path):
    (tmp_path / "clips.csv").write_text(f"path,emotion\n{happy},happy\n")
    with pytest.raises(OptionError, match="start: found a tagger with independent labels"):
        run("adapt", tmp_path / "out", start=trained[0], clips_table=tmp_path / "clips.csv")
