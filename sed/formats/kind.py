"""`Format`: what the registry knows of one kind of annotation file; and what several kinds share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from sed.errors import FormatError
from sed.formats.lenience import UNKNOWN, Remarks, short
from sed.formats.spelling import LINE, TEXT, Spelling
from sed.result import Diarization, Segment

_BLANKS = re.compile("[ \t\f\v]+")
_AUDIO = frozenset(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aif .aiff .au .caf .w64 .sph .m4a .mp4 .aac .wma .mkv .webm".split()
)


@dataclass(frozen=True)
class Format:
    """A kind of file: `dump` turns a result into its text, `parse` a text (and its path) into results.

    Either may be None. A format that is no text has `pack` and `unpack` in their place, to and from bytes.
    `suffixes` begin with a dot; the first one is given to new files. `file_names` are whole names, in lower case,
    that mean it too. `check` raises `MissingDependencyError` where the format needs what is not installed.
    `looks` states whether a text is of this kind, by its beginning; None for kinds of JSON, which `what_is` knows.
    """

    name: str
    suffixes: tuple[str, ...]
    dump: Callable[[Diarization], str] | None = None
    parse: Callable[[str, Path], list[Diarization]] | None = None
    file_names: tuple[str, ...] = ()
    pack: Callable[[Diarization], bytes] | None = None
    unpack: Callable[[bytes, Path], list[Diarization]] | None = None
    check: Callable[[], None] | None = None
    looks: Callable[[str], bool] | None = None

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
    """`value` as a finite float; raises `FormatError` with `where` and `what` it is otherwise."""
    try:
        if not isinstance(value, bool) and math.isfinite(found := float(value)):
            return found
    except (TypeError, ValueError, OverflowError):
        pass
    raise FormatError(f"{where}: found {what} {short(value)}, expected a number")


def name(value: Any, where: str, what: str, spelling: Spelling = TEXT) -> str | None:
    """`value`, in `spelling`, as the name of something, None where it is unknown; raises `FormatError`."""
    if value is None or value in ("", UNKNOWN):
        return None
    if isinstance(value, str):
        return spelling.read(value)
    raise FormatError(f"{where}: found {what} {short(value)}, expected text")


def split_fields(line: str, least: int, most: int) -> list[str]:
    """The fields between blanks, of which there should be from `least` to `most`.

    Blanks beyond ASCII (such as the one that does not break) are part of a name; where fields are lacking then, the
    line was pasted from a page that has them for every blank.

    >>> split_fields("a\\u00a0b 1 0\\t5 ", 4, 4), split_fields("a\\u00a01\\u00a00 5", 4, 4)
    (['a\\xa0b', '1', '0', '5'], ['a', '1', '0', '5'])
    """
    if line.isascii():
        return line.split()
    fields = [field for field in _BLANKS.split(line) if field]
    return fields if least <= len(fields) <= most else line.split()


def one_line(value: str | None) -> str:
    """A speaker or emotion for formats in which a line break ends it, and blanks around it do not count.

    Raises `FormatError` where it is blank, which would read back as silence, and on the name that means unknown.

    >>> one_line("Ann  B"), one_line("Ann\\nB "), one_line(None)
    ('Ann  B', 'Ann%0AB%20', '<NA>')
    """
    if value is None:
        return UNKNOWN
    if value.strip() not in ("", UNKNOWN):
        return LINE.write(value)
    raise FormatError(
        f"found the name {value!r} of a speaker or emotion, expected one that is not blank and not {UNKNOWN}"
    )


def without_blanks(name: str) -> str:
    """A name for formats such as RTTM, in which a blank ends it.

    >>> without_blanks("meld/Dr. Green")
    'meld/Dr._Green'
    """
    return "_".join(name.split())


def segment_of(
    row: Mapping[str, Any], where: str, notes: Remarks, spelling: Spelling = TEXT
) -> Segment | None:
    """The segment that plain data (as of `Segment.to_dict`, names in `spelling`) describe, as `make_segment`."""
    start, end = number(row.get("start"), where, "start"), number(row.get("end"), where, "end")
    speaker, emotion = (name(row.get(what), where, what, spelling) for what in ("speaker", "emotion"))
    shares = notes.probabilities(row.get("probabilities"), where, spelling)
    sure = notes.confidence(row.get("confidence"), where)
    return make_segment(start, end, speaker, emotion, where, notes, sure, shares)


def make_segment(
    start: float,
    end: float,
    speaker: str | None,
    emotion: str | None,
    where: str,
    notes: Remarks,
    confidence: float | None = None,
    probabilities: Mapping[str, float] | None = None,
) -> Segment | None:
    """A segment that was read, None where it is wholly before the recording, which `notes` keep.

    Raises `FormatError` with the place `where` on times that make no sense.
    """
    if (span := notes.span(start, end, where)) is None:
        return None
    try:
        return Segment(*span, speaker, emotion, confidence, probabilities or {})
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None


def collect(rows: Mapping[str, Sequence[Segment]], labels: Sequence[str] = ()) -> list[Diarization]:
    """Results from segments by recording; each lasts until its last segment ends."""
    return [
        Diarization(uri, max((s.end for s in segments), default=0.0), segments, tuple(labels))
        for uri, segments in rows.items()
    ]


def stem(file: str) -> str:
    """The recording that a file name stands for: without folder, and without the suffix of an audio file.

    >>> stem("calls/monday.1.wav"), stem("monday.1")
    ('monday.1', 'monday.1')
    """
    path = PurePosixPath(file.replace("\\", "/"))
    return path.stem if path.suffix.lower() in _AUDIO else path.name or file


def is_audio(path: PurePath) -> bool:
    """Whether the suffix of `path` is that of audio."""
    return path.suffix.lower() in _AUDIO


def name_of(file: str, files: dict[str, str], where: str) -> str:
    """The `stem` of `file`; `files` notes which file had it first.

    Raises `FormatError` where that was another one: their segments would become those of one recording.
    """
    uri = stem(file)
    if (first := files.setdefault(uri, file)) != file:
        raise FormatError(
            f"{where}: found {file} beside {first}, which both name the recording {uri}: expected names that differ"
        )
    return uri


def lanes(segments: Iterable[Segment]) -> list[tuple[str | None, list[Segment]]]:
    """Segments by speaker, in the order in which they speak; those in one list never overlap.

    A speaker who shows two emotions at once (an odd reference) gets a second list.

    >>> [(who, len(own)) for who, own in lanes([Segment(0, 2, "a"), Segment(1, 3, "b"), Segment(1, 4, "a")])]
    [('a', 1), ('a', 1), ('b', 1)]
    """
    found: dict[str | None, list[list[Segment]]] = {}
    for segment in sorted(segments):
        own = found.setdefault(segment.speaker, [])
        lane = next((lane for lane in own if lane[-1].end <= segment.start), None)
        if lane is None:
            own.append([segment])
        else:
            lane.append(segment)
    return [(speaker, lane) for speaker, own in found.items() for lane in own]
