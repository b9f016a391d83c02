"""Whether a run may resume in a folder: the text of its hyperparameters in, nothing out, or an `OptionError`.

SpeechBrain resumes from any checkpoint in a folder. With hyperparameters other than those that it was trained with, the
weights would have another meaning: with the labels in another order, happy becomes angry.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sed.errors import OptionError

MAY_DIFFER = {
    *("epochs", "steps", "workers", "output_folder", "log_file", "checkpointer", "epoch_counter"),
    *("audio", "audio_memory", "tensorboard", "data_folder", "decoders", "published", "published_score"),
}
"""Keys that may change between parts of a run: its length, its paths, and what does not change the weights."""

_MISSING = "nothing"


class _Plain(yaml.SafeLoader):
    """Reads HyperPyYAML without creating any objects."""


def _tagged(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return [tag, loader.construct_mapping(node, deep=True)]
    if isinstance(node, yaml.SequenceNode):
        return [tag, loader.construct_sequence(node, deep=True)]
    return [tag, loader.construct_scalar(node)]  # type: ignore[arg-type]


_Plain.add_multi_constructor(None, _tagged)  # type: ignore[arg-type, no-untyped-call]


def plain_values(text: str) -> Any:
    """HyperPyYAML with resolved references as plain values; an object is a list of its tag and arguments.

    >>> plain_values("tagger: !new:kind.Tagger {layers: 2}")
    {'tagger': ['!new:kind.Tagger', {'layers': 2}]}
    """
    return yaml.load(text, Loader=_Plain)


def check_stored_run(text: str) -> None:
    """Raise `OptionError` if the output folder of the hyperparameters `text` (references resolved) holds a
    checkpoint of a run with different ones, except for `MAY_DIFFER`.

    A folder without a checkpoint, or whose ``hyperparams.yaml`` is missing or unreadable, is accepted.
    """
    new = plain_values(text)
    folder = Path(str(new.get("output_folder", "")))
    if not any((folder / "save").glob("CKPT*")):
        return
    try:
        old = plain_values((folder / "hyperparams.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return
    if not isinstance(old, dict):
        return
    old, new = ({k: v for k, v in values.items() if k not in MAY_DIFFER} for values in (old, new))
    for key, stored, found in differences(old, new):
        raise OptionError(
            f"{folder} holds a run with {key} {_short(stored)}, found {_short(found)}: expected the same or another"
            " output_folder"
        )


def differences(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Differences of two plain values: the dotted key and both values.

    >>> list(differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}))
    [('a.c', 2, 'nothing')]
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(n for n in new if n not in old)]:
            path = f"{key}.{name}" if key else str(name)
            yield from differences(old.get(name, _MISSING), new.get(name, _MISSING), path)
    elif is_object(old) and is_object(new) and old[0] == new[0]:
        yield from differences(old[1], new[1], key)
    elif old != new:
        yield key, old, new


def is_object(value: Any) -> bool:
    """Whether a value of `plain_values` represents an object: its tag and its arguments."""
    return isinstance(value, list) and len(value) == 2 and str(value[0]).startswith("!")


def _short(value: Any) -> str:
    text = str(value[0] if is_object(value) else value)
    return text if len(text) <= 80 else text[:77] + "..."
