"""Which recordings are meant: files, folders, patterns, list files, URLs and ``-`` -> `Input`, each once."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sed.archive import remote
from sed.errors import OptionError

AUDIO_SUFFIXES = frozenset(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .caf .w64 .rf64 .sph .m4a .mp4 .aac .wma .amr"
    " .mka .mkv .webm .mov .3gp .ac3".split()
)


@dataclass(frozen=True, slots=True)
class Input:
    """One recording.

    `path` is as named: a path, a URL, or ``-`` (standard input). `relative` is its name in an output folder, with
    ``/`` between folders and the suffix of the audio. `version` changes when the file does; None: not known.

    >>> Input("calls/anna/1.b.wav", "anna/1.b.wav").uri, Input("calls/anna/1.b.wav", "anna/1.b.wav").stem
    ('1.b', 'anna/1.b')
    """

    path: str
    relative: str
    version: str | None = None

    @property
    def uri(self) -> str:
        """The name of the recording in results: the file's stem."""
        return "stdin" if self.path == "-" else PurePosixPath(self.relative).stem

    @property
    def stem(self) -> str:
        """Its name in an output folder without a suffix: unique among the inputs of a run."""
        return str(PurePosixPath(self.relative).with_suffix(""))


def find_inputs(names: Iterable[str], list_file: str | None = None) -> list[Input]:
    """The recordings behind `names` and the lines of `list_file` (``-``: standard input).

    A folder stands for every audio file in it, at any depth, and keeps its structure in the output; so does a
    pattern that the shell has left alone, below its fixed part. Folders and patterns may be URLs of fsspec. In a
    list, names keep their folders as written. A name that matches nothing is kept: opening it says why. Raises
    `OptionError` where a folder, pattern or list has no audio, or two inputs would have the same output,
    and `MissingDependencyError` for a URL whose protocol is not installed.
    """
    found: dict[str, Input] = {}
    for name in names:
        for item in _expand(name):
            found.setdefault(item.path, item)
    if list_file is not None:
        for name in _lines(list_file):
            for item in _listed(name):
                found.setdefault(item.path, item)
        if not found:
            raise OptionError(f"{list_file}: expected a path or URL a line, found none")
    outputs: dict[str, str] = {}
    for item in found.values():
        if (twin := outputs.setdefault(item.stem, item.path)) != item.path:
            raise OptionError(
                f"{twin} and {item.path} have the same name: expected names that differ "
                "(or name the folder above them, whose structure is kept)"
            )
    return list(found.values())


def _lines(list_file: str) -> Iterator[str]:
    try:
        if list_file == "-":
            yield from _named(sys.stdin)
        else:
            with open(list_file, encoding="utf-8-sig") as file:
                yield from _named(file)
    except OSError as error:
        raise OptionError(f"{list_file}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise OptionError(f"{list_file}: expected a list of paths as UTF-8 text") from None


def _named(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if (name := line.strip("\r\n")).strip() and not name.startswith("#"):
            yield name


def _listed(name: str) -> Iterable[Input]:
    """What a line of a list means; its folders are kept, so that nothing in a long list has a twin."""
    if name == "-":
        raise OptionError("found - in a list: expected paths and URLs")
    plain = PurePosixPath(remote.bare(name) if remote.is_url(name) else Path(name).as_posix())
    folders = [part for part in plain.parts if part not in ("/", "\\", "..", plain.anchor)]
    if remote.is_url(name) and not remote.is_file_url(name):
        if plain.suffix.lower() in AUDIO_SUFFIXES and not glob.has_magic(name):
            return [Input(name, "/".join(folders))]  # a request for each of a long list would take hours
    elif not os.path.isdir(remote.local(name)) and not glob.has_magic(name):
        return [_file(remote.local(name), "/".join(folders))]
    return [Input(i.path, "/".join([*folders, i.relative]), i.version) for i in _expand(name)]


def _expand(name: str) -> list[Input]:
    if name == "-":
        return [Input("-", "stdin")]
    if remote.is_url(name) and not remote.is_file_url(name):
        return [Input(url, relative, version) for url, relative, version in remote.find(name, AUDIO_SUFFIXES)]
    path = Path(remote.local(name))
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())
        if not files:
            raise OptionError(f"{name}: expected audio files in this folder, found none")
        return [_file(str(p), p.relative_to(path).as_posix()) for p in files]
    if not path.exists() and glob.has_magic(str(path)):
        files = sorted(Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file())
        if not files:
            raise OptionError(f"{name}: no file matches this pattern")
        fixed = Path(*_before_magic(path.parts))
        return [_file(str(p), p.relative_to(fixed).as_posix()) for p in files]
    return [_file(str(path) if remote.is_url(name) else name, path.name)]


def _before_magic(parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        if glob.has_magic(part):
            return
        yield part


def _file(path: str, relative: str) -> Input:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return Input(path, relative)
    return Input(path, relative, f"{status.st_size}-{status.st_mtime_ns}")
