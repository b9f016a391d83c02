"""Headers that say less than the file holds, and what to do about it, so that no audio is lost unseen.

libsndfile reads as much as a header promises. A recorder that crashed leaves a WAV whose header promises nothing;
an MP3 of varying bit rate without a table promises what its first frame suggests. `open_sound` opens a path with
`soundfile` so that reading goes on to the real end.
"""

from __future__ import annotations

import io
import logging
import os
import threading
from pathlib import Path
from typing import IO, Any, NamedTuple

from sed.audio.containers import last_ogg_page, promised_bytes
from sed.audio.ogg import seconds_missing
from sed.errors import AudioError

logger = logging.getLogger("sed")

_SCRAPS = 4096  # bytes that programs leave behind the samples and that are no sound: padding, a tag
_UNKNOWN = 0x7FFF_0000  # sizes from here on are what programs write that cannot go back: "to the end"


class WavData(NamedTuple):
    """Where the samples of a WAV begin, how many bytes its header promises, and how many there are.

    `follows` counts the bytes behind the promised ones if they are no chunk, as where a recorder writes its header
    now and then, and crashes in between. `channels` and `rate` (Hz) are what the header says, -1 where it does not.
    """

    offset: int
    promised: int
    there: int
    follows: int = 0
    channels: int = -1
    rate: int = -1

    @property
    def is_unfinished(self) -> bool:
        """Whether the recorder never came to write how much it recorded."""
        return self.promised == 0 and self.there > 0

    @property
    def breaks_off(self) -> bool:
        """Whether there is less than promised."""
        return self.there < self.promised < _UNKNOWN


def wav_data(path: str) -> WavData | None:
    """What the header of a RIFF WAV says about its samples; None for any other file."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return None
        channels = rate = -1
        while len(chunk := file.read(8)) == 8:
            length = int.from_bytes(chunk[4:], "little")
            offset = file.tell()
            if chunk[:4] == b"data":
                end = offset + length + length % 2
                closed = end >= size or _is_chunk(file, end, size)
                # Nothing promised, and the next chunk right behind: nothing was recorded.
                there = 0 if length == 0 and closed else size - offset
                return WavData(offset, length, there, 0 if closed else size - end, channels, rate)
            if chunk[:4] == b"fmt " and len(form := file.read(8)) == 8:
                channels, rate = int.from_bytes(form[2:4], "little"), int.from_bytes(form[4:], "little")
            file.seek(offset + length + length % 2)
    return None


def _is_chunk(file: IO[bytes], at: int, size: int) -> bool:
    file.seek(at)
    head = file.read(8)
    named = (len(head) == 8 and head[:4].strip(b" ").isalnum()) or head[:4] in (b"\xa9TIM", b"_PMX")
    return named and int.from_bytes(head[4:], "little") <= size


class Mp3Head(NamedTuple):
    """What the first frame of an MP3 says: whether there is a table of contents, and the bytes it covers."""

    has_table: bool
    covered: int | None
    there: int

    @property
    def goes_on(self) -> bool:
        """Whether more follows what the table covers, as when files were joined end to end."""
        return self.covered is not None and self.there > 1.01 * self.covered + 4096


def mp3_head(path: str) -> Mp3Head | None:
    """What the beginning of an MP3 says; None where there is no frame of layer 3 at its beginning."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        start = 0
        while (tag := file.read(10))[:3] == b"ID3":
            length = sum(byte << shift for byte, shift in zip(tag[6:10], (21, 14, 7, 0), strict=True))
            start += 10 + length + (10 if tag[5] & 0x10 else 0)
            file.seek(start)
        file.seek(start)
        frame = file.read(4096)
        if size >= 128:
            file.seek(-128, os.SEEK_END)
            size -= 128 if file.read(3) == b"TAG" else 0
    at = next((i for i in range(len(frame) - 3) if _is_layer_3(frame[i : i + 4])), None)
    if at is None:
        return None
    frame, there = frame[at:], size - start - at
    mpeg1, mono = frame[1] & 0x18 == 0x18, frame[3] >> 6 == 3
    side = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    xing = frame[4 + side :]
    if xing[:4] in (b"Xing", b"Info"):
        flags = int.from_bytes(xing[4:8], "big")
        place = 8 + (4 if flags & 1 else 0)
        return Mp3Head(True, int.from_bytes(xing[place : place + 4], "big") if flags & 2 else None, there)
    if (vbri := frame[36:])[:4] == b"VBRI":
        return Mp3Head(True, int.from_bytes(vbri[10:14], "big"), there)
    return Mp3Head(False, None, there)


