"""Reads HyperPyYAML files as data, without creating objects or calling functions.

In: the text of a ``hyperparams.yaml``. Out: dicts, lists and scalars. ``!new:package.Class`` becomes a dict with the
class name under `CLASS`, and the keyword arguments or, under `ITEMS`, the list of arguments. References
(``!ref <key>``, ``<key[inner]>``) are resolved. Nothing in the file is executed, and the expansion of aliases and
references is bounded, so that files from untrusted sources can be read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from sed.errors import ModelError

CLASS, ITEMS = "!", "items"
MAX_CHARACTERS = 1 << 17  # of a file; published ones have a few thousand
MAX_DEPTH = 20  # of nested values, with aliases and references resolved
MAX_VALUES = 50_000  # with aliases and references resolved; a string counts one more per 100 characters
_REFERENCE = re.compile(r"<([^<>]+)>")
# What PyYAML raises on `!!int x`, `!!bool x`, `!!timestamp x`, besides its own errors.
_WRONG = (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class _Reference(str):
    """The text of a ``!ref``."""


class _Loader(yaml.SafeLoader):
    """Creates plain values only, of limited depth and number."""

    def __init__(self, text: str, source: str) -> None:
        super().__init__(text)
        self._source = source
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            raise _too_deep(self._source)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None and _extent(node, MAX_DEPTH + 1, {}, self._source)[0] > MAX_VALUES:
            raise _too_many(self._source)
        return node

    def describe(self, tag: str, node: Any) -> Any:
        """The dict that stands for a tag, where HyperPyYAML would create an object or call a function."""
        if isinstance(node, yaml.ScalarNode):
            value = self.construct_scalar(node)
            if tag in ("ref", "copy"):
                return _Reference(value)
            return {CLASS: tag.partition(":")[2], ITEMS: [value]}
        if isinstance(node, yaml.SequenceNode):
            return {CLASS: tag.partition(":")[2], ITEMS: self.construct_sequence(node, deep=True)}
        return {CLASS: tag.partition(":")[2], **self.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _Loader.describe)


def load_hyperyaml(path: Path) -> dict[str, Any]:
    """The mapping in a file. Raises `ModelError` if it cannot be read, and as `read_hyperyaml`."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_CHARACTERS + 1)
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    return read_hyperyaml(text, str(path))


def read_hyperyaml(text: str, source: str) -> dict[str, Any]:
    """The mapping in `text`; `source` is the file name in error messages.

    Raises `ModelError` if it is not a mapping, and beyond `MAX_CHARACTERS`, `MAX_DEPTH` or `MAX_VALUES`.

    >>> read_hyperyaml("a: 3\\nb: !new:torch.nn.Linear\\n  in_features: !ref <a>\\nc: !ref <b>/x", "x")["b"]
    {'!': 'torch.nn.Linear', 'in_features': 3}
    """
    if len(text) > MAX_CHARACTERS:
        raise ModelError(f"{source}: found more than {MAX_CHARACTERS} characters, expected hyperparameters")
    try:
        loader = _Loader(text, source)
        found = loader.get_single_data()
    except ModelError:
        raise
    except _WRONG as error:
        raise ModelError(f"{source} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{source}: found {type(found).__name__}, expected hyperparameters by name")
    return _Resolver(found, source).all()


def _extent(node: Any, depth: int, known: dict[int, tuple[int, int]], source: str) -> tuple[int, int]:
    """Number of values of a node with its aliases resolved, and their depth; `known` caches those of other nodes."""
    if (before := known.get(id(node))) is not None:
        if before[1] > depth:
            raise _too_deep(source)
        return before
    if depth == 0:  # or it contains itself
        raise _too_deep(source)
    parts = node.value if isinstance(node, yaml.CollectionNode) else []
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in parts for part in pair]
    extents = [_extent(part, depth - 1, known, source) for part in parts]
    count = 1 + sum(count for count, _ in extents)
    known[id(node)] = (count, 1 + max((deep for _, deep in extents), default=0))
    return known[id(node)]


class _Resolver:
    """Resolves the references among the values of a file."""

    def __init__(self, everything: dict[str, Any], source: str) -> None:
        self._everything = everything
        self._source = source
        self._left = MAX_VALUES

    def all(self) -> dict[str, Any]:
        """The values with all references resolved."""
        return {key: self._resolve(value, MAX_DEPTH) for key, value in self._everything.items()}

    def _resolve(self, value: Any, depth: int) -> Any:
        if depth == 0:
            raise ModelError(f"{self._source}: found circular references")
        self._left -= 1 + (len(value) // 100 if isinstance(value, str) else 0)
        if self._left < 0:
            raise _too_many(self._source)
        if isinstance(value, _Reference):
            whole = _REFERENCE.fullmatch(value)
            if whole:
                return self._resolve(self._look_up(whole[1]), depth - 1)
            return _REFERENCE.sub(
                lambda match: str(self._resolve(self._look_up(match[1]), depth - 1)),
                value,
            )
        if isinstance(value, dict):
            return {key: self._resolve(item, depth - 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self._resolve(item, depth - 1) for item in value]
        return value

    def _look_up(self, name: str) -> Any:
        value: Any = self._everything
        for key in re.split(r"[\[\]]+", name.rstrip("]")):
            try:
                value = value[int(key) if isinstance(value, list) else key]
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise ModelError(
                    f"{self._source}: found a reference to <{name}>, expected an entry of that name"
                ) from error
        return value


def _too_deep(source: str) -> ModelError:
    return ModelError(
        f"{source}: found values nested deeper than {MAX_DEPTH} levels, expected hyperparameters"
    )


def _too_many(source: str) -> ModelError:
    return ModelError(
        f"{source}: found more than {MAX_VALUES} values with aliases and references resolved, "
        "expected hyperparameters"
    )
