"""Which way imports go: rooms stand on floors, a file imports from its own room or from floors below, and no circle."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "sed"

# From the ground up; docs/architecture.md explains them. Rooms of one floor do not know each other.
FLOORS = (
    {"errors", "palette", "__init__"},
    {
        "grid",
        "dataframe",
        "markup",
        "labels",
        "files",
        "hub",
        "console",
        "inference",
        "spooling",
        "stage_pool",
    },
    {"result", "audio"},
    {"formats", "speech", "networks"},
    {"speakers", "emotion", "scoring", "corpora", "transcripts"},
    {"segmenting", "labelling", "plot", "simulation", "enrolment"},
    {"streaming", "training"},
    {"pipeline"},
    {"live", "server", "archive", "agents"},
    {"cli"},
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def modules():
    """Every module of the package by its dotted name below `sed`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


MODULES = modules()


def imports(path, with_types=False):
    """Modules of the package that a file imports, anywhere in it; `with_types`: for type checking only, too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in for_types and not with_types:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sed":
            assert node.level == 0, f"{path}: a relative import"
            base = node.module.removeprefix("sed").lstrip(".")
            for name in node.names:
                full = f"{base}.{name.name}".lstrip(".")
                found.add(full if full in MODULES else base or "__init__")
        elif isinstance(node, ast.Import):
            found |= {n.name.removeprefix("sed.") for n in node.names if n.name.startswith("sed.")}
    return found


GRAPH = {name: imports(path) & set(MODULES) for name, path in MODULES.items()}


def test_every_room_has_a_floor():
    assert {name.split(".")[0] for name in MODULES} == set(FLOOR_OF)


def test_the_page_shows_these_floors():
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d)[^|]*\|(.*)\|$", text, re.M)
    shown = {int(number): {room for room in FLOOR_OF if f"`{room}`" in row} for number, row in rows}
    assert shown == {number: rooms - {"__init__"} for number, rooms in enumerate(FLOORS)}


def test_the_page_names_what_exists():
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`((?:sed\.)?[a-z_]+(?:\.\w+)+)`", text))
    assert len(names) > 30
    for name in names:
        parts = name.removeprefix("sed.").split(".")
        module = next(".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in MODULES)
        for part in parts[module.count(".") + 1 :]:
            assert re.search(rf"\b(def|class) {part}\b", MODULES[module].read_text(encoding="utf-8")), name


@pytest.mark.parametrize("name", MODULES)
def test_imported_modules_exist(name):
    assert imports(MODULES[name]) <= set(
        MODULES
    )  # mypy does not say so, as packages without types are ignored


@pytest.mark.parametrize("name", [name for name in MODULES if name != "__init__"])
def test_imports_go_down(name):
    room = name.split(".")[0]
    for other in GRAPH[name]:
        there = other.split(".")[0]
        assert there == room or FLOOR_OF[there] < FLOOR_OF[room], f"{name} imports {other}"


@pytest.mark.slow
def test_no_files_import_each_other_in_a_circle():
    graph = {name: imports(path, with_types=True) & set(MODULES) for name, path in MODULES.items()}
    done, path = set(), []

    def visit(name):
        if name in path:
            pytest.fail(" -> ".join([*path[path.index(name) :], name]))
        if name in done:
            return
        path.append(name)
        for other in graph[name]:
            if other != "__init__" and not name.startswith(other + "."):
                visit(other)
        done.add(path.pop())

    for name in graph:
        visit(name)


def test_the_walk_sees_an_import_that_goes_up(tmp_path):
    file = tmp_path / "low.py"
    file.write_text("def f():\n    from sed.cli import run\n    from sed.pipeline import EmotionDiarizer\n")
    assert imports(file) == {"cli.run", "pipeline"}
