"""The command line of a recipe: arguments in, changes to the recipe and SpeechBrain's own arguments out."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sed.errors import OptionError
from sed.training.recipe.stored_run import is_object


def split_arguments(arguments: Sequence[str], run_options: Collection[str]) -> tuple[str, list[str]]:
    """Split `arguments` into changes to a recipe, as YAML, and the arguments of SpeechBrain's `run_options`.

    A value follows its key or ``=``, and may contain ``=`` itself; a list or mapping may be several arguments.
    Raises `OptionError` on an argument without a key, a key without a value, and a value that is not YAML.

    >>> split_arguments(["--output_folder", "out/lr=0.1", "--device", "cpu", "--labels=[sad,", "bored]"], {"device"})
    ('output_folder: out/lr=0.1\\nlabels: [sad, bored]\\n', ['--device', 'cpu'])
    """
    changes: dict[str, str] = {}
    passed: list[str] = []
    start = 0
    while start < len(arguments):
        argument = arguments[start]
        end = start + 1
        while end < len(arguments) and not arguments[end].startswith("--"):
            end += 1
        if not argument.startswith("--") or argument == "--":
            raise OptionError(f"found the argument {argument!r}, expected --key value")
        key, equals, value = argument[2:].partition("=")
        if key in run_options:
            passed += arguments[start:end]
        else:
            values = [value] * bool(equals) + list(arguments[start + 1 : end])
            changes[key] = _value(key, values)
        start = end
    return "".join(f"{key}: {value}\n" for key, value in changes.items()), passed


def _value(key: str, values: Sequence[str]) -> str:
    """The YAML text of one value, given as one or more arguments."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not values:
        raise OptionError(f"--{key}: found no value, expected one")
    if len(values) > 1 and values[0][:1] not in ("[", "{"):
        raise OptionError(f"--{key}: found the values {' '.join(values)}, expected one value")
    text = " ".join(values)
    try:
        YAML().load(f"{key}: {text}")
    except YAMLError as error:
        raise OptionError(f"--{key}: found {text}, expected YAML: {one_line(error)}") from error
    return text


def check_changes(recipe: str, values: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Raise `OptionError` if `changes` have a key that is not in the recipe's `values`, or a value of another type
    than the recipe's number, mapping or object."""
    for key, new in changes.items():
        if key not in values:
            similar = difflib.get_close_matches(str(key), map(str, values), 1)
            hint = f": did you mean {similar[0]}?" if similar else ""
            raise OptionError(f"no key {key} in {recipe}{hint}")
        default = values[key]
        if is_object(default) and isinstance(new, str | list | int | float):
            raise OptionError(
                f"{key}: found {new!r}, expected options such as '{{name: value}}', as in {recipe}"
            )
        for kind, expected in ((dict, "names with values"), (bool, "True or False")):
            if isinstance(default, kind) and not isinstance(new, kind):
                raise OptionError(f"{key}: found {new!r}, expected {expected}, as {default} in {recipe}")
        if isinstance(default, bool) or not isinstance(default, int | float):
            continue
        is_integer = isinstance(default, int)
        if (
            new is None
            or isinstance(new, str | list | dict)
            or (is_integer and isinstance(new, float) and new % 1)
        ):
            expected = "an integer" if is_integer else "a number"
            raise OptionError(f"{key}: found {new!r}, expected {expected}, as {default} in {recipe}")


def check_device(device: str | None) -> None:
    """Raise `OptionError` if torch does not know `device`, or this machine does not have it."""
    import torch

    try:
        parsed = torch.device(device or "cpu")
    except RuntimeError as error:
        raise OptionError(f"device: found {device!r}, expected cpu or cuda") from error
    if parsed.type == "cuda" and (parsed.index or 0) >= (count := torch.cuda.device_count()):
        raise OptionError(f"device: found {device}, expected one of the {count} CUDA devices here, or cpu")


def check_precision(device: str, precision: str | None) -> None:
    """Raise `OptionError` if `device` does not support `precision`."""
    if device.startswith("cpu") and precision == "fp16":
        raise OptionError("precision: found fp16, expected bf16 or fp32 on a CPU")


def one_line(error: BaseException, max_length: int = 200) -> str:
    """The message of a library's error, in one line of at most `max_length` characters."""
    text = " ".join(
        " ".join(map(str, error.args)).split() if not isinstance(error, OSError) else [str(error)]
    )
    text = text or " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= max_length else text[: max_length - 3] + "..."
