"""Files, folders, patterns, list files, URLs and ``-`` in, the recordings they name out (`Input`), each once."""

from __future__ import annotations

import codecs
import fnmatch
import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sed.archive import remote
from sed.errors import OptionError
from sed.files import is_hidden

AUDIO_SUFFIXES = frozenset(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .caf .w64 .rf64 .sph .m4a .mp4 .aac .wma .amr"
    " .mka .mkv .webm .mov .3gp .ac3".split()
)


@dataclass(frozen=True, slots=True)
class Input:
    """One recording.

    `path` is as the user gave it: a path, a URL, or ``-`` (standard input). `relative` is its name in an output folder,
    with ``/`` between folders and the suffix of the audio. `version` changes when the file does; None if unknown.

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
        """Its name in an output folder without suffix; unique among the inputs of a run."""
        return str(PurePosixPath(self.relative).with_suffix(""))


def find_inputs(names: Iterable[str], list_file: str | None = None) -> list[Input]:
    """The recordings that `names` and the lines of `list_file` (``-``: standard input) stand for.

    A folder stands for every audio file in it that is not hidden, at any depth, following links; its structure is
    kept in the output. So is that of an unexpanded glob pattern, below its fixed part. Folders and patterns may be
    fsspec URLs. Names in a list keep their folders as written. Names that match nothing and folders that cannot be
    listed are kept: the error appears when they are opened. Raises `OptionError` if a folder, pattern or list has no
    audio or two inputs would have the same output, and `MissingDependencyError` for a URL whose protocol is not
    installed.
    """
    found: dict[str, Input] = {}
    for name in names:
        for item in _expand(name):
            found.setdefault(_location(item), item)
    if list_file is not None:
        for name in _lines(list_file):
            for item in _listed(name):
                found.setdefault(_location(item), item)
        if not found:
            raise OptionError(f"{list_file}: expected one path or URL per line, found none")
    outputs: dict[str, str] = {}
    for item in found.values():
        if (twin := outputs.setdefault(item.stem, item.path)) != item.path:
            raise OptionError(
                f"{twin} and {item.path} have the same name: expected names that differ "
                "(or name the folder above them, whose structure is kept)"
            )
    return list(found.values())


def _location(item: Input) -> str:
    """The absolute path or the URL: equal for different spellings of one file."""
    return item.path if item.path == "-" or remote.is_url(item.path) else os.path.abspath(item.path)


def check_names(recordings: Iterable[Input]) -> None:
    """Raise `OptionError` if two recordings have the same name in results: on standard output and among given turns,
    nothing else distinguishes them."""
    paths: dict[str, str] = {}
    for item in recordings:
        if (twin := paths.setdefault(item.uri, item.path)) != item.path:
            raise OptionError(
                f"{twin} and {item.path} are both named {item.uri} in results: expected names that differ "
                "(or results in a folder only, -d, whose structure keeps them apart)"
            )


def _lines(list_file: str) -> Iterator[str]:
    try:
        if list_file == "-":
            yield from _named(getattr(sys.stdin, "buffer", sys.stdin), list_file)
        else:
            with open(list_file, "rb") as file:
                yield from _named(file, list_file)
    except OSError as error:
        raise OptionError(f"{list_file}: cannot be read ({error.strerror or error})") from None


def _named(lines: Iterable[bytes | str], list_file: str) -> Iterator[str]:
    """The names in a list. Bytes that are not UTF-8 are kept: file names may contain them."""
    for count, line in enumerate(lines):
        if isinstance(line, bytes):
            if count == 0:
                line = line.removeprefix(codecs.BOM_UTF8)
            if b"\0" in line or (count == 0 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))):
                raise OptionError(f"{list_file}: expected a list of paths as UTF-8 text")
            line = os.fsdecode(line)
        if (name := line.strip("\r\n")).strip() and not name.startswith("#"):
            yield name


def _listed(name: str) -> Iterable[Input]:
    """The recordings of one line of a list; their folders are kept, so that names in a long list stay distinct."""
    if name == "-":
        raise OptionError("found - in a list: expected paths and URLs")
    plain = PurePosixPath(remote.bare(name) if remote.is_url(name) else Path(name).as_posix())
    folders = [part for part in plain.parts if part not in ("/", "\\", "..", plain.anchor)]
    if remote.is_url(name) and not remote.is_file_url(name):
        if plain.suffix.lower() in AUDIO_SUFFIXES and not glob.has_magic(str(plain)):
            return [Input(name, "/".join(folders))]  # one request per line would take hours for a long list
    elif not os.path.isdir(remote.local(name)) and not glob.has_magic(name):
        return [_file(remote.local(name), "/".join(folders))]
    return [Input(i.path, "/".join([*folders, i.relative]), i.version) for i in _expand(name)]


def _expand(name: str) -> list[Input]:
    if name == "-":
        return [Input("-", "stdin")]
    if not name:  # an unset shell variable, not the current folder
        raise OptionError("'': expected the name of a recording")
    if remote.is_url(name) and not remote.is_file_url(name):
        return [Input(url, relative, version) for url, relative, version in remote.find(name, AUDIO_SUFFIXES)]
    path = Path(remote.local(name))
    if path.is_dir():
        unreadable: list[Path] = []
        relative = {p: p.relative_to(path) for p in _walk(path, unreadable)}
        files = sorted(
            p for p, r in relative.items() if p.suffix.lower() in AUDIO_SUFFIXES and not is_hidden(r)
        )
        unreadable = sorted(p for p in unreadable if not is_hidden(p.relative_to(path)))
        if not files and not unreadable:
            raise OptionError(f"{name}: expected audio files in this folder, found none")
        return [
            *(_file(str(p), relative[p].as_posix()) for p in files),
            *(Input(str(p), (p.relative_to(path) / "*").as_posix()) for p in unreadable),
        ]
    if not path.exists() and glob.has_magic(str(path)):
        fixed = Path(*_before_magic(path.parts))
        files = sorted(_matching(path, fixed))
        if not files:
            raise OptionError(f"{name}: no file matches this pattern")
        return [_file(str(p), p.relative_to(fixed).as_posix()) for p in files]
    return [_file(str(path) if remote.is_url(name) else name, path.name)]


def _walk(root: Path, unreadable: list[Path]) -> Iterator[Path]:
    """Every file below a folder, following links; folders that cannot be listed are added to `unreadable`."""
    walk = os.walk(root, followlinks=True, onerror=lambda error: unreadable.append(Path(error.filename)))
    for place, folders, names in walk:
        here = Path(place)
        folders[:] = [name for name in folders if not _is_link_cycle(here / name, root)]
        for path in (os.path.join(place, name) for name in names):
            # No pipes; a dangling link is a missing recording.
            if os.path.isfile(path) or not os.path.exists(path):
                yield Path(path)


def _is_link_cycle(folder: Path, root: Path) -> bool:
    """Whether a folder below `root` is a link to one of its own parents, whose files were already visited."""
    if not folder.is_symlink():
        return False
    target = os.path.realpath(folder)
    above = (p for p in folder.parents if p.is_relative_to(root))
    return any(Path(os.path.realpath(p)).is_relative_to(target) for p in above)


def _matching(pattern: Path, root: Path) -> Iterator[Path]:
    """The files that match a pattern with the fixed part `root`; ``**`` uses `_walk`, since `glob` follows link
    cycles."""
    if "**" not in pattern.parts:
        return (p for p in map(Path, glob.glob(str(pattern))) if p.is_file())
    wanted = pattern.relative_to(root).parts
    wanted = (*wanted, "*") if wanted[-1] == "**" else wanted
    return (p for p in _walk(root, []) if _matches(p.relative_to(root).parts, wanted))


def _matches(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a path matches a pattern, part by part; only a part that starts with a dot matches hidden names."""
    if not wanted or not parts:
        return not wanted and not parts
    first, rest = wanted[0], wanted[1:]
    hidden = parts[0].startswith(".") and not first.startswith(".")
    if first == "**":
        return _matches(parts, rest) or (not hidden and _matches(parts[1:], wanted))
    return not hidden and fnmatch.fnmatchcase(parts[0], first) and _matches(parts[1:], rest)


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
