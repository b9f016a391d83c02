"""WebVTT: a cue a segment, with the speaker as voice and the emotion as its text, for players and browsers."""

from __future__ import annotations

import html
import re
from pathlib import Path

from sed.errors import FormatError
from sed.formats.kind import Format, name, one_line
from sed.result import Diarization, Segment

_TIME = r"(?:(\d+):)?(\d\d):(\d\d\.\d\d\d)"
_CUE = re.compile(rf"{_TIME}\s+-->\s+{_TIME}")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]*)>")


def _stamp(seconds: float) -> str:
    milli = round(seconds * 1000)
    return f"{milli // 3_600_000:02d}:{milli // 60_000 % 60:02d}:{milli // 1000 % 60:02d}.{milli % 1000:03d}"


def _dump(diarization: Diarization) -> str:
    cues = ["WEBVTT\n"]
    for s in diarization:
        if round(s.end * 1000) <= round(s.start * 1000):
            continue
        voice = "" if s.speaker is None else f"<v {html.escape(one_line(s.speaker), quote=False)}>"
        text = html.escape(one_line(s.emotion), quote=False)
        cues.append(f"{_stamp(s.start)} --> {_stamp(s.end)}\n{voice}{text}\n")
    return "\n".join(cues)


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    return round(int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds), 3)


def _parse(text: str, path: Path) -> list[Diarization]:
    if not text.startswith("WEBVTT"):
        raise FormatError(f"{path}: expected a file that begins with WEBVTT")
    segments = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip().split("\n")
        if lines[0].split(" ")[0] in ("NOTE", "STYLE", "REGION"):
            continue
        for number, line in enumerate(lines[:2]):  # a cue may have a name before its times
            if not (match := _CUE.match(line)):
                continue
            payload = "\n".join(lines[number + 1 :])
            voice = _VOICE.search(payload)
            content = html.unescape(re.sub(r"<[^>]*>", "", payload)).strip()
            start, end = _seconds(*match.groups()[:3]), _seconds(*match.groups()[3:])
            who = name(html.unescape(voice[1]).strip() if voice else None, str(path), "voice")
            try:
                segments.append(Segment(start, end, who, name(content, str(path), "emotion")))
            except FormatError as error:
                raise FormatError(f"{path}: {error}") from None
            break
    return [Diarization(FORMAT.uri(path), max((s.end for s in segments), default=0.0), segments)]


FORMAT = Format("webvtt", (".vtt",), _dump, _parse)
