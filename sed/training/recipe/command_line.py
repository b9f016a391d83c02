"""The command line of a recipe: its words in, changes to the recipe and the words that are SpeechBrain's out."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sed.errors import OptionError
from sed.training.recipe.stored_run import is_object


def split_arguments(words: Sequence[str], foreign: Collection[str]) -> tuple[str, list[str]]:
    """The changes to a recipe that `words` make, as YAML, and the words of the options `foreign`.

    A value is the word behind its key or ``=``, and may have ``=`` itself; a list or mapping may be several words.
    Raises `OptionError` on a word without a key, a key without a value, and a value that is not YAML.

    >>> split_arguments(["--output_folder", "out/lr=0.1", "--device", "cpu", "--labels=[sad,", "bored]"], {"device"})
    ('output_folder: out/lr=0.1\\nlabels: [sad, bored]\\n', ['--device', 'cpu'])
    """
    changes: dict[str, str] = {}
    passed: list[str] = []
    place = 0
    while place < len(words):
        word = words[place]
        end = place + 1
        while end < len(words) and not words[end].startswith("--"):
            end += 1
        if not word.startswith("--") or word == "--":
            raise OptionError(f"found the word {word!r}, expected --key value")
        key, equals, value = word[2:].partition("=")
        if key in foreign:
            passed += words[place:end]
        else:
            values = [value] * bool(equals) + list(words[place + 1 : end])
            changes[key] = _value(key, values)
        place = end
    return "".join(f"{key}: {value}\n" for key, value in changes.items()), passed


def _value(key: str, words: Sequence[str]) -> str:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not words:
        raise OptionError(f"--{key}: found no value, expected one")
    if len(words) > 1 and words[0][:1] not in ("[", "{"):
        raise OptionError(f"--{key}: found the words {' '.join(words)}, expected one value")
    text = " ".join(words)
    try:
        YAML().load(f"{key}: {text}")
    except YAMLError as error:
        raise OptionError(f"--{key}: found {text}, expected YAML: {one_line(error)}") from error
    return text


def check_changes(recipe: str, values: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Raise `OptionError` where `changes` have a key that the recipe's `values` have not, or something else in the
    place of a number or an object."""
    for key, new in changes.items():
        if key not in values:
            near = difflib.get_close_matches(str(key), map(str, values), 1)
            raise OptionError(f"no key {key} in {recipe}" + (f": did you mean {near[0]}?" if near else ""))
        default = values[key]
        if is_object(default) and isinstance(new, str | list | int | float):
            raise OptionError(
                f"{key}: found {new!r}, expected options such as '{{name: value}}', as in {recipe}"
            )
        for of, words in ((dict, "names with values"), (bool, "True or False")):
            if isinstance(default, of) and not isinstance(new, of):
                raise OptionError(f"{key}: found {new!r}, expected {words}, as {default} in {recipe}")
        if isinstance(default, bool) or not isinstance(default, int | float):
            continue
        whole = isinstance(default, int)
        if (
            new is None
            or isinstance(new, str | list | dict)
            or (whole and isinstance(new, float) and new % 1)
        ):
            kind = "a whole number" if whole else "a number"
            raise OptionError(f"{key}: found {new!r}, expected {kind}, as {default} in {recipe}")


def check_device(device: str | None) -> None:
    """Raise `OptionError` where torch knows no `device`, or this machine has none."""
    import torch

    try:
        wanted = torch.device(device or "cpu")
    except RuntimeError as error:
        raise OptionError(f"device: found {device!r}, expected cpu or cuda") from error
    if wanted.type == "cuda" and (wanted.index or 0) >= (count := torch.cuda.device_count()):
        raise OptionError(f"device: found {device}, expected one of the {count} CUDA devices here, or cpu")


def check_precision(device: str, precision: str | None) -> None:
    """Raise `OptionError` where `device` has no `precision` of that name."""
    if device.startswith("cpu") and precision == "fp16":
        raise OptionError("precision: found fp16, expected bf16 or fp32 on a processor")


def one_line(error: BaseException, most: int = 200) -> str:
    """What an error of a library says, in one line of `most` characters."""
    said = " ".join(
        " ".join(map(str, error.args)).split() if not isinstance(error, OSError) else [str(error)]
    )
    said = said or " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= most else said[: most - 3] + "..."
