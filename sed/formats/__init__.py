"""Annotation files: one small module per format, behind one registry.

`write` and `read` pick the format by suffix, content or name (`names`). Files are written atomically.

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
from sed.formats import parquet
from sed.formats.kind import Format
from sed.formats.recognise import kind_by_name, recognise_text
from sed.formats.registry import (
    FORMATS,
    check,
    format_of,
    is_binary,
    kind_of,
    names,
    plays_audio,
    readable,
    suffix,
    suffixes,
    uri_of,
)
from sed.formats.uem import read_uem
from sed.result import Diarization

__all__ = [
    "check",
    "dumps",
    "format_of",
    "is_binary",
    "names",
    "parse",
    "plays_audio",
    "read",
    "read_all",
    "read_kind",
    "read_uem",
    "readable",
    "recognise",
    "suffix",
    "uri_of",
    "write",
]


def write(diarization: Diarization, target: str | PathLike[str] | IO[Any], format: str | None = None) -> None:
    """Write a result to a path, or to ``"-"`` (standard output) or an open file (which need a `format`).

    Paths are written atomically. Raises `FormatError` if the format cannot hold the result or the file cannot be
    written, and `OptionError` for an unknown or missing format.
    """
    if _is_path(target):
        save_bytes(dumps(diarization, format or format_of(target)), target)
        return
    if format is None:
        raise OptionError(f"a stream needs a format: expected one of {', '.join(names())}")
    stream: Any = sys.stdout if target == "-" else target
    if is_binary(format):
        data = dumps(diarization, format)
        stream = getattr(stream, "buffer", stream)  # the binary stream under a text stream
        if not _takes_bytes(stream):
            raise FormatError(f"{format} is binary: expected a file open in binary mode")
        stream.write(data)
        return
    text = _dump(diarization, format)
    stream.write(text.encode() if _takes_bytes(stream) else text)


def dumps(diarization: Diarization, format: str, audio: str | None = None) -> bytes:
    """The content of a file of that format, UTF-8 if it is text; `audio` is the URL that html plays.

    Raises `FormatError` if the format cannot hold the result, and `OptionError` for an unknown format.

    >>> from sed.result import Segment
    >>> dumps(Diarization("call", 9.0, [Segment(5, 8, "spk00", "angry")]), "audacity")
    b'5.000000\\t8.000000\\tspk00: angry\\n'
    """
    kind = kind_of(format)
    if audio is not None and kind.dump_with_audio is not None:
        return to_bytes(kind.dump_with_audio(diarization, audio))
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
    """The only recording in a file; `uri` picks one of several.

    A file without any is one recording without segments. `duration` (seconds) is for formats that do not state it: in
    them a recording ends with its last segment. Raises `FormatError` if there are several recordings, if a segment
    ends after `duration`, and as `read_all` does.
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
            f"{place}: found {len(found)} recordings ({listed}), expected one (use read_all for several)"
        )
    if not found:
        found = [Diarization(uri or (kind_of(kind).uri(place) if _is_path(source) else "stream"), 0.0, [])]
    result = found[0]
    if duration is None:
        return result
    if (end := max((s.end for s in result), default=0.0)) > duration + 0.001:
        raise FormatError(f"{place}: found a segment that ends at {end:g} s, expected at most {duration:g} s")
    return replace(result, duration=duration)


def read_all(source: str | PathLike[str] | IO[Any], format: str | None = None) -> list[Diarization]:
    """Every recording in a file, in order.

    `source` is a path, or ``"-"`` (standard input) or an open file (which need a `format`). The format of a file
    is recognised by its content, or by its name if the content is inconclusive. A recording without a name is named
    after the file. Raises `FormatError` if the file cannot be read, is of no known format or is invalid; the message
    names file and line.
    """
    return read_kind(source, format)[1]


def read_kind(
    source: str | PathLike[str] | IO[Any], format: str | None = None
) -> tuple[str, list[Diarization]]:
    """The name of the format of a file and the recordings that `read_all` returns; reads the file once."""
    if _is_path(source):
        return parse(load_bytes(source), Path(source), format)
    if format is None:
        raise OptionError(f"a stream needs a format: expected one of {', '.join(readable())}")
    stream: Any = sys.stdin if source == "-" else source
    kind = kind_of(format)
    if kind.unpack is None:
        return format, _parse(kind, stream.read(), Path("stream"))
    content = getattr(stream, "buffer", stream).read()
    if not isinstance(content, bytes):
        raise FormatError(f"{format} is binary: expected a file open in binary mode")
    return format, kind.unpack(content, Path("stream"))


def parse(data: bytes, path: Path, format: str | None = None) -> tuple[str, list[Diarization]]:
    """As `read_kind` for `data`, the content of the file `path`."""
    if format is None and _is_binary_content(data, path):
        format = "parquet"
    kind = None if format is None else kind_of(format)
    hint = kind_by_name(path, FORMATS.values()) if kind is None else kind
    if hint is not None and hint.pack is not None and hint.unpack is None:
        return hint.name, _parse(hint, "", path)  # raises the error for a format that can only be written
    if kind is not None and kind.unpack is not None:
        return kind.name, kind.unpack(data, path)
    text = decode_text(data, path)
    if kind is None and (kind := recognise_text(text, path, FORMATS)) is None:
        text = f"{path}: its content is of no known format and its suffix is unknown, expected {suffixes(readable())}"
        raise FormatError(text, path=str(path))
    return kind.name, _parse(kind, text, path)


def recognise(data: bytes, path: Path) -> str | None:
    """The name of the format of `data`, the content of the file `path`; None if it is unknown."""
    if _is_binary_content(data, path):
        return "parquet"
    try:
        kind = recognise_text(decode_text(data, path), path, FORMATS)
    except FormatError:
        return None
    return None if kind is None else kind.name


def _is_binary_content(data: bytes, path: Path) -> bool:
    hint = kind_by_name(path, FORMATS.values())
    return data.startswith(parquet.MAGIC) or (hint is not None and hint.unpack is not None)


def _parse(kind: Format, text: str, path: Path) -> list[Diarization]:
    if kind.parse is None:
        raise FormatError(f"{path}: {kind.name} can only be written, expected one of {', '.join(readable())}")
    return kind.parse(text, path)


def _is_path(source: str | PathLike[str] | IO[Any]) -> TypeGuard[str | PathLike[str]]:
    return isinstance(source, str | PathLike) and source != "-"


def _dump(diarization: Diarization, format: str) -> str:
    kind = kind_of(format)
    if kind.dump is None:
        raise OptionError(f"format {format} can only be read: expected one of {', '.join(names())}")
    try:
        return kind.dump(diarization)
    except OverflowError:  # times are written as whole milliseconds, or the like
        raise FormatError(f"{diarization.uri}: found a time that is too large for {format}") from None
