"""CSV with audformat's segmented index (``file,start,end``), speaker, emotion, confidence and one column per label.

Times are pandas time deltas (``0 days 00:00:01.500000``), as audformat, audinterface and openSMILE write them; seconds
are also read. Columns after `confidence` with numbers from 0 to 1 are probabilities, those called ``d_<name>`` are
dimensions such as arousal; other columns are ignored. Folders and audio suffixes in `file` are not part of the
recording's name.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from sed.errors import FormatError
from sed.files import load_text
from sed.formats.kind import Format, collect, name_of, number, segment_of
from sed.formats.lenience import UNKNOWN, file_warnings
from sed.formats.spelling import CELL
from sed.result import Diarization, Segment

DIMENSION = "d_"  # prefix of the columns of dimensions
_COLUMNS = ("file", "start", "end", "speaker", "emotion", "confidence")
_DELTA = re.compile(r"(?:(-?\d+) days? ?)?\+?(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_DAYS = re.compile(r"(\d+) days?")  # how pandas writes a column in which every time is whole days, such as 0


def delta(seconds: float) -> str:
    """A pandas time delta.

    >>> delta(90061.5)
    '1 days 01:01:01.500000'
    """
    whole, micro = divmod(round(seconds * 1_000_000), 1_000_000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days} days {hour:02d}:{minute:02d}:{second:02d}.{micro:06d}"


def seconds(text: str, where: str) -> float:
    """A pandas time delta, or a number, in seconds; raises `FormatError`, whose message starts with `where`.

    >>> seconds("0 days 00:01:01.5", ""), seconds("0 days", ""), seconds("2.5", "")
    (61.5, 0.0, 2.5)
    """
    if match := _DAYS.fullmatch(text.strip()):
        return int(match[1]) * 86400.0
    if match := _DELTA.fullmatch(text.strip()):
        days, hours, minutes, seconds = match.groups()
        return round((int(days or 0) * 24 + int(hours)) * 3600 + int(minutes) * 60 + float(seconds), 6)
    try:
        return number(text, where, "time")
    except FormatError:
        raise FormatError(
            f"{where}: found time {text!r}, expected '0 days 00:00:01.500000' or seconds"
        ) from None


def _dump(diarization: Diarization) -> str:
    out = io.StringIO()
    reserved = (label for label in diarization.labels if label in _COLUMNS or label.startswith(DIMENSION))
    if (label := next(reserved, None)) is not None:
        raise FormatError(f"a label is named {label!r}, which is the name of a column: rename it first")
    writer = csv.writer(out, lineterminator="\n")
    names = diarization.dimensions
    writer.writerow(
        [*_COLUMNS, *map(CELL.write, diarization.labels), *(DIMENSION + CELL.write(name) for name in names)]
    )
    uri = CELL.write(diarization.uri)
    for s in diarization:
        if s.speaker in ("", UNKNOWN) or s.emotion in ("", UNKNOWN):
            raise FormatError(
                f"a segment at {s.start} s: found an empty name or {UNKNOWN}, expected a name or None"
            )
        confidence = "" if s.confidence is None else s.confidence
        probabilities = [s.probabilities.get(label, "") for label in diarization.labels]
        speaker, emotion = CELL.write(s.speaker or ""), CELL.write(s.emotion or "")
        row = [uri, delta(s.start), delta(s.end), speaker, emotion, confidence]
        writer.writerow([*row, *probabilities, *(s.dimensions.get(name, "") for name in names)])
    return out.getvalue()


def _parse(text: str, path: Path) -> list[Diarization]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        fields = list(reader.fieldnames or [])
        if missing := [c for c in _COLUMNS[:3] if c not in fields]:
            raise FormatError(f"{path}: found no column {', '.join(missing)}, expected file, start and end")
        table = [(f"{path}, line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        raise FormatError(f"{path}, line {reader.line_num}: not CSV ({error})") from None
    after = fields[fields.index("confidence") + 1 :] if "confidence" in fields else []
    dimensions = [c for c in after if c.startswith(DIMENSION)]
    others = [c for c in after if c not in _COLUMNS and c not in dimensions]
    labels = [c for c in others if all(_is_probability(row[c]) for _, row in table)]
    rows: dict[str, list[Segment]] = {}
    files: dict[str, str] = {}
    with file_warnings(path) as warnings:
        for where, row in table:
            if None in row or None in row.values():
                raise FormatError(
                    f"{where}: found more or fewer values than the {len(fields)} columns of the header"
                )
            values = {
                "start": seconds(row["start"], where),
                "end": seconds(row["end"], where),
                "speaker": row.get("speaker"),
                "emotion": row.get("emotion"),
                "confidence": row.get("confidence") or None,
                "probabilities": {label: row[label] for label in labels if row[label]},
                "dimensions": {c.removeprefix(DIMENSION): row[c] for c in dimensions if row[c]},
            }
            own = rows.setdefault(CELL.read(name_of(row["file"], files, where)), [])
            segment = segment_of(values, where, warnings, CELL)
            own += [segment] if segment else []
    names = [CELL.read(c.removeprefix(DIMENSION)) for c in dimensions]
    return collect(rows, [CELL.read(label) for label in labels], names)


def read_rows(path: str | PathLike[str]) -> list[tuple[str, dict[str, str]]]:
    """The rows of any CSV file with a header, each with its position for error messages; missing cells are empty.

    Raises `FormatError` if the file cannot be read or is not CSV, and as `check_cells`.
    """
    reader = csv.DictReader(io.StringIO(load_text(path)), restval="")
    rows = []
    try:
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            check_cells(row, where)
            rows.append((where, row))
    except csv.Error as error:
        raise FormatError(f"{path}, line {reader.line_num}: not a table ({error})") from None
    return rows


def check_cells(row: Mapping[Any, Any], where: str) -> None:
    """Raise `FormatError` if a row of `csv.DictReader` has more cells than the header, most likely because of an
    unquoted separator, which shifts the cells after it."""
    surplus = row.get(None) or []
    if any(cell.strip() for cell in surplus):
        found, expected = len(row) - 1 + len(surplus), len(row) - 1
        raise FormatError(
            f"{where}: found {found} cells, expected {expected} as in the header: quote text that contains the "
            "separator"
        )


def _is_probability(text: str | None) -> bool:
    """Whether a cell is empty or a number from 0 to 1."""
    if not text:
        return True
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _sniff(text: str) -> bool:
    head = text.split("\n", 1)[0].split(",")
    return {column.strip().strip('"') for column in head} >= set(_COLUMNS[:3])


FORMAT = Format("csv", (".csv",), _dump, _parse, sniff=_sniff)
