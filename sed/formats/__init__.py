"""Annotation files: one small module a format, behind one registry.

`write` and `read` pick the format by suffix, or by name (`names`). Files are written whole or not at all.

>>> from sed.result import Diarization, Segment
>>> result = Diarization("call", 9.0, [Segment(5, 8, "spk00", "angry", 0.71)])
>>> import sys; write(result, sys.stdout, "rttm")
SPEAKER call 1 5.000 3.000 angry <NA> spk00 0.71 <NA>
"""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import IO, Any, TypeGuard

from sed.errors import FormatError, OptionError
from sed.files import decode_text, load_bytes, save_bytes, to_bytes
from sed.formats import (
    audacity,
    csv,
    eaf,
    emotionml,
    json,
    lab,
    parquet,
    rttm,
    seglst,
    speechbrain,
    textgrid,
    webvtt,
)
from sed.formats.kind import Format
from sed.formats.recognise import hinted, of_text
from sed.formats.uem import read_uem
from sed.result import Diarization

_FORMATS: dict[str, Format] = {
    kind.name: kind
    for kind in (
        rttm.FORMAT,
        json.FORMAT,
        json.LINES,
        seglst.FORMAT,
        csv.FORMAT,
        lab.FORMAT,  # before Audacity: what has no suffix may be of either
        audacity.FORMAT,
        textgrid.FORMAT,
        webvtt.FORMAT,
        eaf.FORMAT,
        emotionml.FORMAT,
        parquet.FORMAT,
        speechbrain.FORMAT,
        speechbrain.ZED,
    )
}
__all__ = [
    "check",
    "dumps",
    "format_of",
    "is_binary",
    "names",
    "parse",
    "read",
    "read_all",
    "read_kind",
    "read_uem",
    "readable",
    "recognise",
    "suffix",
    "write",
]


def names() -> tuple[str, ...]:
    """The formats that can be written."""
    return tuple(name for name, kind in _FORMATS.items() if kind.dump or kind.pack)


def readable() -> tuple[str, ...]:
    """The formats that can be read."""
    return tuple(name for name, kind in _FORMATS.items() if kind.parse or kind.unpack)


def suffix(name: str) -> str:
    """The suffix of files of format `name`, with its dot. Raises `OptionError` for an unknown name."""
    return _kind(name).suffixes[0]


def is_binary(name: str) -> bool:
    """Whether files of format `name` are bytes and no text. Raises `OptionError` for an unknown name."""
    kind = _kind(name)
    return kind.pack is not None or kind.unpack is not None


def check(name: str) -> None:
    """Raises `MissingDependencyError` where format `name` needs an extra that is not installed."""
    if (needs := _kind(name).check) is not None:
        needs()


def format_of(path: str | PathLike[str]) -> str:
    """The format that the suffix of `path` stands for; the longest suffix counts.

    Raises `FormatError` for a suffix of no format.

    >>> format_of("a.rttm"), format_of("a.json"), format_of("a.seglst.json")
    ('rttm', 'json', 'seglst')
    """
    name = Path(path).name.lower()
    for kind in _FORMATS.values():
        if name in kind.file_names:
            return kind.name
    matches = [(len(s), kind.name) for kind in _FORMATS.values() for s in kind.suffixes if name.endswith(s)]
    if not matches:
        raise FormatError(f"{path}: {_no_suffix()}", path=str(path))
    return max(matches)[1]


def _no_suffix() -> str:
    known = ", ".join(sorted({s for kind in _FORMATS.values() for s in kind.suffixes}))
    return f"no format has this suffix, expected one of {known}"


def write(diarization: Diarization, target: str | PathLike[str] | IO[Any], format: str | None = None) -> None:
    """Write a result to a path, or to ``"-"`` (standard output) or an open file (which need a `format`).

    A file appears whole or not at all. Raises `FormatError` where the format cannot hold the result or the
    file cannot be written, and `OptionError` for an unknown or missing format.
    """
    if _is_path(target):
        save_bytes(dumps(diarization, format or format_of(target)), target)
        return
    if format is None:
        raise OptionError(f"no format for a stream: expected one of {', '.join(names())}")
    stream: Any = sys.stdout if target == "-" else target
    if is_binary(format):
        data = dumps(diarization, format)
        stream = getattr(stream, "buffer", stream)  # what is behind a stream of text
        if not _takes_bytes(stream):
            raise FormatError(f"{format} is no text: expected a file that is open for bytes")
        stream.write(data)
        return
    text = _dump(diarization, format)
    stream.write(text.encode() if _takes_bytes(stream) else text)


def dumps(diarization: Diarization, format: str) -> bytes:
    """The content of a file of that format: text in UTF-8, or the bytes of a format that is no text.

    Raises `FormatError` where the format cannot hold the result, and `OptionError` for an unknown format.

    >>> from sed.result import Segment
    >>> dumps(Diarization("call", 9.0, [Segment(5, 8, "spk00", "angry")]), "audacity")
    b'5.000000\\t8.000000\\tspk00: angry\\n'
    """
    kind = _kind(format)
    return kind.pack(diarization) if kind.pack else to_bytes(_dump(diarization, format))


