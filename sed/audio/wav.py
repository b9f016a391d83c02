"""WAV and RF64 files whose header says less than the file holds: what to read instead of what it promises.

A recorder that crashed never wrote the length. The 32-bit length of a file over 4 GiB has wrapped round. Some programs
append further `data` chunks, and files joined end to end hold another WAV.
"""

from __future__ import annotations

import os
from typing import IO, NamedTuple

SCRAPS = 4096  # bytes that programs leave behind the samples and that are no sound: padding, a tag
UNKNOWN = 0x7FFF_0000  # sizes from here on are what programs write that cannot go back: "to the end"
_WRAP = 1 << 32
_FILES = (
    b"RIFF",
    b"RF64",
    b"BW64",
    b"FORM",
    b".snd",
    b"caff",
    b"fLaC",
    b"OggS",
)  # what begins other recordings
_MOST_CHUNKS = 256  # looked at behind the samples; a file may have millions
_MOST_BEFORE = 10_000  # looked at before them


class WavData(NamedTuple):
    """Where the samples of a WAV begin, how many bytes its header promises, and how many there are.

    `follows` counts the bytes behind the promised ones if they are no chunk, as where a recorder writes its header
    now and then, and crashes in between. `channels` and `rate` (Hz) are what the header says, -1 where it does not.
    `length` is how many bytes of samples the first chunk has, whatever is promised; `more` are the ranges
    ``(start, stop)`` of further ones. `start` is where this WAV begins in the file, `next` where another file may.
    """

    offset: int
    promised: int
    there: int
    follows: int = 0
    channels: int = -1
    rate: int = -1
    length: int = 0
    more: tuple[tuple[int, int], ...] = ()
    start: int = 0
    next: int | None = None
    is_rf64: bool = False

    @property
    def is_unfinished(self) -> bool:
        """Whether the recorder never came to write how much it recorded."""
        return self.promised == 0 and self.there > 0

    @property
    def has_wrapped(self) -> bool:
        """Whether the promised length is the last 32 bits of the real one."""
        return self.length - self.promised >= _WRAP and not self.is_unfinished

    @property
    def breaks_off(self) -> bool:
        """Whether there is less than promised; of an RF64 `sed.audio.containers.promised_bytes` knows."""
        return self.there < self.promised < UNKNOWN and not self.is_rf64

    @property
    def total(self) -> int:
        """Bytes of samples in all chunks."""
        return self.length + sum(stop - start for start, stop in self.more)

    def pieces(self) -> list[bytes | tuple[int, int]] | None:
        """The same sound behind a header that is right, for `sed.audio.ranges.Ranges`; None where it is already.

        Beyond 4 GiB that is an RF64 header.
        """
        readable = self.promised
        if self.promised >= UNKNOWN and not self.is_rf64:
            readable = max(self.promised, min(self.length, _WRAP - 1))
        if self.length <= readable and not self.more:
            return None
        before = (self.start + (48 if self.is_rf64 else 12), self.offset - 8)  # without its table of sizes
        riff = 4 + before[1] - before[0] + 8 + self.total
        samples = [(self.offset, self.offset + self.length), *self.more]
        if riff < _WRAP:
            head = b"RIFF" + riff.to_bytes(4, "little") + b"WAVE"
            return [head, before, b"data" + self.total.to_bytes(4, "little"), *samples]
        sizes = (riff + 36).to_bytes(8, "little") + self.total.to_bytes(8, "little") + bytes(12)
        head = b"RF64\xff\xff\xff\xffWAVEds64" + len(sizes).to_bytes(4, "little") + sizes
        return [head, before, b"data\xff\xff\xff\xff", *samples]


def wav_data(path: str, start: int = 0) -> WavData | None:
    """What the header of the WAV or RF64 at `start` says about its samples; None for any other file."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        file.seek(start)
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:12] != b"WAVE":
            return None
        sizes = None  # of an RF64
        if head[:4] != b"RIFF":
            sizes = file.read(36)
            if sizes[:8] != b"ds64\x1c\0\0\0":
                return None
        channels = rate = -1
        block = 1
        for _ in range(_MOST_BEFORE):
            if len(chunk := file.read(8)) < 8:
                break
            length = int.from_bytes(chunk[4:], "little")
            offset = file.tell()
            if chunk[:4] == b"data":
                if sizes is not None and length == _WRAP - 1:
                    length = int.from_bytes(sizes[16:24], "little")
                found = _samples(file, offset, length, size, sizes is not None)
                found = found._replace(channels=channels, rate=rate, start=start)
                if found.is_unfinished or found.offset + found.length >= size:
                    return found
                return _with_what_follows(file, found, block, size)
            if chunk[:4] == b"fmt " and len(form := file.read(14)) == 14:
                channels, rate = int.from_bytes(form[2:4], "little"), int.from_bytes(form[4:8], "little")
                block = max(int.from_bytes(form[12:], "little"), 1)
            file.seek(offset + length + length % 2)
    return None


def _samples(file: IO[bytes], offset: int, length: int, size: int, is_rf64: bool) -> WavData:
    """The chunk of samples at `offset`, of which `length` is said."""
    end = offset + length + length % 2
    closed = end >= size or _is_chunk(file, end, size)
    # Nothing promised, and the next chunk right behind: nothing was recorded.
    there = 0 if length == 0 and closed else size - offset
    real = min(length, there) if length else there
    follows = 0 if closed or not length else size - end
    if length and follows and not is_rf64:
        wrapped = length + (size - offset - length) // _WRAP * _WRAP
        end = offset + wrapped + wrapped % 2
        if wrapped > length and (end >= size or _is_chunk(file, end, size)):
            real, follows = wrapped, 0
        elif length >= UNKNOWN and follows > SCRAPS:
            real, follows = there, 0
    return WavData(offset, length, there, follows, length=real, is_rf64=is_rf64)


def _with_what_follows(file: IO[bytes], found: WavData, block: int, size: int) -> WavData:
    """`found` with further chunks of samples, and the place of another file behind it."""
    at = found.offset + found.length + found.length % 2
    more: list[tuple[int, int]] = []
    for _ in range(_MOST_CHUNKS):
        if not _is_chunk(file, at, size):
            break
        file.seek(at)
        head = file.read(8)
        if head[:4] in _FILES:
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
    return (named and int.from_bytes(head[4:], "little") <= size) or head[:4] in _FILES
