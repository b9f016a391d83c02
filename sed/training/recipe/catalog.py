"""The recipes that come with the package: names in, paths, descriptions and keys out."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from sed.errors import OptionError

FOLDER = Path(__file__).resolve().parents[2] / "hparams"
_KEY = re.compile(r"(?P<key>[A-Za-z]\w*):(?P<rest>.*)")


def recipe_names() -> list[str]:
    """The names of the recipes.

    >>> "zed" in recipe_names()
    True
    """
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe: a path, the name of one of the package, or ``hparams/NAME.yaml`` where there is none.

    Raises `OptionError` if there is none.

    >>> find_recipe("zed").name, find_recipe("hparams/zed.yaml").name
    ('zed.yaml', 'zed.yaml')
    """
    path = Path(name)
    if path.is_file():
        return path
    names = recipe_names()
    is_plain = len(path.parts) == 1 and not path.suffix
    if (is_plain or path == Path("hparams", f"{path.stem}.yaml")) and path.stem in names:
        return FOLDER / f"{path.stem}.yaml"
    similar = difflib.get_close_matches(path.stem, names, 1)
    hint = f": did you mean {similar[0]}?" if similar else f" or one of {', '.join(names)}"
    raise OptionError(f"no recipe {name}: expected a YAML file such as hparams/compact.yaml{hint}")


def description(name: str) -> str:
    """The comment at the start of a recipe, in one line: its first sentence."""
    lines = []
    for line in (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    text = " ".join(lines)
    return re.split(r"(?<=[.:;])\s", text, maxsplit=1)[0].rstrip(".:;")


def keys(name: str) -> list[tuple[str, str, str]]:
    """The keys of a recipe in order: name, default and comment; the options of an object are ``object.key``."""
    found = []
    parent = ""
    for line in (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines():
        indent = len(line) - len(line.lstrip())
        match = _KEY.match(line.strip())
        if match is None or line.startswith(("#", "__")) or indent > 4:
            continue
        value, _, comment = match["rest"].partition("  #")
        is_object = value.strip().startswith("!new:")
        if indent == 0:
            parent = match["key"]
        key = match["key"] if indent == 0 else f"{parent}.{match['key']}"
        shown = "options" if is_object or not value.strip() else value.strip()
        found.append((key, shown, comment.strip()))
    return [row for row in found if row[0] not in ("recipe", "checkpointer", "epoch_counter")
            and not row[0].startswith(("checkpointer.", "epoch_counter."))]  # fmt: skip
