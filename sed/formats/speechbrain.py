"""SpeechBrain's dictionary ``{file: [{"start", "end", "emotion"}]}``, ZED's reference ``ZED.json``, and manifests.

A manifest, as ``sed-prepare`` writes it, has the form of ``ZED.json`` with a speaker, and mostly one label per row: all
of the recording, or its part from ``start`` to ``stop``, has this label. The others have no speakers. The labels
``n h a s`` are read as neutral, happy, angry and sad.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from sed.errors import FormatError
from sed.formats.json import load, to_text
from sed.formats.kind import Format, make_segment, name, number, stem
from sed.formats.lenience import FileWarnings, file_warnings
from sed.formats.spelling import TEXT
from sed.result import Diarization, Segment

ROOT = "{data_root}/"  # stands for the folder of a manifest
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
    found: dict[str, Diarization] = {}
    with file_warnings(path) as warnings:
        for key, row in _items(text, path):
            where = f"{path}, {key}"
            if not isinstance(row, Mapping) or "duration" not in row or "emotion" not in row:
                raise FormatError(f"{where}: expected an object with duration and emotion")
            if isinstance(row["emotion"], str):
                one = _utterance(key, row, where, warnings)
            else:
                duration = number(row["duration"], where, "duration")
                one = Diarization(key, duration, _segments(row["emotion"], "emo", where, warnings))
            if (other := found.get(one.uri)) is not None:
                if row.get("start") is None:
                    raise FormatError(f"{where}: found a second recording named {one.uri}, expected one")
                one = replace(
                    one,
                    duration=max(one.duration, other.duration),
                    segments=sorted([*other.segments, *one.segments]),
                )
            found[one.uri] = one
    return list(found.values())


def _utterance(key: str, row: Mapping[str, Any], where: str, warnings: FileWarnings) -> Diarization:
    """The recording of a row of a manifest with one label: the row's part of it, or all of it, has this label."""
    start = 0.0 if row.get("start") is None else number(row["start"], where, "start")
    stop = row.get("duration") if row.get("stop") is None else row["stop"]
    end = number(stop, where, "stop" if row.get("stop") is not None else "duration")
    end += start if row.get("stop") is None else 0.0
    speaker = name(row.get("speaker"), where, "speaker")
    emotion = name(row["emotion"], where, "emotion")
    found = [make_segment(start, end, speaker, _WORDS.get(emotion or "", emotion), where, warnings)]
    uri = TEXT.read(recording_name(str(row.get("wav") or key)))
    return Diarization(uri, end, [segment for segment in found if segment])


def recording_name(wav: str) -> str:
    """The name that `sed-run` gives to an audio file of a manifest: its path from there, without suffix.

    >>> recording_name("{data_root}/anna/1.b.wav"), recording_name("/data/x{{1}}.flac")
    ('anna/1.b', 'x{1}')
    """
    inside = wav.startswith(ROOT)
    path = PurePosixPath(wav.removeprefix(ROOT).replace("{{", "{").replace("}}", "}"))
    last = stem(path.name)
    return (path.parent / last).as_posix() if inside else last


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
