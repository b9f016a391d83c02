"""WebVTT: one cue per segment, with the speaker as its voice tag and the emotion as its text, for media players.

A cue with several voice tags is one segment for each. Styles, positions and timestamps inside a cue are ignored; an
invalid line of times is refused.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

from sed.errors import FormatError
from sed.formats.kind import Format, make_segment, name, one_line
from sed.formats.lenience import file_warnings, short
from sed.formats.spelling import LINE
from sed.result import Diarization, Segment

_TIME = r"(?:(\d+):)?([0-5]\d):([0-5]\d\.\d\d\d)"
_CUE = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]*)>")
_HEADER = re.compile(r"WEBVTT(?![^ \t\n])")


def stamp(seconds: float) -> str:
    """A time as ``hours:minutes:seconds.milliseconds``.

    >>> stamp(3661.5)
    '01:01:01.500'
    """
    milli = round(seconds * 1000)
    return f"{milli // 3_600_000:02d}:{milli // 60_000 % 60:02d}:{milli // 1000 % 60:02d}.{milli % 1000:03d}"


def _dump(diarization: Diarization) -> str:
    cues = ["WEBVTT\n"]
    for s in diarization:
        if round(s.end * 1000) <= round(s.start * 1000):
            continue
        voice = "" if s.speaker is None else f"<v {html.escape(one_line(s.speaker), quote=False)}>"
        text = html.escape(one_line(s.emotion), quote=False)
        cues.append(f"{stamp(s.start)} --> {stamp(s.end)}\n{voice}{text}\n")
    return "\n".join(cues)


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    return round(int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds), 3)


def _cues(text: str) -> list[tuple[int, str, list[str]]]:
    """Line number and text of each line of times, and the lines of its cue, up to an empty line or the next cue."""
    cue: list[str] | None = None
    found: list[tuple[int, str, list[str]]] = []
    skipping = after_blank = False  # inside a block that is not a cue; after an empty line
    for count, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            cue, skipping, after_blank = None, False, True
            continue
        skipping |= after_blank and re.split(r"[ \t]", line)[0] in ("NOTE", "STYLE", "REGION")
        after_blank = False
        if "-->" in line and not skipping:
            cue = []
            found.append((count, line, cue))
        elif cue is not None:
            cue.append(line)
    return found


def _voices(payload: str) -> dict[str | None, str]:
    """The text of a cue by speaker (its voice tags); None for text without a voice tag."""
    before, *spans = _VOICE.split(payload)
    texts: dict[str | None, str] = {}
    for voice, part in [(None, before), *zip(spans[::2], spans[1::2], strict=True)]:
        who = None if voice is None else html.unescape(voice).strip()
        content = html.unescape(re.sub(r"<[^>]*>", "", part)).strip()
        if content or who is not None or not spans:
            texts[who] = f"{texts[who]}\n{content}" if who in texts else content
    return texts


def _parse(text: str, path: Path) -> list[Diarization]:
    if not _HEADER.match(text):
        raise FormatError(f"{path}: expected a file that starts with WEBVTT")
    segments: list[Segment] = []
    with file_warnings(path) as warnings:
        for count, times, lines in _cues(text):
            where = f"{path}, line {count}"
            if not (match := _CUE.fullmatch(times)):
                raise FormatError(
                    f"{where}: found {short(times)}, expected times such as 00:01.000 --> 00:02.500"
                )
            start, end = _seconds(*match.groups()[:3]), _seconds(*match.groups()[3:])
            for voice, content in _voices("\n".join(lines)).items():
                who, what = name(voice, where, "voice", LINE), name(content, where, "emotion", LINE)
                segments += filter(None, [make_segment(start, end, who, what, where, warnings)])
    return [Diarization(FORMAT.uri(path), max((s.end for s in segments), default=0.0), segments)]


FORMAT = Format("webvtt", (".vtt",), _dump, _parse, sniff=lambda text: _HEADER.match(text) is not None)
