"""Recipes: a YAML file of `hparams/` and changes to it in, the trained tagger's folder out.

A recipe is HyperPyYAML with an entry ``recipe``, the function that trains, called with the hyperparameters and
SpeechBrain's run options. The hyperparameters used are written beside the results.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sed.errors import OptionError
from sed.training.stored_run import check_stored_run


def run_command(arguments: Sequence[str]) -> Path:
    """Run what the command line says: a recipe, then ``--key value`` changes and SpeechBrain's own options.

    Raises `OptionError` where the recipe is missing or has no entry point.
    """
    from sed._torchaudio import allow_missing_extension

    allow_missing_extension()
    import speechbrain as sb

    _check(arguments[0])
    recipe, run_options, overrides = sb.parse_arguments(list(arguments))
    sb.utils.distributed.ddp_init_group(run_options)
    return run_recipe(recipe, overrides, run_options)


def run_recipe(
    recipe: str | Path,
    overrides: str | Mapping[str, Any] | None = None,
    run_options: Mapping[str, Any] | None = None,
) -> Path:
    """Run `recipe` with `overrides` (a mapping, or YAML text); returns what its function returns.

    Raises `OptionError` where the output folder holds a run with other hyperparameters (`check_stored_run`).
    """
    from sed._torchaudio import allow_missing_extension

    allow_missing_extension()
    import speechbrain as sb
    import yaml
    from hyperpyyaml import load_hyperpyyaml, resolve_references

    _check(recipe)
    changes = overrides if isinstance(overrides, str) else yaml.safe_dump(dict(overrides or {}))
    if sb.utils.distributed.if_main_process():
        with open(recipe, encoding="utf-8") as file:
            check_stored_run(resolve_references(file, changes, overrides_must_match=True).getvalue())
    with open(recipe, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, changes)
    if not callable(hparams.get("recipe")):
        raise OptionError(f"{recipe}: found no entry `recipe`, expected the function that trains")
    sb.create_experiment_directory(
        experiment_directory=hparams["output_folder"], hyperparams_to_save=str(recipe), overrides=changes
    )
    logging.getLogger("sed").setLevel(logging.INFO)
    return hparams["recipe"](hparams, dict(run_options or {}))


def _check(recipe: str | Path) -> None:
    if not Path(recipe).is_file():
        raise OptionError(f"no recipe {recipe}: expected a YAML file such as hparams/compact.yaml")
