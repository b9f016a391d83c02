"""HyperPyYAML files read as data: tags that would make objects or call functions stay descriptions.

In: the text of a ``hyperparams.yaml``. Out: dicts, lists and scalars; ``!new:package.Class`` with keywords is a
dict with the class's name under `CLASS`, with a list a dict with the list under `ITEMS`. References
(``!ref <key>``, ``<key[inner]>``) are replaced. Nothing in the file is executed, so a folder from anywhere can
be read.
"""

from __future__ import annotations

import re
from typing import Any

from sed.errors import ModelError

CLASS, ITEMS = "!", "items"
_DEPTH = 20  # references to references
_REFERENCE = re.compile(r"<([^<>]+)>")


class _Reference(str):
    """The text of a ``!ref``."""


def read_hyperyaml(text: str, source: str) -> dict[str, Any]:
    """The mapping in `text`; `source` names the file in errors. Raises `ModelError` where it is not one.

    >>> read_hyperyaml("a: 3\\nb: !new:torch.nn.Linear\\n  in_features: !ref <a>\\nc: !ref <b>/x", "x")["b"]
    {'!': 'torch.nn.Linear', 'in_features': 3}
    """
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    def construct(loader: Any, tag: str, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            value = loader.construct_scalar(node)
            return (
                _Reference(value)
                if tag in ("ref", "copy")
                else {CLASS: tag.partition(":")[2], ITEMS: [value]}
            )
        if isinstance(node, yaml.SequenceNode):
            return {CLASS: tag.partition(":")[2], ITEMS: loader.construct_sequence(node, deep=True)}
        return {CLASS: tag.partition(":")[2], **loader.construct_mapping(node, deep=True)}

    Loader.add_multi_constructor("!", construct)
    try:
        found = yaml.load(text, Loader)  # a SafeLoader at heart: it makes plain values only
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise ModelError(f"{source} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{source}: found {type(found).__name__}, expected hyperparameters by name")
    return {key: _resolve(value, found, source, _DEPTH) for key, value in found.items()}


def _resolve(value: Any, everything: dict[str, Any], source: str, depth: int) -> Any:
    if depth == 0:
        raise ModelError(f"{source}: found references that lead in a circle")
    if isinstance(value, _Reference):
        whole = _REFERENCE.fullmatch(value)
        if whole:
            return _resolve(_look_up(whole[1], everything, source), everything, source, depth - 1)
        return _REFERENCE.sub(
            lambda match: str(
                _resolve(_look_up(match[1], everything, source), everything, source, depth - 1)
            ),
            value,
        )
    if isinstance(value, dict):
        return {key: _resolve(item, everything, source, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, everything, source, depth - 1) for item in value]
    return value


def _look_up(name: str, everything: dict[str, Any], source: str) -> Any:
    value: Any = everything
    for key in re.split(r"[\[\]]+", name.rstrip("]")):
        try:
            value = value[int(key) if isinstance(value, list) else key]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ModelError(f"{source}: found a reference to <{name}>, expected such an entry") from error
    return value
