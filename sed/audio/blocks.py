"""Reads samples with timestamps from a pipe: a parser for the Matroska stream that ffmpeg writes, in bounded memory.

Raw samples carry no timestamps, and Matroska is the simplest container with both that every ffmpeg can write. Only
the output of ffmpeg's muxer for one track of 32-bit float PCM is supported, not Matroska in general.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

OUTPUT_FORMAT = ("-c:a", "pcm_f32le", "-f", "matroska")  # ffmpeg's output options for such a stream
TICKS_PER_SECOND = 1000  # of the timestamps

_READ = 1 << 16  # bytes requested from the pipe at once
_PARENTS = frozenset((0x18538067, 0x1F43B675, 0xA0))  # Segment, Cluster, BlockGroup: their children are read
_CLUSTER_TIME = 0xE7
_BLOCKS = frozenset((0xA3, 0xA1))  # SimpleBlock, Block
_BLOCK_HEADER = 4  # bytes before the samples of a block: track, time (2), flags


def timed_blocks(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yields each block of samples with its time in ticks of 1 / `TICKS_PER_SECOND` s.

    `read` returns up to n bytes, none at the end. A truncated stream ends with its last complete block.
    """
    source = _Buffer(read)
    cluster = 0
    try:
        while True:
            element = source.number(keep_marker=True)
            size = source.number(keep_marker=False)
            if element in _PARENTS:
                continue
            if element in _BLOCKS:
                header = source.take(_BLOCK_HEADER)
                time = cluster + int.from_bytes(header[1:3], "big", signed=True)
                yield time, source.take(size - _BLOCK_HEADER)
            elif element == _CLUSTER_TIME:
                cluster = int.from_bytes(source.take(size), "big")
            else:
                source.take(size)
    except EOFError:
        return


class _Buffer:
    """Buffers the bytes of a pipe, so that any number of them can be taken at once."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._data = b""
        self._position = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises `EOFError` if fewer are left."""
        if self._position + count > len(self._data):
            parts = [self._data[self._position :]]
            available = len(parts[0])
            while available < count:
                if not (part := self._read(_READ)):
                    raise EOFError
                parts.append(part)
                available += len(part)
            self._data, self._position = b"".join(parts), 0
        self._position += count
        return self._data[self._position - count : self._position]

    def number(self, keep_marker: bool) -> int:
        """An EBML variable-length integer: its leading zeros give the number of bytes that follow.

        Element ids keep the marker bit, sizes do not.
        """
        first = self.take(1)[0]
        if not first:
            raise EOFError  # longer than eight bytes: ffmpeg does not write that
        more = 8 - first.bit_length()
        value = first if keep_marker else first & ((1 << (7 - more)) - 1)
        return value << 8 * more | int.from_bytes(self.take(more), "big")
