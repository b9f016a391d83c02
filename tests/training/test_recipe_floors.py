"""The baselines (log-mel, linear probe) and leave-one-corpus-out, on tones."""

import json
import re

import numpy as np
import pytest
import torch
from tones import LABELS, SHORT, make_corpora, run

from sed.emotion import load_tagger as open_tagger
from sed.errors import ModelError, OptionError
from sed.grid import frame_count
from sed.networks.compact import CompactTagger
from sed.networks.logmel import LogMelTagger
from sed.networks.store import load_tagger, save_tagger
from sed.training.export.onnx import export_onnx, largest_difference
from sed.training.leave_one_out import recall_interval, table

FOUR = {"trained_labels": "[neutral, happy, angry, sad]"}
LOGMEL = "{head_width: 16, dilations: [1], spec_augment: 0}"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return make_corpora(tmp_path_factory.mktemp("floor-corpora"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """The encoder of a tiny compact tagger, as a file."""
    from safetensors.torch import save_file

    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("floor-encoder") / "encoder.safetensors"
    model = CompactTagger(LABELS, layers=2, width=16, heads=2, feedforward=32, positions=300)
    prefixes = ("conv1.", "conv2.", "embed_positions.", "layers.")
    save_file({k: v.contiguous() for k, v in model.state_dict().items() if k.startswith(prefixes)}, path)
    return path


@pytest.mark.slow
def test_the_probe_trains_a_linear_layer_on_frozen_states(corpora, encoder, tmp_path):
    tiny = "{width: 16, heads: 2, feedforward: 32, positions: 300}"
    options = {**SHORT, **FOUR, "tagger": tiny, "layers": 2, "epochs": 1, "head_rate": 0.05}
    model, _ = load_tagger(run("probe", tmp_path, corpora=corpora, encoder_weights=encoder, **options))
    start = CompactTagger(LABELS, layers=2, width=16, heads=2, feedforward=32, positions=300)
    start.load_encoder(encoder)
    for name, value in start.state_dict().items():
        if name.startswith(("conv", "embed", "layers.")):
            assert torch.equal(model.state_dict()[name], value), name
    heads = {name.split(".")[0] for name in model.state_dict()} - {
        "conv1",
        "conv2",
        "embed_positions",
        "layers",
    }
    assert heads == {"layer_weights", "head", "classifier"}
    # Linear: from the normalised states to the logits there is one matrix.
    seen = []
    model.classifier.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        logits = model(torch.randn(1, 6400))
        assert torch.equal(logits, seen[0] @ model.classifier.weight.T + model.classifier.bias)
    with pytest.raises(OptionError, match="linear head with dilations"):
        CompactTagger(LABELS, head_width=0)


@pytest.mark.slow
def test_the_log_mel_baseline_trains_saves_and_exports(corpora, tmp_path):
    options = {**SHORT, **FOUR, "tagger": LOGMEL, "epochs": 1}
    folder = run("logmel", tmp_path / "run", corpora=corpora, **options)
    model, description = load_tagger(folder)
    assert description["kind"] == "logmel" and isinstance(model, LogMelTagger)
    tagger = export_onnx(model, tmp_path / "logmel.onnx", LABELS)
    waves = [np.random.default_rng(0).standard_normal(n).astype(np.float32) for n in (1, 321, 20_000)]
    assert largest_difference(model, tagger, waves) < 1e-4
    opened = open_tagger(tmp_path / "run")
    assert opened.labels == tuple(LABELS)
    assert opened.posteriors(waves[2][None]) == pytest.approx(tagger.posteriors(waves[2][None]), abs=1e-4)


@pytest.mark.parametrize("samples", [1, 320, 321, 9999])
def test_log_mel_gives_a_frame_per_started_20_ms(samples, tmp_path):
    torch.manual_seed(0)
    model = LogMelTagger(LABELS, head_width=8).eval()
    waves = torch.randn(2, samples)
    assert model(waves).shape == (2, frame_count(samples), 4)
    save_tagger(model, tmp_path, LABELS, {})
    assert torch.equal(load_tagger(tmp_path)[0](waves), model(waves))
    with pytest.raises(ModelError, match="no encoder to load"):
        model.load_encoder("x")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Two consistent corpora, and a third with other pitches, which cannot be predicted from them."""
    folder = make_corpora(tmp_path_factory.mktemp("loco"), ("one", "two"))
    odd = make_corpora(folder / "odd", ("odd",), shift=2.1)
    rows = (odd / "manifest.csv").read_text().splitlines()[1:]
    moved = [row.replace("odd,", "odd,odd/", 1) for row in rows]
    (folder / "manifest.csv").write_text((folder / "manifest.csv").read_text() + "\n".join(moved) + "\n")
    return folder


@pytest.mark.slow
def test_each_corpus_is_left_out_once_and_scored_in_the_table(mixed, tmp_path):
    from tones import ROOT

    options = {**SHORT, **FOUR, "head_rate": 0.02, "epochs": 3, "epoch_steps": 20, "steps": 60}
    overrides = ", ".join(f"{key}: {value}" for key, value in options.items())
    arguments = {
        "corpora": mixed,
        "base": ROOT / "hparams" / "logmel.yaml",
        "overrides": f"{{{overrides}, tagger: {LOGMEL}}}",
        "valid_clips": 8,
        "draws": 200,
    }
    path = run("leave_one_out", tmp_path, **arguments)
    lines = path.read_text().splitlines()
    scores = json.loads((tmp_path / "table.json").read_text())
    assert list(scores) == ["one", "two", "odd"]
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["one", "two", "odd", "mean"]
    for corpus in scores:
        copy = (tmp_path / corpus / "hyperparams.yaml").read_text()
        assert re.search(rf"^leave_out:.*\n(\s*\n|#.*\n)*- {corpus}$", copy, re.MULTILINE)
        assert scores[corpus]["utterances"] == 8, "training and validation speakers of the corpus left out"
        calibration = scores[corpus]["calibration"]
        assert len(calibration["offsets"]) == 4 and calibration["temperature"] != 1
        low, high = scores[corpus]["interval"]
        assert low <= scores[corpus]["uar"] <= high
    assert min(scores["one"]["uar"], scores["two"]["uar"]) > scores["odd"]["uar"]
    before = {corpus: (tmp_path / corpus / "valid.log").read_text() for corpus in scores}
    (tmp_path / "odd" / "score.json").unlink()
    assert run("leave_one_out", tmp_path, **arguments).read_text() == path.read_text()
    assert {corpus: (tmp_path / corpus / "valid.log").read_text() for corpus in scores} == before, (
        "no training was repeated"
    )
    with pytest.raises(OptionError, match=r"found \['one', 'two', 'odd'\]"):
        run("leave_one_out", tmp_path, **arguments, left_out="[three]")
    with pytest.raises(
        OptionError, match=r"one/score\.json was made with draws 200, found 100: expected the"
    ):
        run("leave_one_out", tmp_path, **{**arguments, "draws": 100})
    older = json.loads((tmp_path / "one" / "score.json").read_text())
    del older["options"]
    (tmp_path / "one" / "score.json").write_text(json.dumps(older))
    # A score without options is accepted.
    run("leave_one_out", tmp_path, **{**arguments, "draws": 100}, left_out="one")


@pytest.mark.slow
def test_a_corpus_with_nothing_to_score_is_refused_before_training(mixed, tmp_path):
    rows = (mixed / "manifest.csv").read_text().splitlines()
    kept = mixed / "fewer.csv"
    kept.write_text("\n".join(row for row in rows if not row.startswith("two,two-valid")) + "\n")
    with pytest.raises(OptionError, match=r"found \['one', 'odd'\] with utterances in splits \['valid'\]"):
        run("leave_one_out", tmp_path, corpora=kept, splits="valid", left_out="[one, two]")
    assert not (tmp_path / "one").exists()


@pytest.mark.slow
def test_a_corpus_left_out_does_not_affect_training(mixed, tmp_path):
    options = {**SHORT, **FOUR, "tagger": LOGMEL, "epochs": 1, "epoch_steps": 1, "corpora": mixed}
    run("logmel", tmp_path / "monitored", **options, leave_out="[odd]")
    assert "odd" in (tmp_path / "monitored" / "valid.log").read_text()
    run("logmel", tmp_path / "selecting", **options, leave_out="[odd]", keep="uar")
    assert "odd" not in (tmp_path / "selecting" / "valid.log").read_text()


def test_intervals_narrow_with_the_number_of_utterances():
    few, many = (recall_interval(np.array([[8, 2], [3, 7]]) * k, 2000, 0) for k in (1, 100))
    assert few[0] < many[0] < 0.75 < many[1] < few[1]
    deviation = np.sqrt(0.25 * (0.8 * 0.2 + 0.7 * 0.3) / 1000)
    assert many[1] - many[0] == pytest.approx(2 * 1.96 * deviation, rel=0.1)
    assert recall_interval(np.array([[4, 0], [0, 0]]), 50, 0) == (1.0, 1.0), "a label that does not occur"


def test_a_label_without_utterances_has_a_dash():
    score = {
        "uar": 0.5,
        "interval": (0.25, 0.75),
        "utterances": 3,
        "recall": {"sad": None},
        "pattern_error": None,
    }
    assert "| - | - |" in table({"x": score}) and "| x | 3 | 50.0 | 25.0-75.0 |" in table({"x": score})
