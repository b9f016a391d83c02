"""The files of an output folder: results and the journal."""

import json
import os
from pathlib import Path

JOURNAL = ".sed-journal.jsonl"


def contents(folder):
    """The bytes of every result in a folder, by relative name, without the journal."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in Path(folder).rglob("*")
        if p.is_file() and not p.name.startswith(".sed-journal")
    }


def die_at_once(*_):
    """Ends a worker process before it has loaded the models."""
    os._exit(7)


def recorded(folder):
    """The recordings that the journal lists as done, once for each entry."""
    rows = [json.loads(line) for line in (Path(folder) / JOURNAL).read_text().splitlines()]
    return [row["recording"] for row in rows if "formats" in row]
