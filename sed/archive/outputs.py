"""The values of ``-o`` and ``-d`` in (``-o rttm,json``, ``-o call.rttm``, ``-d folder``), what to write out.

A folder may be an fsspec URL. Rendering a result (to bytes) and delivering it (to a file, an object, standard
output) are separate steps, since a worker on another machine may only do the first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sed import formats, transcripts
from sed.archive import remote
from sed.archive.inputs import Input
from sed.errors import FormatError, OptionError, SedError
from sed.files import save_bytes
from sed.formats.html import audio_data, audio_link
from sed.formats.spelling import TEXT
from sed.result import Diarization
from sed.transcripts import Transcript

logger = logging.getLogger("sed")

# Formats that can hold several recordings on standard output, each with its name.
STREAMABLE = ("rttm", "jsonl")


@dataclass(frozen=True, slots=True)
class Product:
    """A result in one format: its content, and the path or URL to write it to (None: standard output)."""

    kind: str
    target: str | None
    data: bytes


@dataclass(frozen=True)
class Outputs:
    """What to write: `kinds` are format names, `paths` pairs of a path and its format.

    With a `directory` (a path or URL) every kind becomes a file there, named after the recording; without one the
    single kind goes to standard output. With `lines`, JSON lines go to standard output in addition. A format that plays
    the recording links it, relative to its own file, or with `embed_audio` contains it.
    """

    kinds: tuple[str, ...]
    paths: tuple[tuple[Path, str], ...]
    directory: str | None
    lines: bool = False
    embed_audio: bool = False

    @classmethod
    def parse(
        cls,
        specs: Sequence[str],
        directory: str | None,
        recordings: int,
        lines: bool = False,
        default: str = "rttm",
        embed_audio: bool = False,
    ) -> Outputs:
        """Parse the values of ``-o`` (each may be a comma-separated list), ``-d`` and of the two flags.

        `default` is the format if none is given.
        Raises `OptionError` if they contradict each other or name an unknown format, and `MissingDependencyError` if
        a format or the folder's protocol needs a package that is not installed.
        """
        kinds: list[str] = []
        paths: list[tuple[Path, str]] = []
        for item in (part for spec in specs for part in spec.split(",") if part):
            if item in formats.names():
                kinds.append(item)
            elif remote.is_url(item):
                raise OptionError(f"output {item}: expected a path, a format, or a URL as the folder (-d)")
            elif "." in item:
                try:
                    paths.append((Path(item), formats.format_of(item)))
                except FormatError as error:
                    raise OptionError(str(error)) from None
                if (kind := paths[-1][1]) not in formats.names():
                    raise OptionError(
                        f"output {item}: {kind} can only be read, expected one of {', '.join(formats.names())}"
                    )
            else:
                raise OptionError(f"output {item!r}: expected a path or one of {', '.join(formats.names())}")
        if not kinds and not paths and not (lines and directory is None):
            kinds = [default]
        for kind in [*kinds, *(kind for _, kind in paths)]:
            formats.check(kind)
        if directory == "":  # an unset shell variable
            raise OptionError("-d '': expected a folder")
        folder = None if directory is None else remote.local(directory)
        plan = cls(tuple(dict.fromkeys(kinds)), tuple(paths), folder, lines, embed_audio)
        if embed_audio and not any(map(formats.plays_audio, [*plan.kinds, *(kind for _, kind in paths)])):
            raise OptionError("--embed-audio is for the format html only")
        plan._check(recordings)
        return plan

    def _check(self, recordings: int) -> None:
        if self.paths and recordings > 1:
            raise OptionError(
                f"output {self.paths[0][0]} for {recordings} recordings: expected formats and a folder (-d)"
            )
        if self.directory is None and (several := len(self.kinds) + self.lines) > 1:
            raise OptionError(f"{several} formats on standard output: expected one, or a folder (-d)")
        if self.directory is None and recordings > 1 and self.kinds and self.kinds[0] not in STREAMABLE:
            raise OptionError(
                f"{recordings} recordings as {self.kinds[0]} on standard output: "
                f"expected {' or '.join(STREAMABLE)}, or a folder (-d)"
            )
        if self.directory is None:
            return
        if self.is_remote:
            remote.check(self.directory)
        elif Path(self.directory).exists() and not Path(self.directory).is_dir():
            raise OptionError(f"{self.directory} is a file: expected a folder for -d")

    def has(self, kind: str) -> bool:
        """Whether results are written in the format `kind`."""
        return kind in self.kinds or any(kind == own for _, own in self.paths)

    @property
    def to_stdout(self) -> bool:
        """Whether results go to standard output."""
        return self.lines or (self.directory is None and bool(self.kinds))

    @property
    def is_remote(self) -> bool:
        """Whether the folder is a URL."""
        return self.directory is not None and remote.is_url(self.directory)

    def names(self, source: Input) -> list[str]:
        """The files of a recording, relative to the folder, one for each of `kinds`.

        They are named after the audio. Object stores allow only UTF-8 names: other bytes are escaped as in results.
        """
        stem = TEXT.write(source.stem) if self.is_remote else source.stem
        return [stem + formats.suffix(kind) for kind in self.kinds]

    def render(
        self, result: Diarization, source: Input, words: Transcript | None = None
    ) -> tuple[list[Product], list[SedError]]:
        """`result` in every requested format, and an error for each format that cannot hold it.

        With `words`, a transcript of `add_words`, the formats that hold words are those of the transcript.
        """
        wanted: list[tuple[str, str | None]] = [(kind, str(path)) for path, kind in self.paths]
        for kind, name in zip(self.kinds, self.names(source), strict=True):
            wanted.append((kind, None if self.directory is None else remote.join(self.directory, name)))
        if self.lines:
            wanted.append(("jsonl", None))
        products: list[Product] = []
        errors: list[SedError] = []
        for kind, target in wanted:
            try:
                if words is not None and kind in transcripts.FORMATS:
                    data = transcripts.dumps(words, kind)
                else:
                    data = formats.dumps(result, kind, self._audio(kind, target, source))
                products.append(Product(kind, target, data))
            except Exception as error:
                if not isinstance(error, SedError | OSError | MemoryError):  # a bug in sed: log the traceback
                    logger.debug("%s as %s: %r", source.path, kind, error, exc_info=True)
                text = f"{source.path}: cannot be written as {kind} ({sentence(error)})"
                errors.append(FormatError(text, path=source.path, kind=kind))
        return products, errors

    def _audio(self, kind: str, target: str | None, source: Input) -> str | None:
        """The URL of the recording for a file of format `kind` at `target`; None if there is none that stays valid."""
        if not formats.plays_audio(kind) or source.path == "-":
            return None
        if remote.is_url(source.path):
            if self.embed_audio:
                raise OptionError("--embed-audio needs a local recording")
            return source.path if source.path.startswith(("http://", "https://")) else None
        if self.embed_audio:
            return audio_data(source.path)
        if target is None or remote.is_url(target):
            return None
        return audio_link(source.path, target)

    def deliver(
        self, products: Iterable[Product], stdout: IO[str] | None = None
    ) -> tuple[list[Product], list[SedError]]:
        """Write each product atomically to its target, independently of the others.

        Returns the products for standard output if `stdout` is None, and an error for each that could not be written.
        Raises `BrokenPipeError` if the reader of standard output has closed it.
        """
        remaining: list[Product] = []
        errors: list[SedError] = []
        for product in products:
            try:
                if product.target is None:
                    if stdout is None:
                        remaining.append(product)
                    else:
                        _print(product, stdout)
                elif remote.is_url(product.target):
                    remote.save_bytes(product.data, product.target)
                else:
                    if self.directory is not None:
                        _make_folder(Path(product.target).parent)
                    save_bytes(product.data, product.target)
            except SedError as error:
                errors.append(error)
            except BrokenPipeError:
                raise
            except OSError as error:
                place = product.target or "standard output"
                text = f"{place}: cannot be written ({error.strerror or error})"
                errors.append(FormatError(text, path=place, kind=product.kind))
        return remaining, errors


def sentence(error: BaseException) -> str:
    """The message of any error, on one line."""
    if isinstance(error, SedError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory"
    text = error.strerror or str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    return " ".join(text.splitlines())


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(
            f"{folder}: the folder cannot be created ({error.strerror or error})", path=str(folder)
        ) from None


def _print(product: Product, stdout: IO[str]) -> None:
    if formats.is_binary(product.kind):
        stream: Any = getattr(stdout, "buffer", stdout)
        stream.write(product.data)
    else:
        stdout.write(product.data.decode("utf-8"))
    stdout.flush()
