"""`sed-train --help` lists the recipes, `sed-train RECIPE --help` the keys; recipes are found by name anywhere."""

import pytest
from click.testing import CliRunner

from sed.cli import train
from sed.errors import OptionError
from sed.training.recipe.catalog import FOLDER, find_recipe, keys, recipe_names


def help_of(*arguments):
    result = CliRunner().invoke(train.main, [*arguments, "--help"])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_help_lists_every_recipe():
    text = help_of()
    listed = text[text.index("Recipes:") :]
    names = {path.stem for path in FOLDER.glob("*.yaml")}
    assert {"zed", "compact", "adapt"} <= names == set(recipe_names())
    assert all(f"\n  {name} " in listed for name in names)


@pytest.mark.parametrize("name", recipe_names())
def test_the_help_of_a_recipe_lists_its_keys(name):
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("", lambda loader, suffix, node: None)
    values = yaml.load((FOLDER / f"{name}.yaml").read_text(), Loader)
    expected = {key for key in values if not key.startswith("__")} - {
        "recipe",
        "checkpointer",
        "epoch_counter",
    }
    assert {key for key, _, _ in keys(FOLDER / f"{name}.yaml") if "." not in key} == expected
    text = help_of(name)
    assert all(f"--{key}" in text for key in expected)


def test_defaults_comments_and_options_of_objects_are_shown():
    text = help_of("hparams/zed.yaml")
    assert "--split_by speaker" in text and "paper: clip" in text
    assert "--clips_once.batch_clips 2" in text


def test_recipes_are_found_by_name_where_there_is_no_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("zed", "hparams/zed.yaml"):
        assert find_recipe(name).resolve() == (FOLDER / "zed.yaml").resolve()
    (tmp_path / "hparams").mkdir()
    (tmp_path / "hparams" / "zed.yaml").write_text("seed: 1\n")
    assert find_recipe("hparams/zed.yaml").read_text() == "seed: 1\n"
    with pytest.raises(OptionError, match=r"no recipe compat: .*: did you mean compact\?"):
        find_recipe("compat")
    with pytest.raises(OptionError, match=r"no recipe other/zed\.yaml: expected a YAML file"):
        find_recipe("other/zed.yaml")
