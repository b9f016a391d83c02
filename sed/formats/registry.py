"""The registry: which formats there are, by name, by suffix and by what can be done with them."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from sed.errors import FormatError, OptionError
from sed.formats import (
    audacity,
    csv,
    eaf,
    emotionml,
    html,
    json,
    lab,
    npz,
    parquet,
    rttm,
    seglst,
    speechbrain,
    subtitles,
    textgrid,
    webvtt,
)
from sed.formats.kind import Format
from sed.formats.recognise import kind_by_name

FORMATS: dict[str, Format] = {
    kind.name: kind
    for kind in (
        rttm.FORMAT,
        json.FORMAT,
        json.LINES,
        seglst.FORMAT,
        csv.FORMAT,
        lab.FORMAT,  # before Audacity: a file without suffix may be either
        audacity.FORMAT,
        textgrid.FORMAT,
        webvtt.FORMAT,
        subtitles.SRT,
        subtitles.ASS,
        eaf.FORMAT,
        emotionml.FORMAT,
        parquet.FORMAT,
        npz.FORMAT,
        html.FORMAT,
        speechbrain.FORMAT,
        speechbrain.ZED,
    )
}


def names() -> tuple[str, ...]:
    """The formats that can be written."""
    return tuple(name for name, kind in FORMATS.items() if kind.dump or kind.pack)


def readable() -> tuple[str, ...]:
    """The formats that can be read."""
    return tuple(name for name, kind in FORMATS.items() if kind.parse or kind.unpack)


def suffix(name: str) -> str:
    """The suffix of files of format `name`, with its dot. Raises `OptionError` for an unknown name."""
    return kind_of(name).suffixes[0]


def is_binary(name: str) -> bool:
    """Whether files of format `name` are binary. Raises `OptionError` for an unknown name."""
    kind = kind_of(name)
    return kind.pack is not None or kind.unpack is not None


def check(name: str) -> None:
    """Raise `MissingDependencyError` if format `name` needs an extra that is not installed."""
    if (check_installed := kind_of(name).check) is not None:
        check_installed()


def format_of(path: str | PathLike[str]) -> str:
    """The format of the suffix of `path`; the longest matching suffix counts.

    Raises `FormatError` for an unknown suffix.

    >>> format_of("a.rttm"), format_of("a.json"), format_of("a.seglst.json")
    ('rttm', 'json', 'seglst')
    """
    name = Path(path).name.lower()
    for kind in FORMATS.values():
        if name in kind.file_names:
            return kind.name
    matches = [(len(s), kind.name) for kind in FORMATS.values() for s in kind.suffixes if name.endswith(s)]
    if not matches:
        raise FormatError(f"{path}: unknown suffix, expected one of {suffixes(FORMATS)}", path=str(path))
    return max(matches)[1]


def uri_of(path: str | PathLike[str]) -> str:
    """The recording that a file is named after: its name without the suffix of its format.
    >>> uri_of("out/call.1.seglst.json"), uri_of("a.b")
    ('call.1', 'a')
    """
    kind = kind_by_name(Path(path), FORMATS.values())
    return Path(path).stem if kind is None else kind.uri(Path(path))


def suffixes(names: Iterable[str]) -> str:
    """The suffixes of the formats `names`, for messages."""
    return ", ".join(sorted({s for name in names for s in FORMATS[name].suffixes}))


def plays_audio(name: str) -> bool:
    """Whether files of format `name` play the recording."""
    return kind_of(name).dump_with_audio is not None


def kind_of(name: str) -> Format:
    """The format `name`. Raises `OptionError` for an unknown one."""
    if name not in FORMATS:
        raise OptionError(f"format {name!r}: expected one of {', '.join(FORMATS)}")
    return FORMATS[name]
