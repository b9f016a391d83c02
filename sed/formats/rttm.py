"""RTTM, ten fields a line: the speaker in the name field, the emotion in the orthography field.

``SPEAKER file 1 start duration emotion <NA> speaker confidence <NA>``. Tools that know speakers only (md-eval,
dscore, meeteval, pyannote) read it as plain speaker diarization; a plain RTTM reads here with emotion None.
Times have three decimals, confidences two. The channel is not looked at: it is part of no name here.
"""

from __future__ import annotations

import math
from pathlib import Path

from sed.errors import FormatError
from sed.formats.kind import UNKNOWN, Format, collect
from sed.result import Diarization, Segment


def dump(diarization: Diarization) -> str:
    """RTTM lines of `diarization`, without a segment that would last 0.000 s."""
    uri = _field(diarization.uri, "recording")
    return "".join(line(segment, uri) for segment in diarization)


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
    if len(value.split()) != 1 or value[0].isspace() or value[-1].isspace() or value == UNKNOWN:
        raise FormatError(
            f"the {what} is named {value!r}: RTTM expects a name without blanks, and not {UNKNOWN}; rename it first "
            "(or choose another format, such as json)"
        )
    return value


def parse(text: str, path: Path) -> list[Diarization]:
    """Every SPEAKER line; other types and comments (``;;``) are passed over, and so is what lasts 0 s."""
    rows: dict[str, list[Segment]] = {}
    # An archive has a million lines: this loop does nothing twice, and words its errors when there is one.
    for count, content in enumerate(text.split("\n"), 1):
        fields = content.split()
        if not fields or fields[0] in _TYPES or fields[0][0] in ";#":
            continue
        try:
            if fields[0] != "SPEAKER":
                raise FormatError(f"found type {fields[0][:40]!r}, expected SPEAKER or another of RTTM")
            if not 8 <= len(fields) <= 10:
                raise FormatError(f"found {len(fields)} fields, expected 10")
            begin, lasting = _number(fields[3], "start"), _number(fields[4], "duration")
            if lasting < 0:
                raise FormatError(f"found duration {lasting}, expected 0 or more seconds")
            own = rows.setdefault(fields[1], [])
            # Sums of decimals are off by a hair: without rounding, turns that touch would overlap.
            if (end := round(begin + lasting, 6)) == begin:
                continue
            sure = None if len(fields) < 9 or fields[8] == UNKNOWN else _number(fields[8], "confidence")
            speaker, emotion = fields[7], fields[5]
            own.append(
                Segment(
                    begin,
                    end,
                    None if speaker == UNKNOWN else speaker,
                    None if emotion == UNKNOWN else emotion,
                    sure,
                )
            )
        except FormatError as error:
            raise FormatError(f"{path}, line {count}: {error}") from None
    return collect(rows)


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
FORMAT = Format("rttm", (".rttm",), dump, parse)
