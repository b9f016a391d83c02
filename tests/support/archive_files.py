"""What stands in an output folder: results and the journal."""

import json
from pathlib import Path

JOURNAL = ".sed-journal.jsonl"


def contents(folder):
    """The bytes of every result in a folder, by relative name, without the journal."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in Path(folder).rglob("*")
        if p.is_file() and not p.name.startswith(".sed-journal")
    }


def noted(folder):
    """The recordings that a journal says were done, as often as it says so."""
    rows = [json.loads(line) for line in (Path(folder) / JOURNAL).read_text().splitlines()]
    return [row["recording"] for row in rows if "formats" in row]
