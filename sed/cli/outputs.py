"""Where results go: ``-o rttm,json``, ``-o call.rttm``, ``-d folder`` -> what to write for each recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sed import formats
from sed.cli.inputs import Input
from sed.errors import FormatError, OptionError
from sed.result import Diarization

# Formats whose recordings can follow one another on standard output, each with its name.
STREAMABLE = ("rttm", "jsonl")


@dataclass(frozen=True)
class Outputs:
    """What to write: `kinds` are format names, `paths` pairs of a path and its format.

    With a `directory` every kind becomes a file there, named after the recording; without one the single
    kind goes to standard output.
    """

    kinds: tuple[str, ...]
    paths: tuple[tuple[Path, str], ...]
    directory: Path | None

    @classmethod
    def parse(cls, specs: Sequence[str], directory: str | None, recordings: int) -> Outputs:
        """From the values of ``-o`` (each may be a list with commas) and ``-d``.

        Raises `OptionError` where they contradict one another or name no known format.
        """
        kinds: list[str] = []
        paths: list[tuple[Path, str]] = []
        for item in (part for spec in specs for part in spec.split(",") if part):
            if item in formats.names():
                kinds.append(item)
            elif "." in item:
                try:
                    paths.append((Path(item), formats.format_of(item)))
                except FormatError as error:
                    raise OptionError(str(error)) from None
            else:
                raise OptionError(f"output {item!r}: expected a path or one of {', '.join(formats.names())}")
        if not kinds and not paths:
            kinds = ["rttm"]
        plan = cls(tuple(dict.fromkeys(kinds)), tuple(paths), Path(directory) if directory else None)
        plan._check(recordings)
        return plan

    def _check(self, recordings: int) -> None:
        if self.paths and recordings > 1:
            raise OptionError(
                f"output {self.paths[0][0]} for {recordings} recordings: expected formats and a folder (-d)"
            )
        if self.directory is None and len(self.kinds) > 1:
            raise OptionError(f"{len(self.kinds)} formats on standard output: expected one, or a folder (-d)")
        if self.directory is None and recordings > 1 and self.kinds and self.kinds[0] not in STREAMABLE:
            raise OptionError(
                f"{recordings} recordings as {self.kinds[0]} on standard output: "
                f"expected {' or '.join(STREAMABLE)}, or a folder (-d)"
            )
        if self.directory is not None and self.directory.exists() and not self.directory.is_dir():
            raise OptionError(f"{self.directory} is a file: expected a folder for -d")

    @property
    def to_stdout(self) -> bool:
        """Whether results go to standard output."""
        return self.directory is None and bool(self.kinds)

    def write(self, result: Diarization, source: Input, stdout: IO[str]) -> list[Path]:
        """Write everything that is wanted of `result`; returns the files, none of them half-written."""
        written = []
        for path, kind in self.paths:
            formats.write(result, path, kind)
            written.append(path)
        if self.directory is None:
            for kind in self.kinds:
                formats.write(result, stdout, kind)
            return written
        for kind in self.kinds:
            path = self.directory / source.relative.with_suffix(formats.suffix(kind))
            path.parent.mkdir(parents=True, exist_ok=True)
            formats.write(result, path, kind)
            written.append(path)
        return written
