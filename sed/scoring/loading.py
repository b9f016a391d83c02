"""Loading annotations to score: a file, a folder, a pattern or a list of files in, one `Diarization` per recording out.

The result also has the recordings whose duration is stated, and the files that could not be read with the reason, so
that the caller can continue and report them.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sed import formats
from sed.errors import FormatError, SedError
from sed.files import decode_text, is_hidden, load_bytes
from sed.formats.kind import is_audio
from sed.result import Diarization

VAGUE = (".txt", ".lab")
"""Suffixes of annotations and of many other kinds of files."""
LISTS = (".lst", ".list")
STATES_DURATION = frozenset({"json", "jsonl", "zed", "textgrid"})
"""Formats that state the duration; recordings in other formats are assumed to end with their last segment."""
MAY_STATE_DURATION = frozenset({"parquet", "eaf", "emotionml"})
"""Formats that state it if written by sed: trusted if a recording is longer than its last segment."""


class DuplicateRecordingError(FormatError):
    """A recording is in two files."""


@dataclass
class Annotations:
    """Annotations by recording; `stated` are the recordings whose format states the duration."""

    recordings: dict[str, Diarization] = field(default_factory=dict)
    stated: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def add(self, path: Path, found: Iterable[Diarization], kind: str) -> None:
        """Add the recordings of the file `path` of format `kind`; raises `FormatError` on duplicates."""
        for item in found:
            if item.uri in self.recordings:
                raise DuplicateRecordingError(
                    f"{item.uri} is in {self.origins[item.uri]} and in {path}: expected it in one file "
                    "(name files of one format, such as 'folder/*.rttm')"
                )
            self.recordings[item.uri] = item
            self.origins[item.uri] = str(path)
            if kind in STATES_DURATION or (
                kind in MAY_STATE_DURATION and item.duration > max((s.end for s in item), default=0.0)
            ):
                self.stated.add(item.uri)

    @property
    def durations_stated(self) -> bool:
        """Whether the duration of every recording is stated."""
        return self.stated >= self.recordings.keys()

    def rename(self, uri: str, new: str) -> None:
        """Rename the recording `uri` to `new`."""
        self.recordings[new] = replace(self.recordings.pop(uri), uri=new)
        if uri in self.stated:
            self.stated.symmetric_difference_update({uri, new})


def load(source: str | Path) -> Annotations:
    """Read the annotations of `source`.

    A folder stands for every file in it, at any depth, that has the suffix of an annotation format and is not hidden
    (as the journal of `sed-run -d` is); if there is none, for every file whose content is of such a format. A list
    (``.lst .list``, or any text file in which every line names a file) stands for its files, relative to the list or
    to the working directory. A file is read once, so it may be a pipe. Raises `FormatError` if a single file cannot be
    read, if a folder, pattern or list has no annotations, and if a recording occurs twice.
    """
    path = Path(source)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and not is_hidden(p.relative_to(path)))
        found = [p for p in files if _is_annotation(p)] or [p for p in files if _has_annotations(p)]
        if not found:
            raise FormatError(f"{path}: expected annotations in this folder, found none")
        return _load_files(found)
    if not path.exists() and glob.has_magic(str(source)):
        files = sorted(Path(p) for p in glob.glob(str(source), recursive=True) if Path(p).is_file())
        if not files:
            raise FormatError(f"{source}: no file matches this pattern")
        return _load_files(files)
    data = load_bytes(path)
    suffix = path.suffix.lower()
    if (suffix in LISTS or suffix == ".txt") and (listed := _listed(path, data, suffix in LISTS)):
        return _load_files(listed)
    result = Annotations()
    try:
        _add_file(path, data, result)
    except FormatError:
        if formats.recognise(data, path) is None and (listed := _listed(path, data, False)):
            return _load_files(listed)
        raise
    return result


def _load_files(files: Iterable[Path]) -> Annotations:
    result = Annotations()
    for file in files:
        try:
            _add_file(file, load_bytes(file), result)
        except DuplicateRecordingError:
            raise
        except SedError as error:
            result.failures[str(file)] = str(error)
    return result


def _is_annotation(path: Path) -> bool:
    """Whether the suffix is that of a readable format and unambiguous."""
    try:
        return path.suffix.lower() not in VAGUE and formats.format_of(path) in formats.readable()
    except FormatError:
        return False


def _has_annotations(path: Path) -> bool:
    """Whether the content is of a readable format that the file name does not state."""
    try:
        return not is_audio(path) and formats.recognise(load_bytes(path), path.with_suffix("")) is not None
    except FormatError:  # cannot be read
        return False


def _add_file(path: Path, data: bytes, result: Annotations) -> None:
    kind, found = formats.parse(data, path)
    result.add(path, found, kind)


def _listed(path: Path, data: bytes, certainly: bool) -> list[Path]:
    """The files that the lines of `data`, the content of `path`, name; empty if it is not a list of files.

    If `certainly` is set, raises `FormatError` unless the list names at least one file and all of them exist.
    """
    try:
        lines = decode_text(data, path).split("\n")
    except FormatError:
        if not certainly:
            return []
        if b"\0" in data:
            raise
        lines = os.fsdecode(data).splitlines()  # file names may not be UTF-8
    found = []
    for count, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        try:
            candidates = [p for p in (path.parent / line, Path(line)) if p.is_file()]
        except (OSError, ValueError):  # too long, or with zero bytes
            candidates = []
        if not candidates and certainly:
            raise FormatError(
                f"{path}, line {count}: no file {line[:80]} beside the list or in the working directory"
            )
        if not candidates:
            return []
        found.append(candidates[0])
    if certainly and not found:
        raise FormatError(f"{path}: found a list without files, expected one name per line")
    return found


def pair_single(references: Mapping[str, Diarization], hypotheses: Mapping[str, Diarization]) -> str | None:
    """The name of the only reference if there is one hypothesis with another name; None otherwise.

    >>> pair_single({"call": Diarization("call", 1.0, [])}, {"out": Diarization("out", 1.0, [])})
    'call'
    """
    if len(references) == len(hypotheses) == 1 and references.keys() != hypotheses.keys():
        return next(iter(references))
    return None


def match_folders(references: Iterable[str], hypotheses: Iterable[str]) -> dict[str, str]:
    """Names of hypotheses without a reference, with the reference that differs in leading folders only.

    If there are several such references, or several hypotheses for one, none is matched.

    >>> match_folders(["anna/1", "bob/1", "bob/2", "3"], ["2", "1", "x/3", "4"])
    {'2': 'bob/2', 'x/3': '3'}
    """
    known, found = set(references), list(hypotheses)
    free = known - set(found)
    candidates: dict[str, list[str]] = {name: [] for name in found if name not in known}
    tails: dict[str, list[str]] = {}
    for name in free:
        tails.setdefault(name.rpartition("/")[2], []).append(name)
    for name, own in candidates.items():
        for reference in tails.get(name.rpartition("/")[2], ()):
            if f"/{reference}".endswith(f"/{name}") or f"/{name}".endswith(f"/{reference}"):
                own.append(reference)
    pairs = {name: own[0] for name, own in candidates.items() if len(own) == 1}
    taken = Counter(pairs.values())
    return {name: reference for name, reference in pairs.items() if taken[reference] == 1}
