"""Invalid options are refused before training starts."""

import pytest
from hyperpyyaml import resolve_references
from tones import LABELS, ROOT, SHORT, make_corpora, run

from sed.errors import OptionError
from sed.networks.logmel import LogMelTagger
from sed.training.adapt import trainable_parts
from sed.training.data.unlabelled import audio_files
from sed.training.objectives.weak_labels import WeakLabels
from sed.training.recipe.checks import check_recipe, check_schedule, check_scores
from sed.training.recipe.stored_run import plain_values
from sed.training.train import sb

TINY = {**SHORT, "trained_labels": "[neutral, happy, angry, sad, bored]"}
TINY |= {"tagger": "{head_width: 16, dilations: [1], spec_augment: 0}", "valid_clips": 2}
TINY |= {"steps": 2, "epoch_steps": 2, "epochs": 1, "clips": "{length: [1.0, 1.0], batch_seconds: 4.0}"}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return make_corpora(tmp_path_factory.mktemp("checks-corpora"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"leave_out": "[ones]"}, "leave_out: found ones, expected some of one, two"),
        ({"leave_out": "twofold"}, "leave_out: found twofold, expected"),
        ({"keep": "ura"}, "keep: found 'ura', expected last or one of uar, nll, pattern_error"),
        (
            {"labels": "[neutral, hapy]"},
            "labels: found hapy, expected some of the trained_labels neutral, happy",
        ),
        ({"labels": "[neutral, happy, happy]"}, "labels: found neutral, happy, happy, expected each once"),
        ({"labels": "[neutral]"}, "labels: found neutral only, expected two or more"),
        (
            {"trained_labels": "[neutral, happy, sad, sad]", "labels": "[sad, happy]"},
            "trained_labels: found neutral, happy, sad, sad, expected each once",
        ),
        ({"keep": "pattern_error", "valid_clips": 0}, "valid_clips: found 0, expected 1 or more to compute"),
        ({"labels": "[neutral, bored]"}, "labels: found no utterance of bored, expected"),
    ],
)
def test_invalid_names_are_refused(corpora, tmp_path, changes, message):
    with pytest.raises(OptionError, match=message):
        run("logmel", tmp_path, **{"corpora": corpora, **TINY, **changes})
    assert not (tmp_path / "tagger").exists()


def moved_rows(corpora):
    """The lines of the manifest with paths for a file in another folder."""
    header, *rows = (corpora / "manifest.csv").read_text().splitlines()
    return [header, *(row.replace(",", f",{corpora}/", 1) for row in rows)]


@pytest.mark.slow
def test_emotions_that_are_not_labels_are_reported(corpora, tmp_path, capsys):
    rows = moved_rows(corpora)
    rows[-1] = rows[-1].replace(",sad,", ",Sadd,")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    changes = {
        **TINY,
        "corpora": tmp_path,
        "trained_labels": "[neutral, angry, sad]",
        "labels": "[neutral, sad]",
    }
    run("logmel", tmp_path / "out", **changes)
    output = capsys.readouterr().out  # SpeechBrain has set up logging by then
    warning = (
        "ignored utterances of emotions that are not labels: 1 of 'Sadd' (did you mean sad?), 4 of 'happy'"
    )
    assert f"{warning}\n" in output


@pytest.mark.slow
def test_without_pattern_clips_no_speaker_needs_two_emotions(corpora, tmp_path):
    kept = [row for row in moved_rows(corpora) if ",valid,neutral," not in row]
    (tmp_path / "manifest.csv").write_text("\n".join(kept))
    changes = {**TINY, "corpora": tmp_path}
    with pytest.raises(
        OptionError, match=r"found no speaker of one \(valid\), two \(valid\) with both neutral and"
    ):
        run("logmel", tmp_path / "no", **changes)
    run("logmel", tmp_path / "out", **{**changes, "valid_clips": 0})
    assert "patterns" not in (tmp_path / "out" / "valid.log").read_text()
    with pytest.raises(
        OptionError, match="valid_clips: found 0, expected 1 or more to compute pattern_error"
    ):
        run("logmel", tmp_path / "never", **{**changes, "valid_clips": 0, "keep": "pattern_error"})


