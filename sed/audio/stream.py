"""`open_audio`: opens a path, a stream of bytes or an array as an `AudioStream` of 16 kHz blocks."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Any

import numpy as np

from sed.audio.channels import ChannelMix
from sed.audio.decoders import ArrayDecoder, Decoder, SoundFileDecoder
from sed.audio.ffmpeg import FfmpegDecoder
from sed.audio.programs import WaitCallback
from sed.audio.resampling import Resampler, check_layout
from sed.errors import AudioError, MissingDependencyError, OptionError

logger = logging.getLogger("sed")

BLOCK_SECONDS = 10  # duration of a block
MAX_DECODED_BYTES = 4 << 20  # float32 decoded at once: ten seconds can be too much at a high rate
MAX_AMPLITUDE = 100.0  # larger samples mean a wrong scale; full scale is 1


class AudioStream:
    """An open recording. Iterating yields 16 kHz float32 blocks of about ten seconds.

    Blocks are ``(n,)``, or ``(n, channels)`` if channels are split. `uri` is its name, `duration` its length in seconds
    (None if unknown before the end), `sample_rate` and `channels` are those of the source. It can be read once.
    `on_block`, if set, is called with each block before it is yielded.
    Iteration raises `AudioError` at a sample that is not finite, and if the file is damaged from its start.
    """

    def __init__(
        self,
        decoder: Decoder,
        uri: str,
        channels: str | int,
        spool: IO[bytes] | None = None,
        name: str | None = None,
    ) -> None:
        self._decoder = decoder
        self._spool = spool
        self._choice = channels
        self._name = name or uri  # in messages: the path rather than the stem
        self.uri = uri
        self.on_block: Callable[[np.ndarray], None] | None = None
        self.sample_rate = decoder.rate
        self.channels = decoder.channels
        self.duration = None if decoder.frames is None else decoder.frames / decoder.rate
        if isinstance(channels, int) and channels > decoder.channels:
            self.close()
            has = "1 channel" if decoder.channels == 1 else f"{decoder.channels} channels"
            raise AudioError(f"{self._name}: found {has}, expected a channel {channels}")

        try:
            check_layout(self.sample_rate, self.channels)
            self._resampler = Resampler(self.sample_rate, self.channels if channels == "split" else 1)
        except AudioError as error:
            self.close()
            raise AudioError(f"{self._name}: {error}") from None

    def __enter__(self) -> AudioStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close files and end processes."""
        self._decoder.close()
        if self._spool is not None:
            self._spool.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        split = self._choice == "split"
        with _errors_about(self._name):
            for block in self._blocks():
                if block.size:
                    block = block if split else block[:, 0]
                    if self.on_block is not None:
                        self.on_block(block)
                    yield block

    def _blocks(self) -> Iterator[np.ndarray]:
        """Blocks ``(n, channels)`` at 16 kHz; memory is bounded for any rate and number of channels."""
        length = BLOCK_SECONDS * self.sample_rate
        max_samples = max(MAX_DECODED_BYTES // (4 * self.channels), 1)
        mix = ChannelMix(self.sample_rate, self.channels) if self._mixes else None
        done = 0
        parts: list[np.ndarray] = []
        while len(part := self._decoder.read(min(max_samples, length - done % length))):
            self._check(part, done)
            done += len(part)
            parts.append(self._resampler.push(self._select(part) if mix is None else mix.push(part)))
            if done % length == 0:
                yield np.concatenate(parts)
                parts = []
        if mix is not None:
            parts.append(self._resampler.push(mix.close()))
        if parts:
            yield np.concatenate(parts)
        yield self._resampler.close()
        for text in mix.remarks() if mix is not None else ():
            logger.warning("%s: %s", self._name, text)

    @property
    def _mixes(self) -> bool:
        return self._choice == "mix" and self.channels > 1

    def _select(self, block: np.ndarray) -> np.ndarray:
        return block[:, self._choice - 1 : self._choice] if isinstance(self._choice, int) else block

    def _check(self, block: np.ndarray, done: int) -> None:
        if (peak := np.abs(block).max()) <= MAX_AMPLITUDE:
            return
        wrong = ~(np.abs(block) <= MAX_AMPLITUDE)
        seconds = (done + int(wrong.any(1).argmax())) / self.sample_rate
        found = f"a sample of {peak:g}" if np.isfinite(peak) else "a sample that is not a finite number"
        raise AudioError(f"{self._name}: found {found} at {seconds:.3f} s, expected a full scale of 1")


@contextlib.contextmanager
def _errors_about(name: str) -> Iterator[None]:
    """Set `path` of errors raised in the block, so that callers need not parse messages."""
    try:
        yield
    except (AudioError, MissingDependencyError) as error:
        error.path = error.path or name
        raise


def open_audio(source: Any, channels: str | int = "mix", on_wait: WaitCallback | None = None) -> AudioStream:
    """Open a recording.

    `source` is a path, ``"-"`` (standard input), an open binary file, or ``(samples, sample_rate)`` with samples
    ``(n,)`` or ``(n, channels)``, float of full scale 1 or integer. Sources that cannot be read twice (streams, pipes)
    are first copied to a temporary file on disk. A truncated file is read to its last complete sample; gaps and a late
    start in the timestamps of a container become silence; both are logged as a warning. `channels` is ``mix`` (the
    mean, or the difference of two channels of opposite polarity), the number of one channel (from 1), or ``split``. A
    mix that loses audio, or that merges channels with one speaker each, is logged as a warning. `on_wait` is called a
    few times per second while waiting for ffmpeg, both here and while reading; an exception in it ends ffmpeg and is
    passed on.

    Raises `AudioError` if there is no audio, and on more than 32 channels or 384 kHz, `MissingDependencyError` if
    ffmpeg would be needed, and `OptionError` for unknown `channels`.

    >>> with open_audio((np.zeros((44100, 2), np.int16), 44100)) as audio:
    ...     print(audio.channels, audio.duration, sum(len(block) for block in audio) == 16000)
    2 1.0 True
    """
    check_channels(channels)
    if isinstance(source, tuple):
        if len(source) != 2:
            raise AudioError(f"a tuple of {len(source)} items: expected (samples, sample_rate)")
        return AudioStream(ArrayDecoder(*source), "array", channels)
    if isinstance(source, str) and source == "-":
        if sys.stdin is None:
            raise AudioError("stdin: closed, expected audio")
        with _errors_about("stdin"):
            return _open_binary(sys.stdin.buffer, "stdin", channels, on_wait=on_wait)
    if isinstance(source, str | PathLike):
        with _errors_about(_printable(Path(fspath(source)))):
            return _open_path(Path(fspath(source)), channels, on_wait)
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        if not isinstance(name, str):
            name = None
        uri = "stream" if name is None else Path(name).stem
        with _errors_about(name or uri):
            return _open_binary(source, uri, channels, name, on_wait)
    hint = ", an array with its rate" if hasattr(source, "__array__") else ""
    raise AudioError(
        f"{type(source).__name__}: expected a path, a binary file or (samples, sample_rate){hint}"
    )


def check_channels(channels: Any) -> None:
    """Raise `OptionError` if `channels` is not a valid choice."""
    numbered = isinstance(channels, int) and not isinstance(channels, bool) and channels >= 1
    if not numbered and channels not in ("mix", "split"):
        raise OptionError(f"channels {channels!r}: expected mix, split or the number of a channel from 1 on")


def _printable(path: Path) -> str:
    return str(path) if str(path).isprintable() else repr(str(path))


def _open_path(path: Path, channels: str | int, on_wait: WaitCallback | None) -> AudioStream:
    name = _printable(path)
    try:
        if path.is_dir():
            os.scandir(path).close()  # raises PermissionError if it is not readable
            raise AudioError(f"{name}: found a folder, expected an audio file")
        if (
            not path.is_file() and path.exists()
        ):  # a named pipe or process substitution: can be read only once
            with path.open("rb") as pipe:
                return _open_binary(pipe, path.stem, channels, name, on_wait)
        with path.open("rb") as file:
            if not file.read(1):
                raise AudioError(f"{name}: found an empty file, expected audio")
    except AudioError:
        raise
    except FileNotFoundError:
        raise AudioError(f"{name}: no such file") from None
    except PermissionError:
        raise AudioError(f"{name}: no permission to read it") from None
    except OSError as error:
        raise AudioError(f"{name}: cannot be read ({error.strerror or error})") from None
    except ValueError:
        raise AudioError(f"{str(path)!r}: not a valid file name") from None
    return AudioStream(_decoder(str(path), name, on_wait), path.stem, channels, name=name)


def _open_binary(
    file: IO[bytes],
    uri: str,
    channels: str | int,
    name: str | None = None,
    on_wait: WaitCallback | None = None,
) -> AudioStream:
    name = name or uri
    # libsndfile and ffmpeg need to seek and to know the length, so a stream is copied to a file on disk.
    try:
        spool = tempfile.NamedTemporaryFile(prefix="sed-", suffix=".audio")  # noqa: SIM115
    except OSError as error:  # all temporary folders are read-only or full
        raise AudioError(
            f"{name}: cannot be copied to a temporary file ({error.strerror or error})"
        ) from None
    try:
        while data := _read(file, name):
            _write(data, spool, name)
        if spool.tell() == 0:
            raise AudioError(f"{name}: found no bytes, expected audio")
        return AudioStream(_decoder(spool.name, name, on_wait), uri, channels, spool, name)
    except BaseException:
        with contextlib.suppress(OSError):  # a full disk
            spool.close()
        raise


def _read(file: IO[bytes], name: str) -> bytes:
    try:
        data = file.read(1 << 20)
    except AudioError:
        raise
    except (OSError, ValueError) as error:  # closed, or open for writing only
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{name}: cannot be read ({reason})") from None
    if isinstance(data, str):
        raise AudioError(f"{name}: found a text file object, expected a binary one")
    return data


def _write(data: bytes, spool: IO[bytes], name: str) -> None:
    try:
        spool.write(data)
        spool.flush()
    except OSError as error:
        folder = tempfile.gettempdir()
        raise AudioError(f"{name}: cannot be copied to {folder} ({error.strerror or error})") from None


def _decoder(path: str, name: str, on_wait: WaitCallback | None) -> Decoder:
    import soundfile

    try:
        return SoundFileDecoder(path, name, on_wait)
    except soundfile.LibsndfileError:
        return FfmpegDecoder(path, name, on_wait=on_wait)
