"""Annotations to score from where people keep them: a file, a folder, a pattern or a list of files.

What comes out is one `Diarization` a recording, whether their formats state how long recordings are, and the
files that could not be read with the reason, so that a caller can go on and still name them.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sed import formats
from sed.errors import FormatError, SedError
from sed.files import decode_text, is_hidden, load_bytes
from sed.formats.kind import is_audio
from sed.result import Diarization

VAGUE = (".txt", ".lab")
"""Suffixes that may be anything: transcripts, notes, annotations."""
LISTS = (".lst", ".list")
STATES_DURATION = frozenset({"json", "jsonl", "zed", "textgrid"})
"""Formats that say how long a recording is; in the others it seems to end where its last segment does."""
MAY_STATE_DURATION = frozenset({"parquet", "eaf", "emotionml"})
"""Formats that say it where sed wrote them: believed where a recording is longer than its last segment."""


class TwiceError(FormatError):
    """A recording is in two files, and which of them counts is not known."""


@dataclass
class Annotations:
    """Annotations by recording; `stated` are those whose format states how long the recording is."""

    recordings: dict[str, Diarization] = field(default_factory=dict)
    stated: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def take(self, path: Path, found: Iterable[Diarization], kind: str) -> None:
        """Add what the file `path` of format `kind` holds; two of one recording raise `FormatError`."""
        for item in found:
            if item.uri in self.recordings:
                raise TwiceError(
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
        """Whether the duration of every recording is known."""
        return self.stated >= self.recordings.keys()

    def rename(self, uri: str, new: str) -> None:
        """Let the recording `uri` be called `new`."""
        self.recordings[new] = replace(self.recordings.pop(uri), uri=new)
        if uri in self.stated:
            self.stated.symmetric_difference_update({uri, new})


def load(source: str | Path) -> Annotations:
    """Read the annotations behind `source`.

    A folder stands for every file in it, at any depth, whose suffix is that of an annotation format and that is not
    hidden (such as the journal of `sed-run -d`); where there is none, for every file whose content is of one. A
    text file (``.lst .list``, or any other where every line does) whose lines name files stands for those, relative to
    itself or to the working folder. A file is read once, so it may be a pipe. Raises `FormatError` where a single file
    cannot be read, where a folder, pattern or list has no annotations, and where a recording occurs twice.
    """
    path = Path(source)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and not is_hidden(p.relative_to(path)))
        found = [p for p in files if _is_annotation(p)] or [p for p in files if _has_annotations(p)]
        if not found:
            raise FormatError(f"{path}: expected annotations in this folder, found none")
        return _several(found)
    if not path.exists() and glob.has_magic(str(source)):
        files = sorted(Path(p) for p in glob.glob(str(source), recursive=True) if Path(p).is_file())
        if not files:
            raise FormatError(f"{source}: no file matches this pattern")
        return _several(files)
    data = load_bytes(path)
    suffix = path.suffix.lower()
    if (suffix in LISTS or suffix == ".txt") and (listed := _listed(path, data, suffix in LISTS)):
        return _several(listed)
    result = Annotations()
    try:
        _take(path, data, result)
    except FormatError:
        if formats.recognise(data, path) is None and (listed := _listed(path, data, False)):
            return _several(listed)
        raise
    return result


def _several(files: Iterable[Path]) -> Annotations:
    result = Annotations()
    for file in files:
        try:
            _take(file, load_bytes(file), result)
        except TwiceError:
            raise
        except SedError as error:
            result.failures[str(file)] = str(error)
    return result


def _is_annotation(path: Path) -> bool:
    """Whether the suffix is that of a format that can be read, and of nothing else."""
    try:
        return path.suffix.lower() not in VAGUE and formats.format_of(path) in formats.readable()
    except FormatError:
        return False


def _has_annotations(path: Path) -> bool:
    """Whether the content is of a format that can be read, in a file whose name does not state it."""
    try:
        return not is_audio(path) and formats.recognise(load_bytes(path), path.with_suffix("")) is not None
    except FormatError:  # cannot be read
        return False


def _take(path: Path, data: bytes, result: Annotations) -> None:
    kind, found = formats.parse(data, path)
    result.take(path, found, kind)


def _listed(path: Path, data: bytes, certainly: bool) -> list[Path]:
    """The files that the lines of `data`, the content of `path`, name; empty where that is no list of files.

    A list that `certainly` is one has to name files that exist, and some, else that is a `FormatError`.
    """
    try:
        lines = decode_text(data, path).split("\n")
    except FormatError:
        if not certainly:
            return []
        if b"\0" in data:
            raise
        lines = os.fsdecode(data).splitlines()  # names of files may have bytes that are not UTF-8
    found = []
    for count, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        try:
            candidates = [p for p in (path.parent / line, Path(line)) if p.is_file()]
        except (OSError, ValueError):  # too long for a name, or with zero bytes
            candidates = []
        if not candidates and certainly:
            raise FormatError(
                f"{path}, line {count}: no file {line[:80]} beside the list or in the working folder"
            )
        if not candidates:
            return []
        found.append(candidates[0])
    if certainly and not found:
        raise FormatError(f"{path}: found a list of no files, expected a name a line")
    return found


def pair_single(references: Mapping[str, Diarization], hypotheses: Mapping[str, Diarization]) -> str | None:
    """The name under which a lone hypothesis goes with a lone reference of another name; None where not so.

    >>> pair_single({"call": Diarization("call", 1.0, [])}, {"out": Diarization("out", 1.0, [])})
    'call'
    """
    if len(references) == len(hypotheses) == 1 and references.keys() != hypotheses.keys():
        return next(iter(references))
    return None
