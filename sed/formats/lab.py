"""Label files of other programs, ``start end label`` per line, separated by blanks or tabs; read only.

Times are seconds if any has a decimal point. Integers are read as HTK's units of 100 ns if nothing else is possible;
otherwise they could be seconds, milliseconds or samples and are refused. The label is an emotion, or
``speaker: emotion``.
"""

from __future__ import annotations

import logging
from pathlib import Path

from sed.errors import FormatError
from sed.formats.audacity import names_of
from sed.formats.kind import Format, make_segment, number
from sed.formats.lenience import file_warnings, short
from sed.result import Diarization, Segment

logger = logging.getLogger("sed")

HTK = 10_000_000  # units per second
_SHORTEST = HTK // 10  # minimum duration of a file
_FRAME, _SAMPLE = HTK // 200, HTK // 16_000  # HTK's times are multiples of 5 ms or of a sample at 16 kHz


def _fields(line: str) -> list[str]:
    """Start, end and label, or fewer fields if some are missing."""
    return line.split("\t") if "\t" in line.strip() else line.split(None, 2)


def sniff(text: str) -> bool:
    """Whether the first line has a start, an end and a label.

    >>> sniff("0.5 1.5 sad\\n"), sniff("0.5\\t1.5\\tann: sad"), sniff("call 1 0.5 1.5")
    (True, True, False)
    """
    line = next((line for line in text[:10_000].split("\n") if line.strip() and line[0] != "\\"), "")
    try:
        start, end, _ = _fields(line)
        return float(start) <= float(end)
    except ValueError:
        return False


def _parse(text: str, path: Path) -> list[Diarization]:
    rows = []
    for count, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("\\"):  # Audacity's frequency lines start with a backslash
            continue
        if len(fields := _fields(line)) != 3:
            raise FormatError(f"{path}, line {count}: found {short(line)}, expected start, end and label")
        rows.append((f"{path}, line {count}", *fields))
    is_htk = _is_htk([(start.strip(), end.strip()) for _, start, end, _ in rows], path)
    segments: list[Segment] = []
    with file_warnings(path) as warnings:
        for where, *times, label in rows:
            start, end = (
                number(time, where, what) for time, what in zip(times, ("start", "end"), strict=True)
            )
            if is_htk:
                start, end, label = start / HTK, end / HTK, (label.split() or [""])[0]  # a score may follow
            if start != end:
                segments += filter(None, [make_segment(start, end, *names_of(label, where), where, warnings)])
    return [Diarization(FORMAT.uri(path), max((s.end for s in segments), default=0.0), segments)]


def _is_htk(spans: list[tuple[str, str]], path: Path) -> bool:
    """Whether times are HTK's rather than seconds. Raises `FormatError` if that cannot be decided."""
    if len(spans) > 1 and len({end for _, end in spans}) == 1 and spans[0][1].isdigit():
        raise FormatError(
            f"{path}: found {spans[0][1]} as the end in every line, which may be a colour as in xlabel: "
            "expected start, end and label"
        )
    times = {time for span in spans for time in span}
    if not times or not all(time.isascii() and time.isdigit() for time in times):
        return False
    values = {int(time) for time in times} - {0}
    frames = all(value % _FRAME == 0 for value in values)
    samples = len(values) > 2 and all(value % _SAMPLE == 0 for value in values)
    if max(values, default=0) < _SHORTEST or not (frames or samples):
        raise FormatError(
            f"{path}: found only integer times, which may be seconds, milliseconds or samples: expected seconds with "
            "a decimal point, such as 0.0 1.5 sad"
        )
    logger.warning("%s: integer times are read as HTK's units of 100 ns", path)
    return True


FORMAT = Format("lab", (".lab",), None, _parse, sniff=sniff)
