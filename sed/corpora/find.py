"""Published corpora below one folder: names of corpora in, the folder or archive of each out.

A corpus is recognised by its own files (`CorpusReader.signature`), whatever its folder is called.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from sed.corpora.entries import CorpusReader
from sed.corpora.readers import find_reader
from sed.corpora.tree import READABLE_ARCHIVE_SUFFIXES, ArchiveTree, FolderTree
from sed.errors import FormatError

_ARCHIVE_SUFFIX = re.compile(r"(\.tar)?\.\w+$", re.IGNORECASE)


def find_corpora(folder: str | Path, names: Sequence[str]) -> dict[str, Path]:
    """The folder or archive of each of the corpora `names`, anywhere below `folder`.

    Archives are opened only for corpora that no folder holds. EmoV-DB's archives are found as their folder. Raises
    `FormatError`, which names every corpus that is missing and where it is published, and `OptionError` on an unknown
    corpus.
    """
    folder = Path(folder)
    readers = {name: find_reader(name) for name in names}
    if not folder.is_dir():
        raise FormatError(f"{folder}: found no such folder, expected one with {_wanted(readers.values())}")
    files = FolderTree(folder).names
    found = _roots(folder, files, readers)
    missing = {name: reader for name, reader in readers.items() if name not in found}
    if missing:
        found |= _in_archives(folder, files, missing)
    missing = {name: reader for name, reader in missing.items() if name not in found}
    if missing:
        places = ", ".join(f"{name} in {path}" for name, path in found.items()) or "none of the corpora"
        raise FormatError(f"{folder}: found {places}, expected also {_wanted(missing.values())}")
    return {name: found[name] for name in readers}


def _wanted(readers: Iterable[CorpusReader]) -> str:
    return "; ".join(
        f"{reader.title} ({reader.name}) with files such as {reader.example}, from {reader.url}"
        for reader in readers
    )


def _roots(folder: Path, files: Sequence[str], readers: Mapping[str, CorpusReader]) -> dict[str, Path]:
    """The folder with the most files of each corpus; the one nearest to `folder` of equal ones."""
    found = {}
    for name, reader in readers.items():
        pattern = re.compile(rf"(.*/)?{reader.signature}", re.IGNORECASE)
        roots = Counter(match[1] or "" for file in files if (match := pattern.fullmatch(file)))
        if roots:
            found[name] = folder / min(roots, key=lambda root: (-roots[root], root.count("/"), root))
    return found


def _in_archives(folder: Path, files: Sequence[str], readers: Mapping[str, CorpusReader]) -> dict[str, Path]:
    """The archive of each corpus; if several archives have files of one, the folder that holds them."""
    archives: dict[str, list[str]] = {}
    for archive in (file for file in files if file.lower().endswith(READABLE_ARCHIVE_SUFFIXES)):
        prefix = _ARCHIVE_SUFFIX.sub("", PurePosixPath(archive).name)
        inside = [f"{prefix}/{name}" for name in ArchiveTree(folder / archive).names]
        for name in _roots(folder, inside, readers):
            archives.setdefault(name, []).append(archive)
    return {
        name: folder / (found[0] if len(found) == 1 else PurePosixPath(found[0]).parent)
        for name, found in archives.items()
    }
