"""The complete result as JSON: recording, duration, labels, segments with probabilities, optional posteriors.

``{"format": "sed", "version": 1, "uri", "duration", "labels": [...], "frame_rate", "segments": [{"start", "end",
"speaker", "emotion", "confidence", "probabilities": {label: p}}], "posteriors": [[...], ...]}``. Times are
seconds; only `start` and `end` of a segment are required; `posteriors` has one row per frame and one column per label.
A tagger that estimates dimensions adds ``"dimensions": ["arousal", ...]``, ``"dimensions": {name: value}`` in each
segment, and ``dimension_track``, which is to them what `posteriors` is to the labels. A result for another prior or
sensitivity has ``"settings": {"prior": {label: p}}`` or ``{"sensitivity": 2.0}``; ``{"multi_label": true}`` states that
probabilities are independent, several labels at once, and do not sum to 1.
`version` increases with incompatible changes. `LINES` is the format with one such object per line, for several
recordings.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sed.errors import FormatError
from sed.formats.kind import Format, number, segment_of
from sed.formats.lenience import FileWarnings, file_warnings, short
from sed.formats.spelling import TEXT
from sed.grid import FRAME_RATE
from sed.result import Diarization, Segment

VERSION = 1
DECIMALS = 5  # of the posteriors
_ROWS = 10_000  # frames of posteriors converted to text at once


def to_dict(diarization: Diarization) -> dict[str, Any]:
    """The result as plain data, without the posteriors."""
    return {
        "format": "sed",
        "version": VERSION,
        "uri": TEXT.write(diarization.uri),
        "duration": diarization.duration,
        "labels": [TEXT.write(label) for label in diarization.labels],
        "frame_rate": diarization.frame_rate,
        **({"dimensions": [TEXT.write(name) for name in names]} if (names := diarization.dimensions) else {}),
        **({"settings": dict(diarization.settings)} if diarization.settings else {}),
        "segments": [plain_segment(segment) for segment in diarization],
    }


def plain_segment(segment: Segment) -> dict[str, Any]:
    """`Segment.to_dict` with names escaped to valid UTF-8."""
    row = segment.to_dict()
    row |= {key: TEXT.write(row[key]) for key in ("speaker", "emotion") if key in row}
    for key in ("probabilities", "dimensions"):
        if key in row:
            row[key] = {TEXT.write(name): value for name, value in row[key].items()}
    return row


def to_text(value: Any) -> str:
    """Standard JSON; raises `FormatError` on numbers that are not finite, which JSON cannot represent."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError) as error:
        raise FormatError(f"this result cannot be written as JSON ({error})") from None


def from_dict(row: Any, where: str, warnings: FileWarnings) -> Diarization:
    """The inverse of `to_dict`. Raises `FormatError`, whose message starts with `where`, on invalid data."""
    if not isinstance(row, dict) or row.get("format") != "sed":
        raise FormatError(f'{where}: expected an object with "format": "sed"')
    version = row.get("version", VERSION)
    if not isinstance(version, int) or version > VERSION:
        raise FormatError(f"{where}: found version {version!r}, expected {VERSION} (a newer sed wrote it)")
    for field, kind in (("uri", str), ("duration", int | float), ("segments", list)):
        if field not in row:
            raise FormatError(f"{where}: expected a field {field!r}")
        if not isinstance(row[field], kind):
            raise FormatError(f"{where}: found {field} {short(row[field])}, expected another type")
    labels, dimensions = _names(row, "labels", where), _names(row, "dimensions", where)
    segments = []
    for count, own in enumerate(row["segments"], 1):
        place = f"{where}, segment {count}"
        if not isinstance(own, dict):
            raise FormatError(f"{place}: found {short(own)}, expected an object")
        if (segment := segment_of(own, place, warnings)) is not None:
            segments.append(segment)
    rate = row.get("frame_rate", FRAME_RATE)
    if not isinstance(rate, int) or rate < 1:
        raise FormatError(f"{where}: found frame_rate {short(rate)}, expected an integer of 1 or more")
    duration = number(row["duration"], where, "duration")
    if not isinstance(settings := row.get("settings", {}), dict):
        raise FormatError(f"{where}: found settings {short(settings)}, expected an object")
    posteriors, track = (
        _frames(row.get(key), len(names), where, key, each)
        for key, names, each in (
            ("posteriors", labels, "label"),
            ("dimension_track", dimensions, "dimension"),
        )
    )
    uri, labels, dimensions = TEXT.read(row["uri"]), tuple(map(TEXT.read, labels)), map(TEXT.read, dimensions)
    return Diarization(uri, duration, segments, labels, posteriors, rate, settings, tuple(dimensions), track)