def _takes_bytes(stream: Any) -> bool:
    return isinstance(stream, io.RawIOBase | io.BufferedIOBase) or "b" in str(getattr(stream, "mode", ""))


def read(
    source: str | PathLike[str] | IO[Any],
    format: str | None = None,
    *,
    uri: str | None = None,
    duration: float | None = None,
) -> Diarization:
    """The one recording in a file; `uri` picks one of several.

    A file that names none is a recording in which nothing happens. `duration` (seconds) is for formats that do
    not state it: in them a recording ends with its last segment. Raises `FormatError` where there are several,
    where a segment ends after `duration`, and as `read_all` does.
    """
    place = Path(source) if _is_path(source) else Path("stream")
    kind, found = read_kind(source, format)
    listed = ", ".join(d.uri for d in found[:5]) + (", ..." if len(found) > 5 else "")
    if uri is not None and found:
        found = [d for d in found if d.uri == uri]
        if not found:
            raise FormatError(f"{place}: found {listed}, expected {uri}")
    if len(found) > 1:
        raise FormatError(
            f"{place}: found {len(found)} recordings ({listed}), expected one (read_all reads several)"
        )
    if not found:
        found = [Diarization(uri or (_kind(kind).uri(place) if _is_path(source) else "stream"), 0.0, [])]
    result = found[0]
    if duration is None:
        return result
    if (end := max((s.end for s in result), default=0.0)) > duration + 0.001:
        raise FormatError(f"{place}: found a segment that ends at {end:g} s, expected at most {duration:g} s")
    return replace(result, duration=duration)


def read_all(source: str | PathLike[str] | IO[Any], format: str | None = None) -> list[Diarization]:
    """Every recording in a file, in order.

    `source` is a path, or ``"-"`` (standard input) or an open file (which need a `format`). The format of a file
    is recognised by its content, or by its name if the content is inconclusive. A recording that the format gives
    no name is named after the file. Raises `FormatError` where the file cannot be read, is of no known format or
    breaks its rules; the text names file and line.
    """
    return read_kind(source, format)[1]


def read_kind(
    source: str | PathLike[str] | IO[Any], format: str | None = None
) -> tuple[str, list[Diarization]]:
    """The name of the format of a file, which is read once, and what `read_all` gives."""
    if _is_path(source):
        return parse(load_bytes(source), Path(source), format)
    if format is None:
        raise OptionError(f"no format for a stream: expected one of {', '.join(readable())}")
    stream: Any = sys.stdin if source == "-" else source
    kind = _kind(format)
    if kind.unpack is None:
        return format, _parse(kind, stream.read(), Path("stream"))
    content = getattr(stream, "buffer", stream).read()
    if not isinstance(content, bytes):
        raise FormatError(f"{format} is no text: expected a file that is open for bytes")
    return format, kind.unpack(content, Path("stream"))


def parse(data: bytes, path: Path, format: str | None = None) -> tuple[str, list[Diarization]]:
    """The name of the format of `data`, the content of the file `path`, and its recordings; as `read_kind`."""
    if format is None and _is_bytes(data, path):
        format = "parquet"
    kind = None if format is None else _kind(format)
    if kind is not None and kind.unpack is not None:
        return kind.name, kind.unpack(data, path)
    text = decode_text(data, path)
    if kind is None and (kind := of_text(text, path, _FORMATS)) is None:
        raise FormatError(f"{path}: its content is of no format, and {_no_suffix()}", path=str(path))
    return kind.name, _parse(kind, text, path)


def recognise(data: bytes, path: Path) -> str | None:
    """The name of the format of `data`, the content of the file `path`; None where it is of none."""
    if _is_bytes(data, path):
        return "parquet"
    try:
        kind = of_text(decode_text(data, path), path, _FORMATS)
    except FormatError:
        return None
    return None if kind is None else kind.name


def _is_bytes(data: bytes, path: Path) -> bool:
    hint = hinted(path, _FORMATS.values())
    return data.startswith(parquet.MAGIC) or (hint is not None and hint.unpack is not None)


def _parse(kind: Format, text: str, path: Path) -> list[Diarization]:
    if kind.parse is None:
        raise FormatError(f"{path}: {kind.name} is only written, expected one of {', '.join(readable())}")
    return kind.parse(text, path)


def _is_path(source: str | PathLike[str] | IO[Any]) -> TypeGuard[str | PathLike[str]]:
    return isinstance(source, str | PathLike) and source != "-"


def _kind(name: str) -> Format:
    if name not in _FORMATS:
        raise OptionError(f"format {name!r}: expected one of {', '.join(_FORMATS)}")
    return _FORMATS[name]


def _dump(diarization: Diarization, format: str) -> str:
    kind = _kind(format)
    if kind.dump is None:
        raise OptionError(f"format {format} is only read: expected one of {', '.join(names())}")
    return kind.dump(diarization)