def _is_layer_3(head: bytes) -> bool:
    sync = head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    return sync and head[1] & 0x18 != 0x08 and head[1] & 0x06 == 0x02 and head[2] >> 4 not in (0, 15)


class Sound:
    """An open `soundfile.SoundFile` (`file`).

    `exact` tells whether its number of frames can be relied on, `goes_on` whether the file holds more audio
    than libsndfile will find, `missing` how many seconds libsndfile will skip without a trace.
    """

    def __init__(
        self,
        file: Any,
        exact: bool,
        *,
        goes_on: bool = False,
        missing: float = 0.0,
        pipe: int | None = None,
        patched: _Patched | None = None,
    ) -> None:
        self.file = file
        self.exact = exact
        self.goes_on = goes_on
        self.missing = missing
        self._pipe = pipe
        self._patched = patched

    def close(self) -> None:
        """Close everything that was opened for it."""
        self.file.close()
        if self._patched is not None:
            self._patched.close()
        if self._pipe is not None:
            os.close(self._pipe)  # and the thread that fills it ends
            self._pipe = None


def open_sound(path: str, name: str) -> Sound:
    """Open `path` for reading to its real end; `name` is for messages.

    Raises `soundfile.LibsndfileError` where it is of no kind that libsndfile knows, `AudioError` where it is
    one without a header.
    """
    import soundfile

    data = wav_data(path)
    if data is not None and data.is_unfinished:
        logger.warning("%s: its header was never completed; all %d bytes are used", name, data.there)
        patched = _Patched(path, data.offset - 4)
        return Sound(soundfile.SoundFile(patched), True, patched=patched)
    if data is not None and 0 in (data.channels, data.rate):
        found = f"{data.channels} channels at {data.rate} Hz"
        raise AudioError(f"{name}: found a WAV header with {found}, expected at least 1 of each")
    if data is not None and data.breaks_off:
        logger.warning("%s: breaks off, %d of %d bytes are there", name, data.there, data.promised)
    if (promised := promised_bytes(path)) is not None and promised > (there := os.path.getsize(path)):
        logger.warning("%s: breaks off, %d of %d bytes are there", name, there, promised)
    try:
        file = soundfile.SoundFile(path)
    except TypeError:  # soundfile takes a suffix .raw at its word
        with open(path, "rb") as raw:
            if raw.read(4) not in (b"RIFF", b"fLaC", b"OggS"):
                raise AudioError(f"{name}: found samples without a header, expected an audio file") from None
        patched = _Patched(path, None)
        return Sound(soundfile.SoundFile(patched), True, patched=patched)
    if data is not None and data.follows > _SCRAPS:
        text = "%s: its header promises %d bytes of sound; %d further ones behind them are not used"
        logger.warning(text, name, data.promised, data.follows)
    if file.format == "OGG":
        ends, goes_on = last_ogg_page(path)
        if not ends:
            logger.warning("%s: an OGG without an end, as if it broke off; what is there is used", name)
        missing = seconds_missing(path)
        if goes_on or missing:
            return Sound(file, not goes_on, goes_on=goes_on, missing=missing)
    if file.format not in ("MP3", "MPEG"):
        return Sound(file, file.frames < 2**48)
    head = mp3_head(path)
    if head is None or head.has_table:
        return Sound(file, head is not None, goes_on=head is not None and head.goes_on)
    try:  # through a pipe libsndfile cannot guess a length, and decodes all there is
        pipe = _fed(path)
        through = soundfile.SoundFile(pipe, closefd=False)
    except (OSError, soundfile.LibsndfileError):
        logger.warning("%s: an MP3 that does not say how long it is; its end may be missing", name)
        return Sound(file, False)
    file.close()
    return Sound(through, False, pipe=pipe)


def _fed(path: str) -> int:
    """The reading end of a pipe into which a thread puts the file, until it is closed."""
    reading, writing = os.pipe()

    def feed() -> None:
        try:
            with open(path, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
                while data := source.read(1 << 16):
                    sink.write(data)
        except OSError:  # closed at the other end, or unreadable: either way this is the end
            pass

    threading.Thread(target=feed, name="sed-mp3", daemon=True).start()
    return reading


class _Patched(io.RawIOBase):
    """A file whose four bytes at `at` read as "to the end" (all ones); without a name, so without a suffix."""

    def __init__(self, path: str, at: int | None) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115
        self._at = at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        start = self._file.tell()
        count = self._file.readinto(buffer)
        if self._at is not None:
            view = memoryview(buffer).cast("B")
            for place in range(max(self._at, start), min(self._at + 4, start + count)):
                view[place - start] = 0xFF
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
