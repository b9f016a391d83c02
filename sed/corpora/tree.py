"""A published corpus (a folder, a ZIP or TAR archive, or a folder of archives) as one tree of named files.

Names are relative paths with forward slashes; hidden files and the ``__MACOSX`` folders of archives are skipped. Text
is read in place. Audio in a folder stays there; audio in an archive is extracted on request, into a folder beside the
manifest (`Tree.fetch`).
"""

from __future__ import annotations

import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO

from sed.errors import FormatError
from sed.files import NewFiles, is_hidden

AUDIO_SUFFIXES = frozenset(".wav .flac .ogg .opus .mp3 .m4a .mp4 .aac .aif .aiff .au .sph".split())
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".7z", ".rar")
READABLE_ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2")
_BLOCK_BYTES = 1 << 20
_READ_ERRORS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
)


def stem(name: str) -> str:
    """The file name in `name` without folders and suffix."""
    return PurePosixPath(name).stem


class Tree:
    """The files of a corpus: `names` is sorted, `title` identifies the corpus in messages."""

    def __init__(self, title: str, names: Iterable[str]) -> None:
        self.title = title
        self.names = sorted(name for name in names if _is_visible(name))

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    @cached_property
    def audio(self) -> list[str]:
        """The names of audio and video files."""
        return [name for name in self.names if PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES]

    def matching(self, pattern: str) -> list[str]:
        """The names whose part without folders matches the regular expression `pattern` fully, ignoring case."""
        expression = re.compile(pattern, re.IGNORECASE)
        return [name for name in self.names if expression.fullmatch(PurePosixPath(name).name)]

    @property
    def archives(self) -> list[str]:
        """The names of archives among the files; an archive inside an archive is not read."""
        return [name for name in self.names if name.lower().endswith(ARCHIVE_SUFFIXES)]

    def read_text(self, name: str, fallback: str = "cp1252") -> str:
        """The text of a file, decoded as UTF-8, UTF-16 (with a byte order mark) or `fallback`; lines end in ``\\n``."""
        data = self._read(name)
        is_utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        try:
            text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode(fallback, errors="replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def fetch(self, names: Iterable[str], folder: Path, new_files: NewFiles) -> dict[str, Path]:
        """The paths of the files `names` on disk; files in an archive are extracted into `folder`."""
        raise NotImplementedError

    def _read(self, name: str) -> bytes:
        raise NotImplementedError


class FolderTree(Tree):
    """A folder, except its subfolder `excluded`. Symbolic links are followed, each folder is read once."""

    def __init__(self, root: Path, excluded: Path | None = None) -> None:
        self.root, self._excluded = root, excluded
        super().__init__(str(root), self._walk())

    def _walk(self) -> Iterator[str]:
        seen = {os.path.realpath(path) for path in (self.root, self._excluded) if path is not None}
        for folder, folders, files in os.walk(self.root, followlinks=True):
            real = {name: os.path.realpath(Path(folder) / name) for name in sorted(folders)}
            folders[:] = [name for name in real if not name.startswith(".") and real[name] not in seen]
            seen.update(real[name] for name in folders)
            for name in files:
                yield (Path(folder) / name).relative_to(self.root).as_posix()

    def _read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise FormatError(f"{self.root / name}: cannot be read ({error.strerror or error})") from None

    def fetch(self, names: Iterable[str], folder: Path, new_files: NewFiles) -> dict[str, Path]:
        """The paths of the files in the folder; nothing is copied."""
        return {name: self.root / name for name in names}


class TableTree(FolderTree):
    """A single table, which names its audio files relative to its folder."""

    def __init__(self, table: Path) -> None:
        self.table = table
        super().__init__(table.parent)
        self.title = str(table)

    def _walk(self) -> Iterator[str]:
        yield self.table.name

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (self.root / name).is_file()


class ArchiveTree(Tree):
    """A ZIP or TAR file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_zip = zipfile.is_zipfile(path)
        self._sizes = self._convert_read_errors(self._list_sizes)
        super().__init__(str(path), self._sizes)
        if unsafe := [name for name in self._sizes if ".." in PurePosixPath(name).parts or name[:1] in "/\\"]:
            raise FormatError(f"{path}: found member {unsafe[0]!r}, expected paths inside the archive")

    def _convert_read_errors(self, work: Callable[[], dict[str, int]]) -> dict[str, int]:
        try:
            return work()
        except _READ_ERRORS as error:
            raise FormatError(f"{self.path}: the archive cannot be read ({error})") from None

    def _list_sizes(self) -> dict[str, int]:
        if self._is_zip:
            with zipfile.ZipFile(self.path) as archive:
                return {item.filename: item.file_size for item in archive.infolist() if not item.is_dir()}
        with tarfile.open(self.path) as tar:
            sizes = {item.name.removeprefix("./"): item.size for item in tar if item.isfile()}
            _read_to_end(tar)
            return sizes

    def _members(self, wanted: frozenset[str]) -> Iterator[tuple[str, IO[bytes]]]:
        if self._is_zip:
            with zipfile.ZipFile(self.path) as archive:
                for name in sorted(wanted):
                    with archive.open(name) as source:
                        yield name, source
            return
        with tarfile.open(self.path) as tar:  # one sequential pass: a compressed file has no random access
            for item in tar:
                name = item.name.removeprefix("./")
                if name in wanted and item.isfile() and (content := tar.extractfile(item)) is not None:
                    yield name, content

    @cached_property
    def _texts(self) -> dict[str, bytes]:
        """The contents of all text files of a TAR, because each lookup reads the archive from its start."""
        kinds = (".txt", ".csv", ".tsv", ".json", ".yaml")
        wanted = frozenset(name for name in self.names if name.lower().endswith(kinds))
        return {name: source.read() for name, source in self._members(wanted)}

    def _read(self, name: str) -> bytes:
        found: dict[str, bytes] = {}

        def work() -> dict[str, int]:
            if not self._is_zip and name in self._texts:
                found[name] = self._texts[name]
            else:
                found.update((n, source.read()) for n, source in self._members(frozenset([name])))
            return {}

        self._convert_read_errors(work)
        return found[name]

    def fetch(self, names: Iterable[str], folder: Path, new_files: NewFiles) -> dict[str, Path]:
        """Extract the files into `folder`, except those that are there already with their full size."""
        paths = {name: folder / name for name in names}
        wanted = frozenset(
            name
            for name, path in paths.items()
            if not (path.is_file() and path.stat().st_size == self._sizes[name])
        )

        def work() -> dict[str, int]:
            for name, source in self._members(wanted):
                with new_files.open(paths[name]) as target:
                    while block := source.read(_BLOCK_BYTES):
                        target.write(block)
            return {}

        if wanted:
            self._convert_read_errors(work)
        return paths


class ArchivesTree(FolderTree):
    """A folder of archives, as EmoV-DB is published: each appears as a folder with its name without suffix."""

    def __init__(self, root: Path, excluded: Path | None = None) -> None:
        super().__init__(root, excluded)
        self._archives: dict[str, ArchiveTree] = {}
        self._inside: dict[str, tuple[str, str]] = {}  # name: the archive's folder, name in the archive
        for archive in [name for name in self.names if name.lower().endswith(READABLE_ARCHIVE_SUFFIXES)]:
            prefix = re.sub(r"(\.tar)?\.\w+$", "", archive, flags=re.IGNORECASE)
            self._archives[prefix] = ArchiveTree(root / archive)
            self._inside |= {f"{prefix}/{name}": (prefix, name) for name in self._archives[prefix].names}
        self.names = sorted({*self.names, *self._inside})

    def _read(self, name: str) -> bytes:
        if name not in self._inside:
            return super()._read(name)
        prefix, inner = self._inside[name]
        return self._archives[prefix]._read(inner)

    def fetch(self, names: Iterable[str], folder: Path, new_files: NewFiles) -> dict[str, Path]:
        """The paths of the files; files in an archive are extracted into a subfolder of `folder` per archive."""
        names = list(names)
        paths = super().fetch([name for name in names if name not in self._inside], folder, new_files)
        for prefix, archive in self._archives.items():
            wanted = [self._inside[name][1] for name in names if self._inside.get(name, ("",))[0] == prefix]
            for inner, path in archive.fetch(wanted, folder / prefix, new_files).items():
                paths[f"{prefix}/{inner}"] = path
        return paths


def open_tree(source: str | Path, excluded: Path | None = None) -> Tree:
    """The tree of a folder, an archive, or a table (.csv, .tsv). Raises `FormatError` for anything else.

    Archives in a folder are read if the folder has no audio files. The folder `excluded` is skipped: files that an
    earlier run extracted are not part of the corpus.
    """
    path = Path(source)
    if path.is_dir():
        tree = FolderTree(path, excluded)
        archives = [name for name in tree.names if name.lower().endswith(READABLE_ARCHIVE_SUFFIXES)]
        return ArchivesTree(path, excluded) if archives and not tree.audio else tree
    if not path.is_file():
        raise FormatError(f"{path}: no such file or folder, expected a published corpus")
    if path.suffix.lower() in (".csv", ".tsv"):
        return TableTree(path)
    if not (zipfile.is_zipfile(path) or tarfile.is_tarfile(path)):
        raise FormatError(
            f"{path}: found another kind of file, expected a folder, a ZIP or TAR archive, or a CSV file"
        )
    return ArchiveTree(path)


def _read_to_end(tar: tarfile.TarFile) -> None:
    """Raise `tarfile.ReadError` if `tar` is damaged: tarfile itself treats a damaged header as the end of the
    archive, and never reads the checksum after the compressed data."""
    file = tar.fileobj
    assert file is not None
    file.seek(tar.offset)
    if any(file.read(tarfile.BLOCKSIZE)):
        raise tarfile.ReadError("a header is damaged")
    while file.read(_BLOCK_BYTES):
        pass


def _is_visible(name: str) -> bool:
    path = PurePosixPath(name)
    return not is_hidden(path) and "__MACOSX" not in path.parts