@pytest.mark.slow
def test_a_single_value_is_a_list_of_one(corpora, tmp_path):
    assert [p.suffix for p in audio_files(str(corpora))] == [".wav"] * 16
    assert audio_files(corpora) == audio_files([str(corpora)])
    assert WeakLabels(1.0, corpora="one").corpora == {"one"}
    tagger = LogMelTagger(LABELS)
    assert trainable_parts(tagger, "classifier") == sum(p.numel() for p in tagger.classifier.parameters())
    with pytest.raises(OptionError, match=r"corpora to leave out \['three'\]: found \['one', 'two'\]"):
        run("leave_one_out", tmp_path, corpora=corpora, left_out="three")
    with pytest.raises(OptionError, match="labels: found calm, expected"):
        run("logmel", tmp_path, corpora=corpora, **{**TINY, "labels": "calm"})
    run("logmel", tmp_path / "less", corpora=corpora, **{**TINY, "leave_out": "two", "keep": "uar"})
    assert "two" not in (tmp_path / "less" / "valid.log").read_text()


@pytest.mark.slow
def test_epochs_beyond_the_steps_are_refused(corpora, tmp_path):
    with pytest.raises(OptionError, match=r"3 epochs of epoch_steps 2 are more than steps 5.* at least 6$"):
        run("logmel", tmp_path, corpora=corpora, **{**TINY, "epochs": 3, "steps": 5})


def test_steps_with_gradient_accumulation_and_too_few_epochs(caplog):
    counter = sb.utils.epoch_loop.EpochCounter(2)
    check_schedule({"epoch_counter": counter, "epoch_steps": 6, "steps": 4}, {"grad_accumulation_factor": 3})
    assert not caplog.records
    with pytest.raises(OptionError, match=r"6, 3 per step, are more than steps 3, .* at least 4$"):
        check_schedule(
            {"epoch_counter": counter, "epoch_steps": 6, "steps": 3}, {"grad_accumulation_factor": 3}
        )
    check_schedule({"epoch_counter": counter, "epoch_steps": 6, "steps": 20}, {})
    assert "2 epochs of epoch_steps 6 are fewer than steps 20" in caplog.text


def test_the_steps_of_the_recipes_match_their_epochs():
    for recipe in (ROOT / "hparams").glob("*.yaml"):
        values = plain_values(resolve_references(recipe.read_text()).getvalue())
        if "epochs" in values and "steps" in values:
            assert values["epochs"] * values["epoch_steps"] == values["steps"], recipe


@pytest.mark.slow
@pytest.mark.parametrize(
    ("positions", "length", "message"),
    [
        (100, 2.5, r"clips\.length: found 2\.5 s, expected at most the 2\.0 s \(100 positions\)"),
        (249, 2.0, r"card\.window: found 5\.0 s, expected at most the 4\.98 s \(249 positions\)"),
    ],
)
def test_clips_and_windows_longer_than_the_positions_are_refused(
    corpora, tmp_path, positions, length, message
):
    changes = {"tagger": f"{{head_width: 16, dilations: [1], positions: {positions}}}"}
    changes["clips"] = f"{{length: [1.0, {length}], batch_seconds: 4.0}}"
    with pytest.raises(OptionError, match=message):
        run("logmel", tmp_path, corpora=corpora, **{**TINY, **changes})
    assert not (tmp_path / "tagger").exists()


def test_betas_are_two_numbers_below_1():
    check_recipe({"betas": [0.9, 0.98], "head_rate": 0.1, "other": "words"})
    for betas in (0.9, [0.9], [0.9, 1.0], ["a", "b"]):
        with pytest.raises(OptionError, match=r"betas: found .*, expected two numbers from 0 to less than 1"):
            check_recipe({"betas": betas})


def test_an_unknown_annealing_score_is_refused():
    check_scores({"annealing_score": "loss"})
    with pytest.raises(OptionError, match="annealing_score: found 'loss', expected one of uar"):
        check_scores({"annealing_score": "loss", "annealing": object()})
