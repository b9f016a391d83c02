"""`Format`, the registry's entry for one annotation format, and helpers that several formats share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from sed.errors import FormatError
from sed.formats.lenience import UNKNOWN, FileWarnings, short
from sed.formats.spelling import LINE, TEXT, Spelling
from sed.result import Diarization, Segment

MAX_TIERS = 100
"""Segments of one speaker at the same time, at most, in formats with tiers."""
_BLANKS = re.compile("[ \t\f\v]+")
_AUDIO = frozenset(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aif .aiff .au .caf .w64 .sph .m4a .mp4 .aac .wma .mkv .webm".split()
)


@dataclass(frozen=True)
class Format:
    """An annotation format: `dump` turns a result into text, `parse` a text (and its path) into results.

    Either may be None. A binary format has `pack` and `unpack` instead, to and from bytes. `suffixes` start with a
    dot; the first one is given to new files. `file_names` are complete file names of the format, in lower case.
    `check` raises `MissingDependencyError` if the format needs a package that is not installed. `sniff` decides by its
    first lines whether a text is of this format; None for JSON formats, which `json_kind` distinguishes.
    `dump_with_audio` is `dump` with the URL of the recording, for a format that plays it.
    """

    name: str
    suffixes: tuple[str, ...]
    dump: Callable[[Diarization], str] | None = None
    parse: Callable[[str, Path], list[Diarization]] | None = None
    file_names: tuple[str, ...] = ()
    pack: Callable[[Diarization], bytes] | None = None
    unpack: Callable[[bytes, Path], list[Diarization]] | None = None
    check: Callable[[], None] | None = None
    sniff: Callable[[str], bool] | None = None
    dump_with_audio: Callable[[Diarization, str], str] | None = None

    def uri(self, path: Path) -> str:
        """The recording that a file of this kind is named after.

        >>> Format("seglst", (".seglst.json", ".seglst")).uri(Path("out/call.1.seglst.json"))
        'call.1'
        """
        for suffix in sorted(self.suffixes, key=len, reverse=True):
            if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
                return path.name[: -len(suffix)]
        return path.stem


def number(value: Any, where: str, what: str) -> float:
    """`value` as a finite float; raises `FormatError` that names the position `where` and the field `what`."""
    try:
        if not isinstance(value, bool) and math.isfinite(found := float(value)):
            return found
    except (TypeError, ValueError, OverflowError):
        pass
    raise FormatError(f"{where}: found {what} {short(value)}, expected a number")


def name(value: Any, where: str, what: str, spelling: Spelling = TEXT) -> str | None:
    """The name escaped as `value` in `spelling`; None if it is unknown. Raises `FormatError` if it is not text."""
    if value is None or value in ("", UNKNOWN):
        return None
    if isinstance(value, str):
        return spelling.read(value)
    raise FormatError(f"{where}: found {what} {short(value)}, expected text")


def split_fields(line: str, least: int, most: int) -> list[str]:
    """The fields of a line, separated by blanks; their number should be from `least` to `most`.

    Blanks beyond ASCII (such as a no-break space) are part of a name, unless the number of fields is wrong: then the
    line was pasted from a page that uses them for all blanks.

    >>> split_fields("a\\u00a0b 1 0\\t5 ", 4, 4), split_fields("a\\u00a01\\u00a00 5", 4, 4)
    (['a\\xa0b', '1', '0', '5'], ['a', '1', '0', '5'])
    """
    if line.isascii():
        return line.split()
    fields = [field for field in _BLANKS.split(line) if field]
    return fields if least <= len(fields) <= most else line.split()


def one_line(value: str | None) -> str:
    """A speaker or emotion for formats in which a line break ends a name and surrounding blanks are stripped.

    Raises `FormatError` if it is blank, which would be read as silence, or the name that means unknown.

    >>> one_line("Ann  B"), one_line("Ann\\nB "), one_line(None)
    ('Ann  B', 'Ann%0AB%20', '<NA>')
    """
    if value is None:
        return UNKNOWN
    if value.strip() not in ("", UNKNOWN):
        return LINE.write(value)
    raise FormatError(
        f"found the speaker or emotion {value!r}, expected a name that is not blank and not {UNKNOWN}"
    )


def without_blanks(name: str) -> str:
    """A name for formats such as RTTM, in which blanks separate fields.

    >>> without_blanks("meld/Dr. Green")
    'meld/Dr._Green'
    """
    return "_".join(name.split())


def segment_of(
    row: Mapping[str, Any], where: str, warnings: FileWarnings, spelling: Spelling = TEXT
) -> Segment | None:
    """A segment from plain data (as of `Segment.to_dict`, names in `spelling`); see `make_segment`."""
    start, end = number(row.get("start"), where, "start"), number(row.get("end"), where, "end")
    speaker, emotion = (name(row.get(what), where, what, spelling) for what in ("speaker", "emotion"))
    probabilities = warnings.probabilities(row.get("probabilities"), where, spelling)
    confidence = warnings.confidence(row.get("confidence"), where)
    dimensions = warnings.dimensions(row.get("dimensions"), where, spelling)
    return make_segment(start, end, speaker, emotion, where, warnings, confidence, probabilities, dimensions)


def make_segment(
    start: float,
    end: float,
    speaker: str | None,
    emotion: str | None,
    where: str,
    warnings: FileWarnings,
    confidence: float | None = None,
    probabilities: Mapping[str, float] | None = None,
    dimensions: Mapping[str, float] | None = None,
) -> Segment | None:
    """A segment from a file; None if it ends before the recording starts, which is added to `warnings`.

    Raises `FormatError` that names the position `where` on invalid times.
    """
    if (span := warnings.span(start, end, where)) is None:
        return None
    try:
        return Segment(*span, speaker, emotion, confidence, probabilities or {}, dimensions or {})
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None


def collect(
    rows: Mapping[str, Sequence[Segment]], labels: Sequence[str] = (), dimensions: Sequence[str] = ()
) -> list[Diarization]:
    """Results from the segments of each recording; the duration is the end of its last segment."""
    return [
        Diarization(
            uri,
            max((s.end for s in segments), default=0.0),
            segments,
            tuple(labels),
            dimensions=tuple(dimensions),
        )
        for uri, segments in rows.items()
    ]


def stem(file: str) -> str:
    """The name of the recording of an audio file: without its folder and the suffix of audio.

    >>> stem("calls/monday.1.wav"), stem("monday.1")
    ('monday.1', 'monday.1')
    """
    path = PurePosixPath(file.replace("\\", "/"))
    return path.stem if path.suffix.lower() in _AUDIO else path.name or file


def is_audio(path: PurePath) -> bool:
    """Whether `path` has the suffix of an audio file."""
    return path.suffix.lower() in _AUDIO


def name_of(file: str, files: dict[str, str], where: str) -> str:
    """The `stem` of `file`; `files` maps each stem to the first file that has it.

    Raises `FormatError` if that is another file: their segments would be merged into one recording.
    """
    uri = stem(file)
    if (first := files.setdefault(uri, file)) != file:
        raise FormatError(
            f"{where}: found {file} and {first}, which are both named {uri}: expected names that differ"
        )
    return uri


def tiers_by_speaker(segments: Iterable[Segment]) -> list[tuple[str | None, list[Segment]]]:
    """Segments by speaker, in order of their first segment; those in one list do not overlap.

    A speaker with two emotions at once (as in some references) gets a second list. Raises `FormatError` on more than
    `MAX_TIERS` at once: the search for a free list would take quadratic time.

    >>> example = [Segment(0, 2, "a"), Segment(1, 3, "b"), Segment(1, 4, "a")]
    >>> [(speaker, len(tier)) for speaker, tier in tiers_by_speaker(example)]
    [('a', 1), ('a', 1), ('b', 1)]
    """
    found: dict[str | None, list[list[Segment]]] = {}
    for segment in sorted(segments):
        tiers = found.setdefault(segment.speaker, [])
        free = next((tier for tier in tiers if tier[-1].end <= segment.start), None)
        if free is None and len(tiers) == MAX_TIERS:
            raise FormatError(
                f"found more than {MAX_TIERS} segments of {segment.speaker} at once, expected fewer"
            )
        if free is None:
            tiers.append([segment])
        else:
            free.append(segment)
    return [(speaker, tier) for speaker, tiers in found.items() for tier in tiers]
