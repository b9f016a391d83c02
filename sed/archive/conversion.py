"""Annotation files from one format to another: files and folders in, one file per recording out.

What a target format cannot hold is found by reading back what was written, so it is right for every format.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sed import formats
from sed.errors import FormatError, OptionError, SedError
from sed.files import is_hidden, save_bytes
from sed.formats.html import audio_data, audio_link
from sed.result import Diarization

CONCATENABLE = ("rttm", "jsonl")
"""Formats whose files can be concatenated, each recording with its name."""


@dataclass(frozen=True)
class Target:
    """Where results go: every recording into `directory`, or all into the file `path`, or (neither) they are returned.

    Existing files are kept unless `force`. `audio` is a recording, or a folder with recordings by name, for formats
    that play it; it is linked, or with `embed_audio` contained.
    """

    kind: str
    directory: Path | None = None
    path: Path | None = None
    force: bool = False
    audio: Path | None = None
    embed_audio: bool = False


@dataclass
class Conversion:
    """The outcome: files written, the content for standard output, failures, and what was lost in how many files."""

    written: list[Path] = field(default_factory=list)
    output: list[bytes] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)

    def losses(self, kind: str) -> str | None:
        """One sentence on what the format `kind` could not hold; None if nothing was lost."""
        if not self.lost:
            return None
        parts = [
            f"{what} ({count} recording{'' if count == 1 else 's'})" for what, count in self.lost.items()
        ]
        return f"{kind} cannot hold, so left out: {', '.join(parts)}"


def find_annotations(names: Iterable[str]) -> list[tuple[Path, Path]]:
    """Every file that `names` stand for, with its name in an output folder.

    A folder stands for each file in it, at any depth, that has the suffix of a readable format and is not hidden.
    Raises `OptionError` if it has none.
    """
    found: dict[Path, Path] = {}
    for name in names:
        path = Path(name)
        if not path.is_dir():
            found.setdefault(path, Path(path.name))
            continue
        files = sorted(p for p in path.rglob("*") if p.is_file() and not is_hidden(p.relative_to(path)))
        files = [p for p in files if _is_annotation(p)]
        if not files:
            raise OptionError(f"{name}: expected annotations in this folder, found none")
        found.update({p: p.relative_to(path) for p in files})
    return list(found.items())


def _is_annotation(path: Path) -> bool:
    try:
        return formats.format_of(path) in formats.readable()
    except FormatError:
        return False


def convert(
    sources: Sequence[tuple[Path, Path]], target: Target, source_format: str | None = None
) -> Conversion:
    """Convert each file of `find_annotations`; one that fails is reported and costs nothing but itself.

    Raises `OptionError` if several recordings are to be one file of a format that holds only one.
    """
    done = Conversion()
    planned: dict[Path, Path] = {}
    for source, relative in sources:
        try:
            found = formats.read_all(source, source_format)
            if not found:
                raise FormatError(f"{source}: found no recording, expected one or more")
        except SedError as error:
            done.failures.append(str(error))
            continue
        for result, stem in _named(found, source, relative):
            if (
                target.directory is None
                and (done.output or target.path in planned)
                and target.kind not in CONCATENABLE
            ):
                raise OptionError(f"several recordings as one {target.kind} file: expected a folder (-d)")
            try:
                _convert_one(result, stem, source, target, planned, done)
            except SedError as error:
                done.failures.append(str(error))
    if target.path is not None and done.output:
        try:
            save_bytes(b"".join(done.output), target.path)
            done.written.append(target.path)
        except SedError as error:
            done.failures.append(str(error))
        done.output.clear()
    return done


def _named(found: Sequence[Diarization], source: Path, relative: Path) -> Iterator[tuple[Diarization, Path]]:
    """Each result with its path in an output folder, without suffix: the file's name, or the recording's of several."""
    for result in found:
        name = formats.uri_of(relative) if len(found) == 1 else Path(result.uri).name
        if not name or name in (".", "..") or "\0" in name:
            raise OptionError(f"{source}: found a recording named {result.uri!r}, expected a file name")
        yield result, relative.with_name(name)


def _convert_one(
    result: Diarization, stem: Path, source: Path, target: Target, planned: dict[Path, Path], done: Conversion
) -> None:
    place = target.path
    if target.directory is not None:
        place = target.directory / stem.with_name(stem.name + formats.suffix(target.kind))
        if place in planned:
            raise FormatError(
                f"{source}: {place} is also written from {planned[place]}, expected names that differ"
            )
    if place is not None and place not in planned:
        _check_free(place, source, target.force)
        planned[place] = source
    try:
        data = formats.dumps(result, target.kind, _audio(result, target, place))
    except SedError as error:
        raise FormatError(
            f"{source}: cannot be written as {target.kind} ({error})", path=str(source)
        ) from None
    done.lost.update(_lost(result, data, target.kind))
    if target.directory is None:
        done.output.append(data)
        return
    assert place is not None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(
            f"{place.parent}: the folder cannot be created ({error.strerror or error})"
        ) from None
    save_bytes(data, place)
    done.written.append(place)


def _check_free(place: Path, source: Path, force: bool) -> None:
    if not place.exists() or (not place.is_file() and not place.is_dir()):  # nothing there, or a pipe
        return
    if os.path.samefile(place, source):
        raise FormatError(f"{place}: is the input itself, expected another file")
    if not force:
        raise FormatError(f"{place}: exists, expected a new file (or --force)")


def _audio(result: Diarization, target: Target, place: Path | None) -> str | None:
    if target.audio is None:
        return None
    path = target.audio
    if path.is_dir():
        from sed.archive.inputs import AUDIO_SUFFIXES

        files = (p for p in sorted(path.rglob("*")) if p.suffix.lower() in AUDIO_SUFFIXES)
        match = next((p for p in files if p.stem == result.uri), None)
        if match is None:
            raise FormatError(f"{path}: found no recording named {result.uri}")
        path = match
    if target.embed_audio:
        return audio_data(path)
    return audio_link(path, place or Path("page.html"))


def _lost(result: Diarization, data: bytes, kind: str) -> list[str]:
    """What of `result` is not in `data`, its content as format `kind`."""
    if kind not in formats.readable():  # html: shown, not stored
        return []
    _, read = formats.parse(data, Path(f"{Path(result.uri).name}{formats.suffix(kind)}"), kind)
    found = read[0] if read else Diarization(result.uri, 0.0, [])
    lost = []
    for what in ("speaker", "emotion", "confidence", "probabilities", "dimensions"):
        before, after = ({getattr(s, what) not in (None, {}) for s in d} for d in (result, found))
        if True in before and True not in after:
            lost.append("names of speakers" if what == "speaker" else what + "s" * (what == "emotion"))
    if len(found) < len(result):
        lost.append("segments shorter than its resolution or with overlap")
    if result.posteriors is not None and found.posteriors is None:
        lost.append("frame posteriors")
    if result.dimension_track is not None and found.dimension_track is None:
        lost.append("the track of dimensions")
    if result.settings and not found.settings:
        lost.append("settings")
    if abs(found.duration - result.duration) > 0.001:
        lost.append("the duration of the recording")
    return lost
