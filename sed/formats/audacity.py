"""Audacity labels: ``start<TAB>end<TAB>label``; the label is ``speaker: emotion``.

An unknown emotion, or an unknown emotion and speaker, is written as ``<NA>``; an emotion without a speaker is the whole
label, as in labels written by hand. Point labels have no duration and are ignored.
"""

from __future__ import annotations

from pathlib import Path

from sed.errors import FormatError
from sed.formats.kind import Format, make_segment, name, number, one_line
from sed.formats.lenience import file_warnings
from sed.formats.spelling import LINE
from sed.result import Diarization, Segment


def _dump(diarization: Diarization) -> str:
    return "".join(f"{s.start:.6f}\t{s.end:.6f}\t{_label(s)}\n" for s in diarization)


def _label(segment: Segment) -> str:
    emotion = one_line(segment.emotion)
    if ": " in emotion:
        raise FormatError(
            f"found the emotion {emotion!r}, expected none with ': ': the part before it would be read as a speaker"
        )
    return emotion if segment.speaker is None else f"{one_line(segment.speaker)}: {emotion}"


def names_of(label: str, where: str) -> tuple[str | None, str | None]:
    """The speaker and the emotion of a label; `where` is the position for error messages."""
    speaker, _, emotion = label.strip().rpartition(": ")
    return name(speaker, where, "speaker", LINE), name(emotion, where, "emotion", LINE)


def _parse(text: str, path: Path) -> list[Diarization]:
    segments: list[Segment] = []
    with file_warnings(path) as warnings:
        for count, line in enumerate(text.split("\n"), 1):
            if not line.strip() or line.startswith("\\"):  # Audacity's frequency lines start with a backslash
                continue
            fields = line.split("\t")
            where = f"{path}, line {count}"
            if len(fields) != 3:
                raise FormatError(
                    f"{where}: found {len(fields)} fields, expected start, end and label separated by tabs"
                )
            start, end = number(fields[0], where, "start"), number(fields[1], where, "end")
            if start == end:
                continue
            names = names_of(fields[2], where)
            segments += filter(None, [make_segment(start, end, *names, where, warnings)])
    return [Diarization(FORMAT.uri(path), max((s.end for s in segments), default=0.0), segments)]


def _sniff(text: str) -> bool:
    line = next((line for line in text[:10_000].split("\n") if line.strip() and line[0] != "\\"), "")
    return line.count("\t") == 2 and not line.split("\t")[0].strip("0123456789.+-eE ")


FORMAT = Format("audacity", (".txt", ".audacity"), _dump, _parse, sniff=_sniff)
