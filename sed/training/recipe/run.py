"""Running recipes: a YAML file of `hparams/` and changes to it in, the trained tagger's folder out.

A recipe is HyperPyYAML with an entry ``recipe``, the training function, called with the hyperparameters and
SpeechBrain's run options. The hyperparameters used are written to the output folder.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sed.errors import OptionError, SedError
from sed.training.recipe.command_line import (
    check_changes,
    check_device,
    check_precision,
    one_line,
    split_arguments,
)
from sed.training.recipe.run_options import (
    check_run_options,
    is_debug_run,
    parse_run_options,
    with_temporary_folder,
)
from sed.training.recipe.stored_run import check_stored_run, plain_values


def run_command(arguments: Sequence[str]) -> Path:
    """Run a command line: a recipe, then ``--key value`` changes and SpeechBrain's own options.

    Raises `OptionError` if the recipe is missing or has no entry point, and on options that recipes do not support.
    """
    import speechbrain as sb
    import torch

    import sed.networks  # noqa: F401  (torchaudio imports after this)

    _check_exists(arguments[0])
    # SpeechBrain's own parser would cut values at `=` and append unknown arguments to the preceding value.
    overrides, passed = split_arguments(arguments[1:], set(sb.utils.run_opts.RunOptions().as_dict()))
    run_options = parse_run_options(arguments[0], passed)
    check_device(run_options["device"])
    check_precision(run_options["device"] or sb.utils.distributed.infer_device(), run_options["precision"])
    try:
        sb.utils.distributed.ddp_init_group(run_options)
    except (ValueError, RuntimeError) as error:
        # Too few GPUs, a port in use, a process that does not start.
        raise OptionError(f"cannot train in several processes: {one_line(error)}") from error
    folder = run_recipe(arguments[0], overrides, run_options)
    if torch.distributed.is_initialized():
        # Exit together; otherwise the last process may see the others as failed.
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    return folder


def run_recipe(
    recipe: str | Path,
    overrides: str | Mapping[str, Any] | None = None,
    run_options: Mapping[str, Any] | None = None,
) -> Path:
    """Run `recipe` with `overrides` (a mapping, or YAML text) and SpeechBrain's `run_options`; returns the result of
    its training function.

    In SpeechBrain's debug mode everything is written to a temporary folder, except with ``debug_persistently``.

    Raises `OptionError` if the output folder holds a run with other hyperparameters (`check_stored_run`), and on
    run options that recipes do not support (`check_run_options`).
    """
    import speechbrain as sb
    import yaml

    import sed.networks  # noqa: F401  (torchaudio imports after this)

    _check_exists(recipe)
    check_run_options(run_options or {})
    changes = overrides if isinstance(overrides, str) else yaml.safe_dump(dict(overrides or {}))
    if is_debug_run(run_options or {}):
        changes = with_temporary_folder(changes)
    hparams = _load(recipe, changes)
    if not callable(hparams.get("recipe")) or not isinstance(hparams.get("output_folder"), str):
        raise OptionError(
            f"{recipe}: found no entry `recipe` or `output_folder`, expected the training function and a folder"
        )
    sb.utils.distributed.ddp_barrier()  # every process checks the folder before one writes
    try:
        sb.create_experiment_directory(
            experiment_directory=hparams["output_folder"], hyperparams_to_save=str(recipe), overrides=changes
        )
    except OSError as error:
        raise OptionError(f"cannot write to the output folder: {one_line(error)}") from error
    logging.getLogger("sed").setLevel(logging.INFO)
    return hparams["recipe"](hparams, dict(run_options or {}))


def _load(recipe: str | Path, changes: str) -> dict[str, Any]:
    """The hyperparameters, after checking the changes, also against a run already in the output folder."""
    import ruamel.yaml
    import yaml
    from hyperpyyaml import load_hyperpyyaml, resolve_references

    from sed.training.recipe.checks import check_recipe

    try:
        with open(recipe, encoding="utf-8") as file:
            values = plain_values(resolve_references(file).getvalue())
        if not isinstance(values, dict):
            raise OptionError(
                f"{recipe}: found no keys with values, expected a recipe such as hparams/compact.yaml"
            )
        check_changes(str(recipe), values, ruamel.yaml.YAML().load(changes) or {})
        with open(recipe, encoding="utf-8") as file:
            check_stored_run(resolve_references(file, changes).getvalue())
        with open(recipe, encoding="utf-8") as file:
            hparams: dict[str, Any] = load_hyperpyyaml(file, changes)
        check_recipe(hparams)
    except SedError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OSError) as error:
        raise OptionError(f"{recipe}: {one_line(error)}") from error
    except (yaml.YAMLError, ruamel.yaml.YAMLError) as error:
        raise OptionError(f"{recipe}: expected YAML: {one_line(error)}") from error
    return hparams


def _check_exists(recipe: str | Path) -> None:
    if not Path(recipe).is_file():
        raise OptionError(f"no recipe {recipe}: expected a YAML file such as hparams/compact.yaml")
