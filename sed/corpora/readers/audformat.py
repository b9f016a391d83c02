"""An audformat database (``db.yaml`` with its tables) as rows of file, start, end, emotion, speaker and so on.

Read through the package audformat, which knows all that may be in one. Emotions are the columns that are named
``emotion`` or have the scheme ``emotion``; what else is known of a file may be in other tables, or in the labels of
the scheme ``speaker``. A table whose name has a part train, dev or test gives that split, also to utterances that
another table has without one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from sed.corpora.tables import the_only
from sed.corpora.tree import FolderTree, Tree
from sed.errors import FormatError, MissingDependencyError

_OTHERS = ("speaker", "gender", "language", "intensity", "transcription", "arousal", "valence", "dominance")
_PARTS = {"train": "train", "dev": "valid", "devel": "valid", "valid": "valid", "test": "test"}


def read_database(tree: Tree) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row with its place for messages. Raises `FormatError` where there is no column of emotions, or the
    database is in an archive; `MissingDependencyError` without audformat."""
    try:
        import audformat
    except ImportError:
        raise MissingDependencyError(
            f"{tree.title}: an audformat database takes the package audformat: pip install audformat"
        ) from None
    if not isinstance(tree, FolderTree):
        raise FormatError(
            f"{tree.title}: found an audformat database in an archive, expected a folder: unpack it"
        )
    folder = PurePosixPath(the_only(tree, r"db\.yaml", "db.yaml")).parent
    try:
        database = audformat.Database.load(str(tree.root / folder))
    except Exception as error:  # audformat raises what pandas, yaml and pyarrow raise
        raise FormatError(f"{tree.title}: the audformat database cannot be read ({error})") from None
    found = list(_columns(database, "emotion"))
    if not found:
        raise FormatError(
            f"{tree.title}: found tables {', '.join(database.tables)} without a column emotion, expected one"
        )
    others = {name: _by_file(database, name) for name in _OTHERS}
    about = _labels(database, "speaker")
    rows: dict[tuple[str, str, str, str], tuple[str, dict[str, str]]] = {}
    for table, series in found:
        words = re.split(r"[^a-z]+", table.lower())
        split = next((_PARTS[word] for word in words if word in _PARTS), "")
        for place, label in series.dropna().items():
            file, start, end = place if isinstance(place, tuple) else (place, None, None)
            row = {name: values[file] for name, values in others.items() if file in values}
            if isinstance(facts := about.get(row.get("speaker", "")), dict):
                row |= {k: str(v) for k, v in facts.items() if k in _OTHERS and k not in row}
            row |= {"file": (folder / file).as_posix(), "emotion": str(label), "split": split}
            row["text"] = row.pop("transcription", "")
            row["start"] = "" if start is None else str(start.total_seconds())
            row["end"] = "" if end is None or end != end else str(end.total_seconds())  # NaT is not itself
            # One utterance may be in a table of all and in one of its split.
            same = row["file"], row["start"], row["end"], row["emotion"]
            if same not in rows or not rows[same][1]["split"]:
                rows[same] = f"table {table}", row
    yield from rows.values()


def _columns(database: Any, name: str) -> Iterator[tuple[str, Any]]:
    for table in database.tables:
        for column_id, column in database[table].columns.items():
            if column_id == name or column.scheme_id == name:
                yield table, database[table][column_id].get()


def _labels(database: Any, name: str) -> dict[str, Any]:
    """What the scheme `name` says of each of its labels; empty where it says nothing."""
    labels = getattr(database.schemes[name], "labels", None) if name in database.schemes else None
    return {str(label): facts for label, facts in labels.items()} if isinstance(labels, dict) else {}


def _by_file(database: Any, name: str) -> dict[str, str]:
    """The value of each file; a label that its scheme spells out, such as that of a text, is spelt out."""
    found: dict[str, str] = {}
    spelt = {label: text for label, text in _labels(database, name).items() if isinstance(text, str)}
    for _, series in _columns(database, name):
        for place, value in series.dropna().items():
            found.setdefault(
                place[0] if isinstance(place, tuple) else place, spelt.get(str(value), str(value))
            )
    return found
