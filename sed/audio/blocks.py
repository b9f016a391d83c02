"""Samples with times from a pipe: the Matroska stream that ffmpeg writes is taken apart, in bounded memory.

Raw samples carry no times, and Matroska is the simplest container that every ffmpeg writes and that has both. Only
what ffmpeg's muxer makes of one track of 32-bit float PCM is understood here, not Matroska at large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

FORMAT = ("-c:a", "pcm_f32le", "-f", "matroska")  # options of ffmpeg for such an output
SCALE = 1000  # ticks of its clock in a second

_READ = 1 << 16  # bytes asked of the pipe at once
_INSIDE = frozenset((0x18538067, 0x1F43B675, 0xA0))  # Segment, Cluster, BlockGroup: what is in them matters
_CLUSTER_TIME = 0xE7
_BLOCKS = frozenset((0xA3, 0xA1))  # SimpleBlock, Block
_HEAD = 4  # bytes of a block before its samples: track, time (2), flags


def timed_blocks(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Each block of samples with its time in ticks of 1 / `SCALE` s; `read` gives up to n bytes, none at the end.

    A stream that breaks off ends with its last complete block.
    """
    source = _Buffer(read)
    cluster = 0
    try:
        while True:
            kind = source.number(keep_marker=True)
            size = source.number(keep_marker=False)
            if kind in _INSIDE:
                continue
            if kind in _BLOCKS:
                head = source.take(_HEAD)
                yield cluster + int.from_bytes(head[1:3], "big", signed=True), source.take(size - _HEAD)
            elif kind == _CLUSTER_TIME:
                cluster = int.from_bytes(source.take(size), "big")
            else:
                source.take(size)
    except EOFError:
        return


class _Buffer:
    """Bytes of a pipe, taken in any portions."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._data = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises `EOFError` where there are fewer."""
        if self._at + count > len(self._data):
            parts = [self._data[self._at :]]
            there = len(parts[0])
            while there < count:
                if not (part := self._read(_READ)):
                    raise EOFError
                parts.append(part)
                there += len(part)
            self._data, self._at = b"".join(parts), 0
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, keep_marker: bool) -> int:
        """A number of EBML, whose leading zeros say how many bytes follow; those of kinds keep their marker."""
        first = self.take(1)[0]
        if not first:
            raise EOFError  # no number of up to eight bytes: not what ffmpeg writes
        more = 8 - first.bit_length()
        value = first if keep_marker else first & ((1 << (7 - more)) - 1)
        return value << 8 * more | int.from_bytes(self.take(more), "big")
