"""A folder with a run accepts no other run: an error names the difference, and nothing is written."""

import pytest
from tones import SHORT, make_corpora, run

from sed.errors import OptionError
from sed.training.recipe.stored_run import check_stored_run, plain_values

LOGMEL = "{head_width: 16, dilations: [1], spec_augment: 0}"
TINY = {**SHORT, "trained_labels": "[neutral, happy, angry, sad]", "tagger": LOGMEL}
TINY |= {"steps": 4, "epoch_steps": 2, "epochs": 1, "clips": "{length: [1.0, 1.0], batch_seconds: 4.0}"}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return make_corpora(tmp_path_factory.mktemp("stored-corpora"))


@pytest.fixture(scope="module")
def stored(corpora, tmp_path_factory):
    output = tmp_path_factory.mktemp("stored")
    run("logmel", output, corpora=corpora, **TINY)
    return output


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": "[neutral, angry, happy, sad]"},
            r"with labels \['neutral', 'happy', .*, found \['neutral', 'a",
        ),
        ({"trained_labels": "[sad, happy, angry, neutral]"}, "with trained_labels"),
        ({"seed": 99}, "with seed 3, found 99: expected the same or another output_folder"),
        (
            {"tagger": "{head_width: 8, dilations: [1], spec_augment: 0}"},
            r"with tagger\.head_width 16, found 8",
        ),
        ({"corpora": "elsewhere"}, "found elsewhere"),
        ({"epoch_steps": 1}, "with epoch_steps 2, found 1"),
    ],
)
def test_other_hyperparameters_are_refused_and_nothing_is_written(corpora, stored, changes, message):
    before = contents(stored)
    with pytest.raises(OptionError, match=message) as error:
        run("logmel", stored, **{"corpora": corpora, **TINY, **changes})
    assert str(stored) in str(error.value)
    assert contents(stored) == before


def test_another_kind_of_tagger_is_refused(corpora, stored):
    compact = {**TINY, "tagger": "{layers: 1, width: 16, heads: 2}", "encoder_weights": ""}
    with pytest.raises(OptionError, match="holds a run with"):
        run("compact", stored, corpora=corpora, **compact)


@pytest.mark.slow
def test_the_same_and_a_longer_run_resume(corpora, stored):
    run("logmel", stored, corpora=corpora, **TINY)
    run("logmel", stored, corpora=corpora, **{**TINY, "epochs": 2, "workers": 1})
    run("logmel", stored, corpora=corpora, **{**TINY, "epochs": 3, "steps": 6})
    assert [line.split()[1] for line in (stored / "valid.log").read_text().splitlines()] == ["2", "4", "6"]


def test_a_folder_without_a_checkpoint_or_its_hyperparameters_is_accepted(tmp_path):
    text = f"output_folder: {tmp_path}\nseed: 1\ntagger: !new:x.Y {{layers: 2}}\n"
    other = text.replace("seed: 1", "seed: 2")
    (tmp_path / "hyperparams.yaml").write_text(text)
    check_stored_run(other)
    (tmp_path / "save" / "CKPT+1").mkdir(parents=True)
    check_stored_run(text)
    with pytest.raises(OptionError, match="with seed 1, found 2"):
        check_stored_run(other)
    with pytest.raises(OptionError, match=r"with tagger !new:x\.Y, found !new:x\.Z"):
        check_stored_run(text.replace("x.Y", "x.Z"))
    for broken in (": [", "words\n"):
        (tmp_path / "hyperparams.yaml").write_text(broken)
        check_stored_run(other)
    (tmp_path / "hyperparams.yaml").unlink()
    check_stored_run(other)


def test_objects_are_their_tag_and_arguments():
    found = plain_values("a: !new:x.Y\n    b: [1, 2]\nc: !name:x.f\nd: !apply:x.g [3]\n")
    assert found == {"a": ["!new:x.Y", {"b": [1, 2]}], "c": ["!name:x.f", ""], "d": ["!apply:x.g", [3]]}
