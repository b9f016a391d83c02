"""WAV and RF64 files whose header states less than the file contains: finds the samples that are really there.

A recorder that crashed never wrote the length. The 32-bit length of a file over 4 GiB overflows. Some programs append
further `data` chunks, and files joined end to end contain another WAV.
"""

from __future__ import annotations

import os
from typing import IO, NamedTuple

MAX_PADDING = 4096  # bytes after the samples that programs leave and that are not audio: padding, a tag
UNKNOWN = 0x7FFF_0000  # sizes from here on mean "to the end": written by programs that cannot seek back
_4_GIB = 1 << 32
_MAGIC = (b"RIFF", b"RF64", b"BW64", b"FORM", b".snd", b"caff", b"fLaC", b"OggS")  # of other recordings
_MAX_CHUNKS_AFTER = 256  # examined after the samples; a file may have millions
_MAX_CHUNKS_BEFORE = 10_000  # examined before them


class WavData(NamedTuple):
    """The samples of a WAV: their `offset`, the bytes `stated` in its header, and the bytes `available`.

    `following` counts the bytes after the stated ones if they are not a chunk, as when a recorder updates its header
    from time to time and crashes in between. `channels` and `rate` (Hz) are those of the header, -1 if it has none.
    `length` is the real number of bytes in the first `data` chunk; `more` are the ranges ``(start, stop)`` of further
    ones. `start` is the position of this WAV in the file, `next` that of another file that follows it.
    """

    offset: int
    stated: int
    available: int
    following: int = 0
    channels: int = -1
    rate: int = -1
    length: int = 0
    more: tuple[tuple[int, int], ...] = ()
    start: int = 0
    next: int | None = None
    is_rf64: bool = False

    @property
    def is_unfinished(self) -> bool:
        """Whether the recorder never wrote the length."""
        return self.stated == 0 and self.available > 0

    @property
    def has_overflowed(self) -> bool:
        """Whether the stated length is the lowest 32 bits of the real one."""
        return self.length - self.stated >= _4_GIB and not self.is_unfinished

    @property
    def is_truncated(self) -> bool:
        """Whether fewer bytes are available than stated; for RF64 see `sed.audio.containers.stated_bytes`."""
        return self.available < self.stated < UNKNOWN and not self.is_rf64

    @property
    def total(self) -> int:
        """Bytes of samples in all chunks."""
        return self.length + sum(stop - start for start, stop in self.more)

    def repaired(self) -> list[bytes | tuple[int, int]] | None:
        """The same samples after a corrected header, for `sed.audio.ranges.Ranges`; None if no correction is needed.

        Beyond 4 GiB that is an RF64 header.
        """
        readable = self.stated
        if self.stated >= UNKNOWN and not self.is_rf64:
            readable = max(self.stated, min(self.length, _4_GIB - 1))
        if self.length <= readable and not self.more:
            return None
        before = (self.start + (48 if self.is_rf64 else 12), self.offset - 8)  # without the ds64 chunk
        riff = 4 + before[1] - before[0] + 8 + self.total
        samples = [(self.offset, self.offset + self.length), *self.more]
        if riff < _4_GIB:
            head = b"RIFF" + riff.to_bytes(4, "little") + b"WAVE"
            return [head, before, b"data" + self.total.to_bytes(4, "little"), *samples]
        sizes = (riff + 36).to_bytes(8, "little") + self.total.to_bytes(8, "little") + bytes(12)
        head = b"RF64\xff\xff\xff\xffWAVEds64" + len(sizes).to_bytes(4, "little") + sizes
        return [head, before, b"data\xff\xff\xff\xff", *samples]


def wav_data(path: str, start: int = 0) -> WavData | None:
    """The samples of the WAV or RF64 file at `start` in a file; None for any other format."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        file.seek(start)
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:12] != b"WAVE":
            return None
        sizes = None  # the ds64 chunk of an RF64
        if head[:4] != b"RIFF":
            sizes = file.read(36)
            if sizes[:8] != b"ds64\x1c\0\0\0":
                return None
        channels = rate = -1
        block = 1
        for _ in range(_MAX_CHUNKS_BEFORE):
            if len(chunk := file.read(8)) < 8:
                break
            length = int.from_bytes(chunk[4:], "little")
            offset = file.tell()
            if chunk[:4] == b"data":
                if sizes is not None and length == _4_GIB - 1:
                    length = int.from_bytes(sizes[16:24], "little")
                found = _samples(file, offset, length, size, sizes is not None)
                found = found._replace(channels=channels, rate=rate, start=start)
                if found.is_unfinished or found.offset + found.length >= size:
                    return found
                return _with_following_chunks(file, found, block, size)
            if chunk[:4] == b"fmt " and len(form := file.read(14)) == 14:
                channels, rate = int.from_bytes(form[2:4], "little"), int.from_bytes(form[4:8], "little")
                block = max(int.from_bytes(form[12:], "little"), 1)
            file.seek(offset + length + length % 2)
    return None


def _samples(file: IO[bytes], offset: int, length: int, size: int, is_rf64: bool) -> WavData:
    """The samples at `offset`, for which the header states `length` bytes."""
    end = offset + length + length % 2
    closed = end >= size or _is_chunk(file, end, size)
    # Length 0, and the next chunk follows immediately: nothing was recorded.
    available = 0 if length == 0 and closed else size - offset
    real = min(length, available) if length else available
    following = 0 if closed or not length else size - end
    if length and following and not is_rf64:
        unwrapped = length + (size - offset - length) // _4_GIB * _4_GIB
        end = offset + unwrapped + unwrapped % 2
        if unwrapped > length and (end >= size or _is_chunk(file, end, size)):
            real, following = unwrapped, 0
        elif length >= UNKNOWN and following > MAX_PADDING:
            real, following = available, 0
    return WavData(offset, length, available, following, length=real, is_rf64=is_rf64)


def _with_following_chunks(file: IO[bytes], found: WavData, block: int, size: int) -> WavData:
    """`found` with further `data` chunks, and the position of another file after it."""
    at = found.offset + found.length + found.length % 2
    more: list[tuple[int, int]] = []
    for _ in range(_MAX_CHUNKS_AFTER):
        if not _is_chunk(file, at, size):
            break
        file.seek(at)
        head = file.read(8)
        if head[:4] in _MAGIC:
            found = found._replace(next=at)
            break
        offset, length = at + 8, int.from_bytes(head[4:8], "little")
        if head[:4] == b"data":
            more.append((offset, offset + min(length, size - offset) // block * block))
        at = offset + length + length % 2
    if more:
        found = found._replace(length=found.length // block * block, more=tuple(more))
    return found


def _is_chunk(file: IO[bytes], at: int, size: int) -> bool:
    file.seek(at)
    head = file.read(8)
    named = (len(head) == 8 and head[:4].strip(b" ").isalnum()) or head[:4] in (b"\xa9TIM", b"_PMX")
    return (named and int.from_bytes(head[4:], "little") <= size) or head[:4] in _MAGIC
