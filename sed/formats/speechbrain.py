"""SpeechBrain's dictionary ``{file: [{"start", "end", "emotion"}]}``, and ZED's reference ``ZED.json``.

Neither has speakers. The labels ``n h a s`` are read as neutral, happy, angry and sad.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sed.errors import FormatError
from sed.formats.json import load, to_text
from sed.formats.kind import Format, make_segment, name, number, stem
from sed.formats.lenience import FileWarnings, file_warnings
from sed.formats.spelling import TEXT
from sed.result import Diarization, Segment

_WORDS = {"n": "neutral", "h": "happy", "a": "angry", "s": "sad"}


def _segments(rows: Any, label: str, where: str, warnings: FileWarnings) -> list[Segment]:
    if not isinstance(rows, Iterable) or isinstance(rows, str | Mapping):
        raise FormatError(f"{where}: found {type(rows).__name__}, expected a list of emotional events")
    segments: list[Segment] = []
    for row in rows:
        if not isinstance(row, Mapping) or label not in row:
            raise FormatError(f"{where}: expected events with start, end and {label}")
        start, end = (number(row.get(key), where, key) for key in ("start", "end"))
        emotion = name(row[label], where, label)
        word = _WORDS.get(emotion or "", emotion)
        segments += filter(None, [make_segment(start, end, None, word, where, warnings)])
    return segments


def _items(text: str, path: Path) -> Iterable[tuple[str, Any]]:
    data = load(text, str(path))
    if not isinstance(data, dict):
        raise FormatError(
            f"{path}: found a JSON {type(data).__name__}, expected an object with one key per recording"
        )
    return data.items()


def _parse(text: str, path: Path) -> list[Diarization]:
    found: dict[str, Diarization] = {}
    with file_warnings(path) as warnings:
        for file, rows in _items(text, path):
            segments = _segments(rows, "emotion", f"{path}, {file}", warnings)
            if (uri := TEXT.read(stem(file))) in found:
                raise FormatError(
                    f"{path}, {file}: found a second recording named {uri}, expected names that differ"
                )
            found[uri] = Diarization(uri, max((s.end for s in segments), default=0.0), segments)
    return list(found.values())


def _parse_zed(text: str, path: Path) -> list[Diarization]:
    out = []
    with file_warnings(path) as warnings:
        for uri, row in _items(text, path):
            where = f"{path}, {uri}"
            if not isinstance(row, Mapping) or "duration" not in row or "emotion" not in row:
                raise FormatError(f"{where}: expected an object with duration and emotion")
            duration = number(row["duration"], where, "duration")
            out.append(Diarization(uri, duration, _segments(row["emotion"], "emo", where, warnings)))
    return out


def _dump(diarization: Diarization) -> str:
    """Speakers, confidences and segments without an emotion are lost: the format has no place for them."""
    rows = [
        {"start": s.start, "end": s.end, "emotion": TEXT.write(s.emotion)}
        for s in diarization
        if s.emotion is not None
    ]
    return (
        f"{{{to_text(TEXT.write(diarization.uri))}: ["
        + ",".join("\n " + to_text(row) for row in rows)
        + "\n]}\n"
    )


FORMAT = Format("speechbrain", (".speechbrain.json",), _dump, _parse)
ZED = Format("zed", (".zed.json",), None, _parse_zed, file_names=("zed.json",))
