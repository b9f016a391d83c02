"""SpeechBrain's own options on the command line of a recipe: words in, its run options out.

What a recipe has a key of its own for, or cannot do, is refused: SpeechBrain would take the word and do nothing, or
something else.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from sed.errors import OptionError

_INSTEAD = {
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


def parse_run_options(recipe: str, words: Sequence[str]) -> dict[str, Any]:
    """SpeechBrain's run options for `recipe` as `words` say; processes that learn on processors talk through gloo.
    Raises `OptionError` on what they cannot be."""
    import speechbrain as sb
    import torch

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # argparse would print its usage, three dozen options long
            _, options, stray = sb.parse_arguments([recipe, *words])
    except SystemExit:
        raise OptionError(said.getvalue().strip().rpartition("error: argument ")[2]) from None
    if stray:
        raise OptionError(f"found the words {' '.join(stray.split())}, expected --key value")
    found = dict(options)
    on_processors = not torch.cuda.is_available() or str(found["device"]).startswith("cpu")
    if "distributed_backend" not in found["overridden_args"] and on_processors:
        found["distributed_backend"] = "gloo"
    return found


def check_run_options(options: Mapping[str, Any]) -> None:
    """Raise `OptionError` where `options` have one that a recipe does not follow.

    >>> check_run_options({"debug": True, "max_grad_norm": 5.0})
    >>> check_run_options({"max_grad_norm": 1.0})
    Traceback (most recent call last):
    ...
    sed.errors.OptionError: max_grad_norm: not an option of sed's recipes, expected the recipe's key clip_norm
    """
    import speechbrain as sb

    usual = sb.utils.run_opts.RunOptions().as_dict()
    given = options.get("overridden_args") or ()
    for key, instead in _INSTEAD.items():
        if key in given or options.get(key, usual[key]) != usual[key]:
            raise OptionError(f"{key}: not an option of sed's recipes, expected {instead}")


def is_trial(options: Mapping[str, Any]) -> bool:
    """Whether nothing of a run is to stay: SpeechBrain's debug mode, a few batches of a few epochs."""
    return bool(options.get("debug")) and not options.get("debug_persistently")


def elsewhere(changes: str) -> str:
    """`changes` to a recipe, YAML, with a temporary folder for what it writes: a trial in the folder of a trained
    tagger must not put four steps in the place of thousands."""
    from ruamel.yaml import YAML

    yaml = YAML()
    values = yaml.load(changes) or {}
    values["output_folder"] = tempfile.mkdtemp(prefix="sed-debug-")
    text = io.StringIO()
    yaml.dump(values, text)
    return text.getvalue()
