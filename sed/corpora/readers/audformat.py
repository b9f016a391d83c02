"""An audformat database (``db.yaml`` and its tables) in; rows with file, start, end, emotion, speaker and more out.

The database is read with the package audformat. Emotions are the columns named ``emotion`` or with the scheme
``emotion``; other properties of a file may be in other tables, or in the labels of the scheme ``speaker``. A table
with train, dev or test in its name assigns that split, also to utterances that another table lists without one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from sed.corpora.tables import find_label_file
from sed.corpora.tree import FolderTree, Tree
from sed.errors import FormatError, MissingDependencyError

_PROPERTIES = (
    "speaker",
    "gender",
    "language",
    "intensity",
    "transcription",
    "arousal",
    "valence",
    "dominance",
)
_SPLITS = {"train": "train", "dev": "valid", "devel": "valid", "valid": "valid", "test": "test"}


def read_database(tree: Tree) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the location (for messages) and the values of each row.

    Raises `FormatError` if there is no emotion column or the database is in an archive, `MissingDependencyError` if
    audformat is not installed.
    """
    try:
        import audformat
    except ImportError:
        raise MissingDependencyError(
            f"{tree.title}: reading an audformat database needs the package audformat: pip install audformat"
        ) from None
    if not isinstance(tree, FolderTree):
        raise FormatError(
            f"{tree.title}: found an audformat database in an archive, expected a folder: extract it first"
        )
    folder = PurePosixPath(find_label_file(tree, r"db\.yaml", "db.yaml")).parent
    try:
        database = audformat.Database.load(str(tree.root / folder))
    except Exception as error:  # audformat raises what pandas, yaml and pyarrow raise
        raise FormatError(f"{tree.title}: the audformat database cannot be read ({error})") from None
    found = list(_columns(database, "emotion"))
    if not found:
        raise FormatError(
            f"{tree.title}: found no column emotion in the tables {', '.join(database.tables)}, expected one"
        )
    properties = {name: _by_file(database, name) for name in _PROPERTIES}
    speakers = _labels(database, "speaker")
    rows: dict[tuple[str, str, str, str], tuple[str, dict[str, str]]] = {}
    for table, series in found:
        words = re.split(r"[^a-z]+", table.lower())
        split = next((_SPLITS[word] for word in words if word in _SPLITS), "")
        for key, label in series.dropna().items():
            file, start, end = key if isinstance(key, tuple) else (key, None, None)
            row = {name: values[file] for name, values in properties.items() if file in values}
            if isinstance(details := speakers.get(row.get("speaker", "")), dict):
                row |= {k: str(v) for k, v in details.items() if k in _PROPERTIES and k not in row}
            row |= {"file": (folder / file).as_posix(), "emotion": str(label), "split": split}
            row["text"] = row.pop("transcription", "")
            row["start"] = "" if start is None else str(start.total_seconds())
            row["end"] = "" if end is None or end != end else str(end.total_seconds())  # NaT != NaT
            # An utterance may be in a table of all utterances and in the table of its split.
            identity = row["file"], row["start"], row["end"], row["emotion"]
            if identity not in rows or not rows[identity][1]["split"]:
                rows[identity] = f"table {table}", row
    yield from rows.values()


def _columns(database: Any, name: str) -> Iterator[tuple[str, Any]]:
    for table in database.tables:
        for column_id, column in database[table].columns.items():
            if column_id == name or column.scheme_id == name:
                yield table, database[table][column_id].get()


def _labels(database: Any, name: str) -> dict[str, Any]:
    """The details that the scheme `name` has of each of its labels; empty if it has none."""
    labels = getattr(database.schemes[name], "labels", None) if name in database.schemes else None
    return {str(label): details for label, details in labels.items()} if isinstance(labels, dict) else {}


def _by_file(database: Any, name: str) -> dict[str, str]:
    """The value of each file; labels whose scheme has a text for them, such as transcriptions, become that text."""
    values: dict[str, str] = {}
    texts = {label: text for label, text in _labels(database, name).items() if isinstance(text, str)}
    for _, series in _columns(database, name):
        for key, value in series.dropna().items():
            values.setdefault(key[0] if isinstance(key, tuple) else key, texts.get(str(value), str(value)))
    return values
