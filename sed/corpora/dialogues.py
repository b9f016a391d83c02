"""Labelled conversations: tables and annotation files in, turns (speaker, emotion) in the order of their start out.

A table (``.csv``, ``.tsv``) has one row per turn, with columns for the conversation, the speaker and the emotion, and
may have the start in seconds or a number of the turn; without them the rows are in order. MELD's published tables are
of this form. All other files are annotations that `sed.formats` reads, such as RTTM, or corrected results.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from sed import formats
from sed.errors import FormatError
from sed.files import load_text
from sed.formats.csv import check_cells, seconds
from sed.labels import normalise_emotion

Turns = list[tuple[str, str]]
"""Speaker and emotion of each turn of a conversation."""

_CONVERSATION = ("conversation", "dialogue_id", "dialog_id", "recording")
_ORDER = ("start", "utterance_id", "turn")


def read_conversations(path: str | Path) -> list[Turns]:
    """The conversations in the file at `path`, without turns that have no speaker or no emotion.

    Emotions in another spelling (`sed.labels`) get the name that this project uses. Raises `FormatError` if the file
    cannot be read, lacks a column, or has no turn with an emotion.
    """
    path = Path(path)
    found = _from_table(path) if path.suffix.lower() in (".csv", ".tsv") else None
    if found is None:
        found = [[(s.speaker, s.emotion) for s in result] for result in formats.read_all(path)]
    conversations = [
        [(speaker, _name(emotion)) for speaker, emotion in turns if speaker and emotion] for turns in found
    ]
    if not any(conversations):
        raise FormatError(
            f"{path}: found no turn with a speaker and an emotion, expected labelled conversations"
        )
    return [turns for turns in conversations if turns]


def _name(emotion: str) -> str:
    return normalise_emotion(emotion) or emotion.strip()


def _from_table(path: Path) -> list[list[tuple[str | None, str | None]]] | None:
    """The conversations of a table; None if it has no column for them (sed's own CSV)."""
    rows = list(_rows(path))
    header = rows[0][1] if rows else {}
    column = next((name for name in _CONVERSATION if name in header), None)
    if column is None:
        return None
    if missing := [name for name in ("speaker", "emotion") if name not in header]:
        raise FormatError(f"{path}: found no column {' and '.join(missing)}, expected both beside {column}")
    order = next((name for name in _ORDER if name in header), None)
    by_name: dict[str, list[tuple[float, str, str]]] = {}
    for where, row in rows:
        turns = by_name.setdefault(row[column], [])
        at = float(len(turns)) if order is None else seconds(row[order], where)
        turns.append((at, row["speaker"], row["emotion"]))
    return [
        [(speaker, emotion) for _, speaker, emotion in sorted(turns, key=lambda turn: turn[0])]
        for turns in by_name.values()
    ]


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The location and the values of each row, by the column's name in lower case."""
    text = load_text(path)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, restval="")
    try:
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            check_cells(row, where)
            yield (
                where,
                {str(key).strip().lower(): value.strip() for key, value in row.items() if key is not None},
            )
    except csv.Error as error:
        raise FormatError(f"{path}, line {reader.line_num}: not a table ({error})") from None
