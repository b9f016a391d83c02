"""README and docs: every Python block runs, every command line is one that the commands accept, the site builds."""

import ast
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from sed.training.recipe.catalog import find_recipe

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:<!-- (?P<note>not run here:[^\n]*?) -->\n)?```(?P<kind>\w+)\n(?P<code>.*?)```", re.S)


def blocks(page, kind):
    text = page.read_text(encoding="utf-8")
    return [match for match in BLOCK.finditer(text) if match["kind"] == kind]


def test_there_are_pages_and_blocks():
    assert len(PAGES) > 10 and sum(len(blocks(page, "python")) for page in PAGES) > 5


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_python_blocks_of_a_page_run_in_order(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {}
    for block in blocks(page, "python"):
        ast.parse(block["code"])
        if not block["note"]:
            exec(compile(block["code"], str(page), "exec"), names)


def command_lines():
    """Every line of the shell blocks that starts one of our commands: page, command, arguments."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block["code"].splitlines():
                for part in line.split("#")[0].split(" | "):
                    words = shlex.split(part)
                    if words and words[0].startswith("sed-"):
                        yield pytest.param(words[0], words[1:], id=f"{page.name}: {part.strip()}")


@pytest.mark.parametrize(("command", "arguments"), list(command_lines()))
def test_command_lines_have_options_that_exist(command, arguments):
    module = import_module("sed.cli." + command.removeprefix("sed-"))
    given = [word.split("=")[0] for word in arguments if re.fullmatch(r"--?[a-z].*", word)]
    if command == "sed-train":  # options are the recipe's keys
        text = find_recipe(arguments[0]).read_text(encoding="utf-8")
        known = {f"--{key}" for key in re.findall(r"^([a-z_]+):", text, re.M)}
        known |= {"--seeds", "--smoke", "--device"}
    else:
        options = [p for p in module.main.params if isinstance(p, click.Option)]
        known = {name for option in options for name in (*option.opts, *option.secondary_opts)}
    assert set(given) <= known | {"-h", "--help"}


@pytest.mark.slow
def test_the_site_builds(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "EmotionDiarizer" in (tmp_path / "api" / "index.html").read_text(encoding="utf-8")
