"""UEM, ``file channel start end`` per line: the regions of recordings to be scored."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from sed.errors import FormatError
from sed.files import load_text
from sed.formats.kind import number, split_fields
from sed.formats.lenience import file_warnings
from sed.formats.spelling import FIELD


def read_uem(path: str | PathLike[str]) -> dict[str, list[tuple[float, float]]]:
    """Scored regions in seconds by recording, sorted; overlapping and adjacent ones are merged.

    Raises `FormatError`, naming file and line.
    """
    regions: dict[str, list[tuple[float, float]]] = {}
    with file_warnings(Path(path)) as warnings:
        for count, line in enumerate(load_text(path).split("\n"), 1):
            fields = split_fields(line, 4, 4)
            if not fields or fields[0].startswith((";", "#")):
                continue
            where = f"{path}, line {count}"
            if len(fields) != 4:
                raise FormatError(
                    f"{where}: found {len(fields)} fields, expected file, channel, start and end"
                )
            span = warnings.span(number(fields[2], where, "start"), number(fields[3], where, "end"), where)
            if span is None:
                continue
            start, end = span
            if not 0 <= start < end:
                raise FormatError(f"{where}: found {start} to {end} s, expected 0 <= start < end")
            regions.setdefault(FIELD.read(fields[0]), []).append((start, end))
    return {uri: _merged(own) for uri, own in regions.items()}


def _merged(regions: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Merge regions: those of several channels may overlap, but no second is scored twice."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(regions):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
