"""RTTM, ten fields per line: the speaker in the name field, the emotion in the orthography field.

``SPEAKER file 1 start duration emotion <NA> speaker confidence <NA>``. Speaker diarization tools (md-eval, dscore,
meeteval, pyannote) read it as plain RTTM; plain RTTM is read with emotion None. Times have three decimals, confidences
two. The channel is ignored. Blanks in names are written as ``%20`` (see `sed.formats.spelling`), since they separate
the fields.
"""

from __future__ import annotations

import math
from pathlib import Path

from sed.errors import FormatError
from sed.formats.kind import Format, collect, split_fields
from sed.formats.lenience import UNKNOWN, file_warnings
from sed.formats.spelling import FIELD
from sed.result import Diarization, Segment


def dump(diarization: Diarization) -> str:
    """The RTTM lines of `diarization`, without segments whose duration rounds to 0.000 s."""
    return "".join(line(segment, diarization.uri) for segment in diarization)


def line(segment: Segment, uri: str) -> str:
    """The line of one segment, or nothing if it rounds to 0.000 s (scorers refuse such lines).

    >>> line(Segment(5, 8, "spk00", "angry", 0.71), "call")
    'SPEAKER call 1 5.000 3.000 angry <NA> spk00 0.71 <NA>\\n'
    """
    start, end = round(segment.start * 1000), round(segment.end * 1000)
    if end <= start:
        return ""
    emotion, speaker = _field(segment.emotion, "emotion"), _field(segment.speaker, "speaker")
    confidence = UNKNOWN if segment.confidence is None else f"{segment.confidence:.2f}"
    times = f"{start / 1000:.3f} {(end - start) / 1000:.3f}"
    return (
        f"SPEAKER {_field(uri, 'recording')} 1 {times} {emotion} {UNKNOWN} {speaker} {confidence} {UNKNOWN}\n"
    )


def _field(value: str | None, what: str) -> str:
    if value is None:
        return UNKNOWN
    if not value:
        raise FormatError(
            f"found an empty name of the {what}, expected one that RTTM can hold (or another format, such as json)"
        )
    return FIELD.write(value)


def parse(text: str, path: Path) -> list[Diarization]:
    """Read every SPEAKER line; other types, comments (``;;``) and segments of 0 s are skipped."""
    rows: dict[str, list[Segment]] = {}
    with file_warnings(path) as warnings:
        # Corpora have millions of lines: this loop avoids repeated work and builds messages only on errors.
        for count, content in enumerate(text.split("\n"), 1):
            fields = split_fields(content, 8, 10)
            if not fields or fields[0] in _TYPES or fields[0][0] in ";#":
                continue
            try:
                if fields[0] != "SPEAKER":
                    raise FormatError(f"found type {fields[0][:40]!r}, expected SPEAKER or another RTTM type")
                if not 8 <= len(fields) <= 10:
                    raise FormatError(f"found {len(fields)} fields, expected 10")
                start, duration = _number(fields[3], "start"), _number(fields[4], "duration")
                if duration < 0:
                    raise FormatError(f"found duration {duration}, expected 0 or more seconds")
                uri, emotion, speaker = fields[1], fields[5], fields[7]
                if "%" in content:
                    uri, emotion, speaker = map(FIELD.read, (uri, emotion, speaker))
                own = rows.setdefault(uri, [])
                # Without rounding, floating-point errors would make adjacent turns overlap.
                if (end := round(start + duration, 6)) == start:
                    continue
                confidence = None
                if len(fields) > 8 and fields[8] != UNKNOWN:
                    confidence = warnings.confidence(fields[8], f"{path}, line {count}")
                if not content.isascii() and (odd := [f for f in fields if len(f.split()) > 1]):
                    first = f"{path}, line {count}: found {odd[0]!r}"
                    warnings.add("its non-ASCII blank is read as part of the name", first)
                if start < 0:
                    if (span := warnings.span(start, end, f"{path}, line {count}")) is None:
                        continue
                    start, end = span
                own.append(
                    Segment(
                        start,
                        end,
                        None if fields[7] == UNKNOWN else speaker,
                        None if fields[5] == UNKNOWN else emotion,
                        confidence,
                    )
                )
            except FormatError as error:
                raise FormatError(f"{path}, line {count}: {error}") from None
    return collect(rows)


def sniff(text: str) -> bool:
    """Whether the first line that is not a comment is RTTM.

    >>> sniff(";; made by hand\\nSPEAKER call 1 5.0 3.0 <NA> <NA> ann <NA> <NA>"), sniff("SPEAKER: hello, you there")
    (True, False)
    """
    rows = (line.split() for line in text[:10_000].split("\n"))
    fields = next((fields for fields in rows if fields and fields[0][0] not in ";#"), [])
    if len(fields) < 5 or fields[0] not in ("SPEAKER", *_TYPES):
        return False
    return all(field == UNKNOWN or _is_number(field) for field in fields[3:5])


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _number(text: str, what: str) -> float:
    try:
        if math.isfinite(found := float(text)):
            return found
    except ValueError:
        pass
    raise FormatError(f"found {what} {text[:40]!r}, expected a number")


_TYPES = frozenset(
    ["SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER", "EDIT", "IP", "SU"]
    + ["CB", "A/P", "SPKR-INFO"]
)
FORMAT = Format("rttm", (".rttm",), dump, parse, sniff=sniff)
