"""Running recipes: a YAML file of `hparams/` and changes to it in, the trained tagger's folder out.

A recipe is HyperPyYAML with an entry ``recipe``, the training function, called with the hyperparameters and
SpeechBrain's run options. The hyperparameters used are written to the output folder.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sed.errors import OptionError, SedError
from sed.training.recipe.catalog import find_recipe
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
    with_output_folder,
)
from sed.training.recipe.seeds import run_seeds
from sed.training.recipe.stored_run import check_stored_run, plain_values

SMOKE = "--smoke"


def run_command(arguments: Sequence[str]) -> Path | None:
    """Run a command line: a recipe, then ``--key value`` changes and SpeechBrain's own options.

    With ``--seeds N`` the recipe runs with N seeds (`run_seeds`, whose table is returned); ``--smoke`` runs a few
    utterances the whole way, in a temporary folder (`sed.training.smoke`), and returns None.

    Raises `OptionError` if the recipe is missing or has no entry point, and on options that recipes do not support.
    """
    import speechbrain as sb
    import torch

    import sed.networks  # noqa: F401  (torchaudio imports after this)

    recipe = find_recipe(arguments[0])
    smoke = SMOKE in arguments[1:]
    arguments = [argument for argument in arguments if argument != SMOKE]
    # SpeechBrain's own parser would cut values at `=` and append unknown arguments to the preceding value.
    overrides, passed = split_arguments(arguments[1:], set(sb.utils.run_opts.RunOptions().as_dict()))
    changes, seeds = without_seeds(overrides)
    run_options = parse_run_options(str(recipe), passed)
    check_device(run_options["device"])
    check_precision(run_options["device"] or sb.utils.distributed.infer_device(), run_options["precision"])
    try:
        sb.utils.distributed.ddp_init_group(run_options)
    except (ValueError, RuntimeError) as error:
        # Too few GPUs, a port in use, a process that does not start.
        raise OptionError(f"cannot train in several processes: {one_line(error)}") from error
    folder: Path | None = None
    if smoke:
        smoke_test(recipe, changes, run_options)
    elif seeds is None:
        folder = run_recipe(recipe, changes, run_options)
    else:
        values = _plain(recipe, changes)
        folder = run_seeds(values, _values(changes), seeds, lambda new: run_recipe(recipe, new, run_options))
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
    import yaml

    import sed.networks  # noqa: F401  (torchaudio imports after this)

    recipe = find_recipe(recipe)
    check_run_options(run_options or {})
    changes = overrides if isinstance(overrides, str) else yaml.safe_dump(dict(overrides or {}))
    if is_debug_run(run_options or {}):
        changes = with_output_folder(changes, tempfile.mkdtemp(prefix="sed-debug-"))
    hparams = _load(recipe, changes)
    if not callable(hparams.get("recipe")) or not isinstance(hparams.get("output_folder"), str):
        raise OptionError(
            f"{recipe}: found no entry `recipe` or `output_folder`, expected the training function and a folder"
        )
    _start_experiment(recipe, changes, hparams["output_folder"])
    return hparams["recipe"](hparams, dict(run_options or {}))


def _start_experiment(recipe: Path, changes: str, folder: str) -> None:
    """Create the output folder with the hyperparameters, and log to it."""
    import speechbrain as sb

    sb.utils.distributed.ddp_barrier()  # every process checks the folder before one writes
    try:
        sb.create_experiment_directory(
            experiment_directory=folder, hyperparams_to_save=str(recipe), overrides=changes
        )
    except OSError as error:
        raise OptionError(f"cannot write to the output folder: {one_line(error)}") from error
    logging.getLogger("sed").setLevel(logging.INFO)


def smoke_test(recipe: Path, changes: str, run_options: Mapping[str, Any] | None = None) -> None:
    """Run a recipe with a few utterances and steps in a temporary folder, which is removed.

    Raises whatever keeps the recipe from running here, and `OptionError` if it has no smoke test.
    """
    import torch

    if torch.distributed.is_initialized():
        raise OptionError(f"{SMOKE}: found several processes, expected one")
    with tempfile.TemporaryDirectory(prefix="sed-smoke-") as folder:
        hparams = _load(recipe, with_output_folder(changes, folder))
        function = getattr(hparams["recipe"], "func", hparams["recipe"])  # of a partial, with arguments
        if not getattr(function, "supports_smoke", False):
            raise OptionError(f"{recipe}: found no support of {SMOKE}, expected --debug")
        _start_experiment(recipe, changes, folder)
        hparams["recipe"]({**hparams, "smoke": True}, dict(run_options or {}))


def without_seeds(changes: str) -> tuple[str, Any]:
    """`changes` (YAML) without ``seeds``, and its value; None without.

    >>> without_seeds("epochs: 2\\nseeds: 5\\n")
    ('epochs: 2\\n', 5)
    """
    import yaml

    lines = changes.splitlines(keepends=True)
    found = [line for line in lines if line.startswith("seeds:")]
    value = yaml.safe_load(found[-1])["seeds"] if found else None
    return "".join(line for line in lines if line not in found), value


def _values(changes: str) -> dict[str, Any]:
    import yaml

    try:
        return dict(yaml.safe_load(changes) or {})
    except yaml.YAMLError as error:  # a tag, such as !ref
        raise OptionError(
            f"--seeds: found {one_line(error)}, expected plain values on the command line"
        ) from error


def _plain(recipe: Path, changes: str) -> dict[str, Any]:
    """The plain values of a recipe with changes; objects are not created."""
    from hyperpyyaml import resolve_references

    with recipe.open(encoding="utf-8") as file:
        return dict(plain_values(resolve_references(file, changes).getvalue()))


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
