"""The paper's recipe on a tiny random WavLM: it learns, resumes, freezes parts, and ignores padding."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tiny_encoders import transformers_model
from tones import LABELS, log, losses, make_corpora, run

from sed.cli import run as run_command_line
from sed.errors import OptionError
from sed.networks.store import load_tagger
from sed.training.data.clips import ClipOptions, ClipSampler
from sed.training.recipe.run import run_recipe

OPTIONS = {
    "epoch_steps": 20,
    "valid_clips": 8,
    "head_rate": 0.02,
    "encoder_rate": 0.002,
    "clips": "{length: [1.0, 3.0]}",
}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return make_corpora(tmp_path_factory.mktemp("wavlm-corpora"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A folder in the format of transformers."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("wavlm-tiny")
    transformers_model("wavlm-large").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def full_run(corpora, encoder, tmp_path_factory):
    output = tmp_path_factory.mktemp("wavlm-whole")
    return output, run("wavlm_large", output, corpora=corpora, encoder=encoder, epochs=3, **OPTIONS)


@pytest.mark.slow
def test_it_learns_and_keeps_the_best_epoch(full_run):
    output, folder = full_run
    found = losses(output)
    assert len(found) == 3 and found[-1] < 0.8 * found[0]
    errors = [float(line.split("patterns")[1]) for line in log(output)]
    model, description = load_tagger(folder)
    assert description["kind"] == "encoder" and description["labels"] == LABELS
    assert not model.training and min(errors) < 60
    text = (output / "hyperparams.yaml").read_text()
    assert "epoch_steps: 20" in text and "Generated" in text


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(corpora, encoder, full_run, tmp_path):
    for epochs in (1, 3):
        folder = run("wavlm_large", tmp_path, corpora=corpora, encoder=encoder, epochs=epochs, **OPTIONS)
    resumed, expected = load_tagger(folder)[0].state_dict(), load_tagger(full_run[1])[0].state_dict()
    assert log(tmp_path) == log(full_run[0])
    for name, value in expected.items():
        assert torch.equal(resumed[name], value), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "trained", "frozen"),
    [
        ({}, ("layers.0.", "layers.1.", "classifier"), ("feature_extractor",)),
        ({"frozen_layers": 1}, ("layers.1.", "classifier"), ("layers.0.", "feature_extractor")),
        (
            {"frozen_layers": -1, "layer_states": "sum"},
            ("layer_weights", "classifier"),
            ("layers.0.", "layers.1."),
        ),
        ({"lora_rank": 2}, ("q_proj.weight", "classifier"), ("k_proj.weight", "feature_extractor")),
    ],
)
def test_trainable_parts_are_an_option(corpora, encoder, tmp_path, options, trained, frozen):
    folder = run(
        "wavlm_large", tmp_path, corpora=corpora, encoder=encoder, **{**OPTIONS, "epoch_steps": 2}, epochs=1,
        **options,
    )  # fmt: skip
    model, _ = load_tagger(folder)
    torch.manual_seed(0)
    before = type(model)(LABELS, encoder, **{k: v for k, v in asdict(model.config).items() if k != "encoder"})
    before.load_encoder(encoder)
    old = before.state_dict()
    changed = {n for n, v in model.state_dict().items() if not torch.equal(v, old[n])}
    for part in trained:
        assert any(part in name for name in changed), part
    for part in frozen:
        assert any(part in name for name in old) and not any(part in name for name in changed), part
    assert not any("lora" in name for name in old), "low-rank updates are merged before saving"


def speech(lengths):
    from pathlib import Path

    from sed.corpora.audio import Utterance

    rows = []
    for number, (label, seconds) in enumerate(lengths):
        utterance = Utterance("c", Path(), "s", label, "train")
        rows.append((utterance, np.full(int(16_000 * seconds), 1000 * (number + 1), np.int16)))
    return rows


def test_whole_clips_are_padded_and_padding_has_no_target_and_no_effect(encoder):
    from sed.networks.pretrained import EncoderTagger
    from sed.training.data.augment import Augmentation

    none = Augmentation(
        speed=0, reverberation=0, noise=0, equaliser=0, telephone=0, clipping=0, gain_range=(0, 0)
    )
    options = ClipOptions(
        length=(1, 15), batch_clips=4, whole=True, pattern_share=1.0, gap=(0, 0), level_spread=0
    )
    rows = speech([("neutral", 0.8), ("happy", 1.5), ("sad", 0.7)])
    sampler = ClipSampler(rows, LABELS, LABELS, options, none)
    batch = next(b for b in map(sampler.batch, range(20)) if len(set(b.lengths)) > 1)
    for wave, targets, length in zip(batch.waves, batch.targets, batch.lengths, strict=True):
        frames = -(-length // 320)
        assert (targets[:frames] >= 0).all() and (targets[frames:] == -1).all()
        assert not wave[length:].any() and np.mean(wave[:length] != 0) > 0.99, "except for fades at joints"
    torch.manual_seed(0)
    tagger = EncoderTagger(LABELS, encoder, norm="clip", layers="last").eval()
    waves = torch.from_numpy(batch.waves + 0.01 * np.random.default_rng(0).standard_normal(batch.waves.shape))
    waves = waves.float()
    row = int(batch.lengths.argmin())
    frames = -(-int(batch.lengths[row]) // 320)
    waves[row, batch.lengths[row] :] = 0
    with torch.no_grad():
        together = tagger(waves, torch.from_numpy(batch.lengths))[row, :frames]
        alone = tagger(waves[row : row + 1, : batch.lengths[row]])[0]
    assert torch.allclose(together, alone, atol=1e-4)


def test_patterns_are_the_papers_four_in_equal_shares():
    options = ClipOptions(
        length=(1, 15), batch_clips=200, whole=True, pattern_share=1.0, neutral_weight=0.0, gap=(0, 0)
    )
    rows = speech([(label, 0.5) for label in LABELS])
    counts = {}
    for events in ClipSampler(rows, LABELS, LABELS, options).batch(0).events:
        name = "".join("n" if event.label == "neutral" else "e" for event in events)
        counts[name] = counts.get(name, 0) + 1
    assert set(counts) == {"ne", "en", "nen", "e"} and min(counts.values()) > 30


@pytest.mark.slow
def test_newbob_lowers_all_rates_and_survives_a_resume(corpora, encoder, tmp_path):
    output = tmp_path / "run"
    # With zero rates nothing improves, so each epoch after the first must lower the factor.
    constant = {**OPTIONS, "epoch_steps": 1, "head_rate": 0.0, "encoder_rate": 0.0}
    for epochs in (2, 4):
        run("wavlm_large", output, corpora=corpora, encoder=encoder, epochs=epochs, **constant)
    saved = sorted((output / "save").glob("CKPT*/annealing.ckpt"), key=lambda p: p.stat().st_mtime)
    values = torch.load(saved[-1], weights_only=False)
    assert values["hyperparam_value"] == pytest.approx(0.9**3) and len(values["metric_values"]) == 4
    optimizer = torch.load(saved[-1].with_name("optimizer.ckpt"), weights_only=False)
    assert {group["lr"] for group in optimizer["param_groups"]} == {0.0}


@pytest.mark.slow
def test_padding_is_refused_for_a_tagger_without_lengths(corpora, tmp_path):
    from tones import SHORT, TINY_COMPACT

    with pytest.raises(OptionError, match="whole: False"):
        run(
            "compact",
            tmp_path,
            corpora=corpora,
            encoder_weights="",
            trained_labels="[neutral, happy, angry, sad]",
            tagger=TINY_COMPACT,
            **{**SHORT, "clips": "{length: [1.0, 2.0], whole: True, batch_clips: 2}"},
        )


@pytest.mark.slow
def test_each_branch_is_refused_for_a_tagger_without_branches(corpora, tmp_path):
    from tones import ROOT

    logmel = (ROOT / "hparams" / "logmel.yaml").read_text()
    (tmp_path / "recipe.yaml").write_text(logmel + "\neach_branch: True\n")
    with pytest.raises(OptionError, match="LogMelTagger has no branches: expected each_branch: False"):
        run_recipe(tmp_path / "recipe.yaml", {"corpora": str(corpora), "output_folder": str(tmp_path)})


@pytest.mark.slow
def test_stored_hyperparameters_reproduce_the_run(full_run, tmp_path):
    text = (full_run[0] / "hyperparams.yaml").read_text()
    (tmp_path / "copy.yaml").write_text(text.replace(str(full_run[0]), str(tmp_path / "again")))
    again = run_recipe(tmp_path / "copy.yaml")
    first, second = (json.loads((f / "tagger.json").read_text()) for f in (full_run[1], again))
    assert first == second and log(tmp_path / "again") == log(full_run[0])


@pytest.mark.slow
def test_sed_run_accepts_the_output_folder_and_the_tagger_folder(full_run, data, tmp_path):
    outputs = []
    for number, folder in enumerate(full_run):
        target = tmp_path / f"{number}.json"
        arguments = [str(data / "emodb_15_happy_1.flac"), "--tagger", str(folder), "-o", str(target)]
        result = CliRunner().invoke(run_command_line.main, arguments)
        assert result.exit_code == 0, result.output
        outputs.append(target.read_text())
    assert outputs[0] == outputs[1] and any(label in outputs[0] for label in LABELS)
