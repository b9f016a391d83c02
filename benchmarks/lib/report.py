"""Shared by all benchmarks: description of the machine, percent with intervals, Markdown tables, result files."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("numpy", "onnxruntime", "soundfile", "soxr", "pyannote.core")


def machine(further: Sequence[str] = ()) -> str:
    """Processor, cores, memory, system, Python, and versions of the main dependencies and of `further` packages."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = models[0].split(":")[1].strip() if models else name
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{package} {version(package)}" for package in (*PACKAGES, *further))
    return (
        f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB; {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {packages}"
    )


def commit() -> str:
    """The commit the figures belong to, with ``+`` where the working tree has changes in `sed/`."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        ).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", "sed") else "")


def percent(value: float, interval: Sequence[float] | None = None) -> str:
    """``12.3`` or ``12.3 (10.1-14.8)`` for fractions.

    >>> percent(0.1234, (0.1, 0.15))
    '12.3 (10.0-15.0)'
    >>> percent(0.1234, (float("nan"), float("nan")))  # one recording: no interval
    '12.3'
    """
    text = f"{100 * value:.1f}"
    return (
        text
        if interval is None or interval[0] != interval[0]
        else f"{text} ({100 * interval[0]:.1f}-{100 * interval[1]:.1f})"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; every column but the first is aligned right.

    >>> print(table(["part", "DER"], [["test", 12.3]]))
    | part | DER |
    |---|---:|
    | test | 12.3 |
    """
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def save(
    name: str, markdown: str, data: dict[str, Any], folder: Path = RESULTS, *, test: bool = False
) -> None:
    """Write ``name.md`` and ``name.json`` into `folder`.

    With `test` the figures are of `test` speakers: ``test_looks.json`` counts the looks at them, and the page states
    the count.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> save("a", "# A", {}, folder, test=True)
    >>> save("a", "# A", {}, folder, test=True)
    >>> (folder / "a.md").read_text().splitlines()[-1]
    '`test` was looked at 2 times since the count began in November 2026, this one included.'
    """
    folder.mkdir(parents=True, exist_ok=True)
    if test:
        counter = folder / "test_looks.json"
        looks = json.loads(counter.read_text(encoding="utf-8")) if counter.exists() else []
        looks.append({"result": name, "commit": commit()})
        counter.write_text(json.dumps(looks, indent=1) + "\n", encoding="utf-8")
        count = f"{len(looks)} time" + ("s" if len(looks) > 1 else "")
        markdown = (
            f"{markdown.rstrip()}\n\n`test` was looked at {count} since the count began in November 2026,"
            " this one included."
        )
    (folder / f"{name}.md").write_text(markdown.rstrip() + "\n", encoding="utf-8")
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
