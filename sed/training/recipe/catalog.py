"""The recipes that come with the package: names in, paths, descriptions and keys out."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from sed.errors import OptionError

FOLDER = Path(__file__).resolve().parents[2] / "hparams"
_INNER = ("recipe", "checkpointer", "epoch_counter")  # of the program, not to be changed
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
        if not line.startswith("#") or line.startswith(("# sed-train", "# torchrun")):
            break
        lines.append(line.lstrip("# ").rstrip())
    text = " ".join(lines)
    return re.split(r"(?<=\.)\s(?=[A-Z])", text, maxsplit=1)[0].rstrip(".")


def keys(recipe: Path) -> list[tuple[str, str, str]]:
    """The keys of a recipe in order: name, default and comment; the options of an object are ``object.key``."""
    found = []
    parent = ""
    for line in recipe.read_text(encoding="utf-8").splitlines():
        indent = len(line) - len(line.lstrip())
        match = _KEY.match(line.strip())
        if match is None or indent > 4:
            continue
        if not indent:
            parent = match["key"]
        value, _, comment = match["rest"].partition("  #")
        name = match["key"] if not indent else f"{parent}.{match['key']}"
        if parent not in _INNER:
            found.append((name, "" if value.strip().startswith("!new:") else value.strip(), comment.strip()))
    return found