def _names(row: dict[str, Any], key: str, where: str) -> Any:
    names = row.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FormatError(f"{where}: found {key} {short(names)}, expected a list of names")
    return names


def _frames(rows: Any, columns: int, where: str, what: str, each: str) -> np.ndarray | None:
    if rows is None:
        return None
    try:
        found = np.array(rows, np.float32)
    except (ValueError, TypeError):  # ragged, or not numbers
        found = np.full((1, 1), np.nan, np.float32)
    if found.size == 0:
        return np.zeros((0, columns), np.float32)
    if found.ndim != 2 or found.shape[1] != columns or not np.isfinite(found).all():
        raise FormatError(
            f"{where}: expected rows of {columns} finite numbers in {what}, one for each {each}"
        )
    return found


def load(text: str, where: str) -> Any:
    """Parsed JSON; raises `FormatError`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: not JSON ({error})") from None


def json_kind(text: str, where: str = "file") -> str:
    """The format of a JSON text: json, jsonl, seglst, zed or speechbrain. Raises `FormatError` if it is not JSON."""
    try:
        data = load(text, where)
    except FormatError:
        with contextlib.suppress(ValueError, RecursionError):
            first = json.loads(text.lstrip().split("\n", 1)[0])
            if isinstance(first, dict) and first.get("format") == "sed":
                return "jsonl"
        raise
    if isinstance(data, list):
        return "seglst"
    if isinstance(data, dict) and "format" not in data and data:
        first = next(iter(data.values()))
        if isinstance(first, dict) and "emotion" in first:
            return "zed"
        if isinstance(first, list):
            return "speechbrain"
    return "json"


def _parse(text: str, path: Path) -> list[Diarization]:
    with file_warnings(path) as warnings:
        return [from_dict(load(text, str(path)), str(path), warnings)]


def _parse_lines(text: str, path: Path) -> list[Diarization]:
    lines = [(f"{path}, line {n}", line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    with file_warnings(path) as warnings:
        return [from_dict(load(line, where), where, warnings) for where, line in lines]


def _tracks(diarization: Diarization, first: str, between: str, last: str) -> Iterator[str]:
    """The text of the posteriors and of the track of dimensions, if there are any, as further fields of an object."""
    for name in ("posteriors", "dimension_track"):
        if (rows := getattr(diarization, name)) is not None:
            yield f', "{name}": [{first}'
            yield from _track_rows(rows, between, name)
            yield f"{last}]"


def _track_rows(rows: np.ndarray, between: str, name: str) -> Iterator[str]:
    if not np.isfinite(rows).all():
        raise FormatError(f"this result cannot be written as JSON ({name} that are not finite)")
    for first in range(0, len(rows), _ROWS):
        part = rows[first : first + _ROWS].astype(np.float64).round(DECIMALS).tolist()
        yield (between if first else "") + between.join(map(json.dumps, part))


def _dump(diarization: Diarization) -> str:
    row = to_dict(diarization)
    segments = row.pop("segments")
    body = ",\n".join("  " + to_text(segment) for segment in segments)
    text = (
        f'{to_text(row)[:-1]}, "segments": [\n{body}\n]'
        if segments
        else f'{to_text(row)[:-1]}, "segments": []'
    )
    return "".join([text, *_tracks(diarization, "\n  ", ",\n  ", "\n"), "}\n"])


def _dump_line(diarization: Diarization) -> str:
    text = to_text(to_dict(diarization))
    return "".join([text[:-1], *_tracks(diarization, "", ", ", ""), "}\n"])


FORMAT = Format("json", (".json",), _dump, _parse)
LINES = Format("jsonl", (".jsonl", ".ndjson"), _dump_line, _parse_lines)
