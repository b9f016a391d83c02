"""Parquet: a table with one row per segment, for DuckDB, pandas, Spark and other tools that query many recordings.

Columns: `recording`, `recording_duration`, `start`, `end` (seconds, float64), `speaker`, `emotion`, `confidence`, and
``p_<label>``, the mean posterior of each label; if the tagger estimates dimensions such as arousal, also ``d_<name>``.
Unknown values are null. A recording without segments is a table
without rows; the name, duration and labels are also in the schema's metadata (key ``sed``, JSON), so that it can be
read back. Frame posteriors are not stored. Any Parquet file with `recording`, `start` and `end` can be read, such as
one concatenated from many.

Needs pyarrow, which is imported on first use.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from sed.errors import FormatError, MissingDependencyError, install_hint
from sed.formats.kind import Format, number, segment_of
from sed.formats.lenience import file_warnings, short
from sed.formats.spelling import TEXT
from sed.grid import FRAME_RATE
from sed.result import Diarization, Segment

VERSION = 1
PREFIX = "p_"  # of the columns of labels, so that a label may be called "start"
DIMENSION = "d_"  # of the columns of dimensions
_KEY = b"sed"
MAGIC = b"PAR1"  # the first bytes of every Parquet file


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError(f"parquet needs pyarrow: {install_hint('table')}") from None
    return pyarrow


def check() -> None:
    """Raise `MissingDependencyError` if pyarrow is not installed."""
    _arrow()


def _pack(diarization: Diarization) -> bytes:
    arrow = _arrow()
    about = {
        "version": VERSION,
        "uri": (uri := TEXT.write(diarization.uri)),
        "duration": diarization.duration,
        "labels": [TEXT.write(label) for label in diarization.labels],
        "frame_rate": diarization.frame_rate,
    }
    text, real = arrow.string(), arrow.float64()
    columns: dict[str, tuple[Any, list[Any]]] = {
        "recording": (text, [uri for _ in diarization]),
        "recording_duration": (real, [diarization.duration for _ in diarization]),
        "start": (real, [s.start for s in diarization]),
        "end": (real, [s.end for s in diarization]),
        "speaker": (text, [s.speaker and TEXT.write(s.speaker) for s in diarization]),
        "emotion": (text, [s.emotion and TEXT.write(s.emotion) for s in diarization]),
        "confidence": (real, [s.confidence for s in diarization]),
    }
    for label in diarization.labels:
        columns[PREFIX + TEXT.write(label)] = (real, [s.probabilities.get(label) for s in diarization])
    for name in diarization.dimensions:
        columns[DIMENSION + TEXT.write(name)] = (real, [s.dimensions.get(name) for s in diarization])
    try:
        schema = arrow.schema(
            [(name, kind) for name, (kind, _) in columns.items()], {_KEY: json.dumps(about).encode()}
        )
        table = arrow.table({name: values for name, (_, values) in columns.items()}, schema)
        out = io.BytesIO()
        arrow.parquet.write_table(table, out)
    except (arrow.ArrowException, UnicodeError) as error:
        raise FormatError(f"this result cannot be written as Parquet ({error})") from None
    return out.getvalue()


def _unpack(data: bytes, path: Path) -> list[Diarization]:
    arrow = _arrow()
    try:
        table = arrow.parquet.read_table(arrow.BufferReader(data), partitioning=None)
        rows = table.to_pylist()
    except (arrow.ArrowException, OSError, UnicodeError) as error:
        raise FormatError(f"{path}: not Parquet ({str(error).splitlines()[0]})") from None
    names = table.column_names
    if missing := [name for name in ("recording", "start", "end") if name not in names]:
        raise FormatError(f"{path}: found no column {', '.join(missing)}, expected recording, start and end")
    labels = tuple(name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX))
    dimensions = tuple(name.removeprefix(DIMENSION) for name in names if name.startswith(DIMENSION))
    segments: dict[str, list[Segment]] = {}
    durations: dict[str, float] = {}
    with file_warnings(path) as warnings:
        for count, row in enumerate(rows, 1):
            where = f"{path}, row {count}"
            if not isinstance(uri := row["recording"], str):
                raise FormatError(f"{where}: found recording {short(uri)}, expected its name")
            uri = TEXT.read(uri)
            values = {key: row.get(key) for key in ("start", "end", "speaker", "emotion", "confidence")}
            values["probabilities"] = _known(row, PREFIX, labels)
            values["dimensions"] = _known(row, DIMENSION, dimensions)
            own = segments.setdefault(uri, [])
            segment = segment_of(values, where, warnings)
            own += [segment] if segment else []
            if (duration := row.get("recording_duration")) is not None:
                durations[uri] = number(duration, where, "recording_duration")
    labels, dimensions = tuple(map(TEXT.read, labels)), tuple(map(TEXT.read, dimensions))
    about = _about(table.schema.metadata, path)
    if about is not None and set(segments) <= {about["uri"]}:  # otherwise several files were concatenated
        segments = {about["uri"]: segments.get(about["uri"], [])}
        durations, rate = {about["uri"]: about["duration"]}, about["frame_rate"]
    else:
        rate = FRAME_RATE
    return [
        Diarization(
            uri,
            durations.get(uri, max((s.end for s in own), default=0.0)),
            own,
            labels,
            frame_rate=rate,
            dimensions=dimensions,
        )
        for uri, own in segments.items()
    ]


def _known(row: dict[str, Any], prefix: str, names: tuple[str, ...]) -> dict[str, Any]:
    """The values of the columns ``prefix + name`` that are not null, by name."""
    return {name: row[prefix + name] for name in names if row[prefix + name] is not None}


def _about(metadata: Any, path: Path) -> dict[str, Any] | None:
    """The metadata that `_pack` stores in the schema; None if another program wrote the table."""
    if not metadata or _KEY not in metadata:
        return None
    try:
        about = json.loads(metadata[_KEY])
        version, uri, rate = about["version"], about["uri"], about["frame_rate"]
        duration = number(about["duration"], str(path), "duration")
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: the metadata of its schema is damaged ({error!r})") from None
    if not isinstance(version, int) or version > VERSION:
        raise FormatError(f"{path}: found version {version!r}, expected {VERSION} (a newer sed wrote it)")
    if not isinstance(uri, str) or not isinstance(rate, int) or rate < 1:
        raise FormatError(f"{path}: the metadata of its schema is damaged (uri {short(uri)}, {short(rate)})")
    return {"uri": TEXT.read(uri), "duration": duration, "frame_rate": rate}


FORMAT = Format("parquet", (".parquet",), pack=_pack, unpack=_unpack, check=check)
