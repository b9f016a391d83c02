"""SpeechBrain's own options on the command line of a recipe: arguments in, its run options out.

Options that recipes replace by a key, or do not support, are rejected: SpeechBrain would accept and ignore them, or
interpret them differently.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from sed.errors import OptionError

_REPLACEMENTS = {
    "test_only": "sed-run --tagger FOLDER: recipes only train",
    "max_grad_norm": "the recipe's key clip_norm",
    "optimizer_step_limit": "the recipe's key steps",
    "ckpt_interval_steps": "a smaller epoch_steps: checkpoints come after each epoch",
    "ckpt_interval_minutes": "a smaller epoch_steps: checkpoints come after each epoch",
    "remove_vector_weight_decay": "the recipe's key weight_decay",
    "eval_precision": "nothing: validation is in single precision",
    "data_parallel_backend": "torchrun, which starts a process for each GPU",
    "jit": "compile",
    "jit_module_keys": "compile",
}


def parse_run_options(recipe: str, arguments: Sequence[str]) -> dict[str, Any]:
    """SpeechBrain's run options for `recipe` from `arguments`; on CPUs the distributed backend defaults to gloo.
    Raises `OptionError` on invalid values."""
    import speechbrain as sb
    import torch

    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):  # suppress argparse's usage message of about 36 options
            _, options, stray = sb.parse_arguments([recipe, *arguments])
    except SystemExit:
        raise OptionError(messages.getvalue().strip().rpartition("error: argument ")[2]) from None
    if stray:
        raise OptionError(f"found the arguments {' '.join(stray.split())}, expected --key value")
    found = dict(options)
    on_cpu = not torch.cuda.is_available() or str(found["device"]).startswith("cpu")
    if "distributed_backend" not in found["overridden_args"] and on_cpu:
        found["distributed_backend"] = "gloo"
    return found


def check_run_options(options: Mapping[str, Any]) -> None:
    """Raise `OptionError` if `options` contain one that recipes do not support.

    >>> check_run_options({"debug": True, "max_grad_norm": 5.0})
    >>> check_run_options({"max_grad_norm": 1.0})
    Traceback (most recent call last):
    ...
    sed.errors.OptionError: max_grad_norm: not an option of sed's recipes, expected the recipe's key clip_norm
    """
    import speechbrain as sb

    defaults = sb.utils.run_opts.RunOptions().as_dict()
    given = options.get("overridden_args") or ()
    for key, replacement in _REPLACEMENTS.items():
        if key in given or options.get(key, defaults[key]) != defaults[key]:
            raise OptionError(f"{key}: not an option of sed's recipes, expected {replacement}")


def is_debug_run(options: Mapping[str, Any]) -> bool:
    """Whether a run's results are discarded: SpeechBrain's debug mode, a few batches of a few epochs."""
    return bool(options.get("debug")) and not options.get("debug_persistently")


def with_output_folder(changes: str, folder: str) -> str:
    """`changes` to a recipe (YAML) with the output folder `folder`, so that a run of a few steps does not overwrite a
    trained tagger."""
    from ruamel.yaml import YAML

    yaml = YAML()
    values = yaml.load(changes) or {}
    values["output_folder"] = folder
    text = io.StringIO()
    yaml.dump(values, text)
    return text.getvalue()
