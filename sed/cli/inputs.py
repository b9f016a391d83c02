"""Which recordings a command line names: files, folders, globs and ``-`` -> a list of inputs, each once."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sed.errors import OptionError

AUDIO_SUFFIXES = frozenset(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .caf .w64 .rf64 .sph .m4a .mp4 .aac .wma .amr"
    " .mka .mkv .webm .mov .3gp .ac3".split()
)


@dataclass(frozen=True)
class Input:
    """One recording: its `path` as named (``-`` is standard input) and its name in an output folder."""

    path: str
    relative: Path

    @property
    def uri(self) -> str:
        """The name of the recording in results: the file's stem."""
        return "stdin" if self.path == "-" else self.relative.stem


def find_inputs(names: Iterable[str]) -> list[Input]:
    """The recordings behind `names`.

    A folder stands for every audio file in it, at any depth, and keeps its structure in the output; a pattern
    that the shell has left alone is expanded here. A name that matches nothing is kept: opening it says why.
    Raises `OptionError` where a folder or pattern has no audio, or two inputs would have the same output.
    """
    found: dict[str, Input] = {}
    for name in names:
        for item in _expand(name):
            found.setdefault(item.path, item)
    counts = Counter(item.relative.with_suffix("") for item in found.values())
    for item in found.values():
        if counts[item.relative.with_suffix("")] > 1:
            twins = [
                i.path for i in found.values() if i.relative.with_suffix("") == item.relative.with_suffix("")
            ]
            raise OptionError(
                f"{' and '.join(twins)} have the same name: expected names that differ "
                "(or name the folder above them, whose structure is kept)"
            )
    return list(found.values())


def _expand(name: str) -> list[Input]:
    if name == "-":
        return [Input("-", Path("stdin"))]
    path = Path(name)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())
        if not files:
            raise OptionError(f"{name}: expected audio files in this folder, found none")
        return [Input(str(p), p.relative_to(path)) for p in files]
    if not path.exists() and glob.has_magic(name):
        files = sorted(Path(p) for p in glob.glob(name, recursive=True) if Path(p).is_file())
        if not files:
            raise OptionError(f"{name}: no file matches this pattern")
        return [Input(str(p), Path(p.name)) for p in files]
    return [Input(name, Path(path.name))]
