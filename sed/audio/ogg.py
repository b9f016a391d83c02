"""Gaps in an Ogg file: audio that its timestamps count, but that is missing.

Every Ogg page states the time at its end, in samples, which reveals lost or damaged pages and pauses of a live
recording. libsndfile reads the pages that exist as if nothing was missing; `fill_gaps` inserts silence.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

import numpy as np

from sed.audio.timeline import Timeline

_CONTINUED = 1  # page flag: starts with the rest of a packet
_NO_TIME = (1 << 64) - 1  # time of a page in which no packet ends
_CHUNK = 1 << 20  # bytes read at once
_MAX_PACKET = 1 << 20  # bytes of a packet that are kept
_MAX_PAGE = 27 + 255 + 255 * 255  # bytes of a page
_OPUS_RATE = 48_000  # Hz of its timestamps, whatever the original sample rate
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Gap(NamedTuple):
    """A gap in a recording, to be filled with silence: its start and duration in seconds."""

    start: float
    duration: float


class Page(NamedTuple):
    """A page: flags, stream, number, time at its end in samples, and its packets with whether each ends in the page."""

    flags: int
    stream: bytes
    number: int
    samples: int
    packets: list[tuple[bytes, bool]]


def find_gaps(path: str, parts: Sequence[tuple[int, int]]) -> tuple[list[list[Gap]], str]:
    """The gaps of each recording in a file, and a message about them; none if it is not an Ogg file.

    `parts` are the ranges of the recordings in the file. Only the first stream of each is examined, if it is Opus or
    Vorbis.
    """
    timeline = Timeline(_OPUS_RATE)
    with open(path, "rb") as file:
        if file.read(4) != b"OggS":
            return [[] for _ in parts], ""
        gaps = [_gaps_of(_pages(file, *part), timeline) for part in parts]
    return gaps, timeline.report()


def _gaps_of(pages: Iterator[Page], timeline: Timeline) -> list[Gap]:
    first: Page | None = None
    codec: _Opus | _Vorbis | None = None
    pending, number = b"", 0
    origin: int | None = None  # the time of the first sample in the pages' timestamps
    skip = 0  # decoded samples that are not returned
    gaps: list[Gap] = []
    start = timeline.restart()
    for page in pages:
        first = first or page
        if page.stream != first.stream:
            continue
        if page.number != number:
            pending = b""
            if codec:
                codec.restart()
        number = page.number + 1
        if page.flags & _CONTINUED and not pending:  # its start is lost
            del page.packets[:1]
        samples = 0
        for part, ends in page.packets:
            packet, pending = pending + part, b""
            if not ends:
                pending = packet[:_MAX_PACKET]
            elif codec is None:
                if (codec := _codec(packet)) is None:
                    return []
            else:
                samples += codec.samples(packet)
        if codec is None or page.samples == _NO_TIME or page.samples == samples == 0:
            continue
        page_start = page.samples - samples
        if origin is None:
            skip = max(codec.skip, -page_start)
            origin = page_start + skip
        skipped = min(skip, samples)
        skip -= skipped
        before = timeline.seconds
        decoded = (samples - skipped) * _OPUS_RATE / codec.rate
        if silence := timeline.place(max(page_start - origin, 0) / codec.rate, decoded):
            gaps.append(Gap(before - start, silence / _OPUS_RATE))
    return gaps


def fill_gaps(file: Any, gaps: Sequence[Gap]) -> Any:
    """`file`, an open `soundfile.SoundFile`, with its `gaps` filled with silence."""
    return _FilledFile(file, gaps) if gaps else file


class _FilledFile:
    """The part of the `soundfile.SoundFile` interface that is used, with silence in the gaps."""

    def __init__(self, file: Any, gaps: Sequence[Gap]) -> None:
        self._file = file
        file.seekable = self.seekable
        self.samplerate, self.channels = file.samplerate, file.channels
        self.format, self.frames = file.format, file.frames  # libsndfile includes the gaps
        self._gaps = [
            (round(gap.start * self.samplerate), round((gap.start + gap.duration) * self.samplerate))
            for gap in reversed(gaps)
        ]
        self._position = 0

    def read(self, frames: int, **_: Any) -> np.ndarray:
        """Up to `frames` more samples ``(n, channels)``, float32; none only at the end."""
        start, end = self._gaps[-1] if self._gaps else (self._position + frames, 0)
        if self._position < start:
            found = self._file.read(min(frames, start - self._position), dtype="float32", always_2d=True)
        else:
            found = np.zeros((min(frames, end - self._position), self.channels), np.float32)
            if self._position + len(found) >= end:
                self._gaps.pop()
        self._position += len(found)
        return found

    @staticmethod
    def seekable() -> bool:
        """False, see `sed.audio.decoders.SoundFileDecoder`."""
        return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _pages(file: IO[bytes], start: int, stop: int) -> Iterator[Page]:
    """The pages of a range of a file that have correct checksums."""
    file.seek(start)
    data, at, left = b"", 0, stop - start
    while True:
        if len(data) - at < _MAX_PAGE and left > 0:
            more = file.read(min(_CHUNK, left))
            data, at, left = data[at:] + more, 0, left - len(more) if more else 0
        if (at := data.find(b"OggS", at)) < 0:
            data, at = data[-3:], 0
            if left <= 0:
                return
            continue
        head = data[at : at + 27]
        lengths = data[at + 27 : at + 27 + head[-1]] if len(head) == 27 else b""
        size = 27 + len(lengths) + sum(lengths)
        if _checksum(data[at : at + size]) != head[22:26]:  # or it is truncated
            at += 4
            continue
        yield Page(
            head[5],
            head[14:18],
            int.from_bytes(head[18:22], "little"),
            int.from_bytes(head[6:14], "little"),
            _packets(data[at + 27 + len(lengths) : at + size], lengths),
        )
        at += size


def _packets(body: bytes, lengths: bytes) -> list[tuple[bytes, bool]]:
    found, start, end = [], 0, 0
    for length in lengths:
        end += length
        if length < 255:
            found.append((body[start:end], True))
            start = end
    if lengths and lengths[-1] == 255:
        found.append((body[start:end], False))
    return found


def _checksum(page: bytes) -> bytes:
    """The checksum that belongs in bytes 22 to 25 of a page: a CRC-32 like zlib's, but with reversed bits."""
    blank = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED)
    register = zlib.crc32(blank, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return register.to_bytes(4, "big").translate(_REVERSED)


def _codec(packet: bytes) -> _Opus | _Vorbis | None:
    """The codec of the stream that starts with this packet; None if it is not supported."""
    if packet.startswith(b"OpusHead"):
        return _Opus(packet)
    return _Vorbis(packet) if packet.startswith(b"\x01vorbis") and len(packet) >= 30 else None


class _Opus:
    """Durations of Opus packets (RFC 6716, section 3.1)."""

    rate = _OPUS_RATE

    def __init__(self, first: bytes) -> None:
        self.skip = int.from_bytes(first[10:12], "little")

    def restart(self) -> None:
        """Handle lost packets."""

    def samples(self, packet: bytes) -> int:
        """The number of samples in `packet`."""
        if not packet or packet.startswith(b"OpusTags"):
            return 0
        kind, count = packet[0] >> 3, packet[0] & 3
        if kind < 12:  # SILK
            frame = (480, 960, 1920, 2880)[kind & 3]
        elif kind < 16:  # hybrid
            frame = (480, 960)[kind & 1]
        else:  # CELT
            frame = (120, 240, 480, 960)[kind & 3]
        if count == 3:
            return frame * (packet[1] & 63 if len(packet) > 1 else 0)
        return frame * (1, 2, 2)[count]


class _Vorbis:
    """Durations of Vorbis packets, which depend on the current and the previous block (Vorbis I, section 4.3)."""

    def __init__(self, first: bytes) -> None:
        self.rate = int.from_bytes(first[12:16], "little") or 1
        self.skip = 0
        self._sizes = 1 << (first[28] & 15), 1 << (first[28] >> 4)
        self._modes: list[int] = []  # the block size of each
        self._previous = 0

    def restart(self) -> None:
        """Handle lost packets: the next one gives no samples, as at the start."""
        self._previous = 0

    def samples(self, packet: bytes) -> int:
        """The number of samples in `packet`."""
        if packet and packet[0] & 1:
            if packet.startswith(b"\x05vorbis"):
                self._modes = self._sizes_of_modes(packet)
            return 0
        if not packet or not self._modes:
            return 0
        number = (packet[0] >> 1) & ((1 << (len(self._modes) - 1).bit_length()) - 1)
        size = self._modes[min(number, len(self._modes) - 1)]
        samples = (self._previous + size) // 4 if self._previous else 0
        self._previous = size
        return samples

    def _sizes_of_modes(self, setup: bytes) -> list[int]:
        """The block sizes of the modes, read from the end of the setup: 41 bits each, preceded by their number."""
        bits = int.from_bytes(setup, "little")
        at = bits.bit_length() - 1  # the last bit is a one
        modes: list[int] = []
        found: list[int] = []
        while at > 100 and len(modes) < 64:
            mapping, types = (bits >> (at - 8)) & 0xFF, (bits >> (at - 40)) & 0xFFFFFFFF
            if mapping > 63 or types:
                break
            at -= 41
            modes.insert(0, self._sizes[(bits >> at) & 1])
            if (bits >> (at - 6)) & 63 == len(modes) - 1:
                found = list(modes)
        return found
