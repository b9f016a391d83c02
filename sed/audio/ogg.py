"""Holes in an Ogg file: sound that its clock counts, and that is not there.

Every page of Ogg states the time at its end, in samples, so that lost or damaged pages and pauses of a live
recording show. libsndfile reads what is there as if nothing was missing; `fill_holes` puts silence there.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

import numpy as np

from sed.audio.timeline import Timeline

_CONTINUED = 1  # a flag of a page
_NO_TIME = (1 << 64) - 1  # of a page in which no packet ends
_CHUNK = 1 << 20  # bytes read at once
_LONGEST = 1 << 20  # bytes of a packet that are looked at
_MOST = 27 + 255 + 255 * 255  # bytes of a page
_OPUS_RATE = 48_000  # Hz of its clock, whatever the sound was sampled at
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Hole(NamedTuple):
    """Where silence belongs in a recording: its start and duration in seconds."""

    start: float
    duration: float


class Page(NamedTuple):
    """A page: its flags, stream and number, the samples at its end, and its packets with whether each ends here."""

    flags: int
    stream: bytes
    number: int
    samples: int
    packets: list[tuple[bytes, bool]]


def find_holes(path: str, parts: Sequence[tuple[int, int]]) -> tuple[list[list[Hole]], str]:
    """The holes of the recordings that were joined in a file, and what to state about them; none if it is no Ogg.

    `parts` are their ranges in the file. Only the first stream of each is looked at, if it is Opus or Vorbis.
    """
    timeline = Timeline(_OPUS_RATE)
    with open(path, "rb") as file:
        if file.read(4) != b"OggS":
            return [[] for _ in parts], ""
        holes = [_holes_of(_pages(file, *part), timeline) for part in parts]
    return holes, timeline.report()


def _holes_of(pages: Iterator[Page], timeline: Timeline) -> list[Hole]:
    first: Page | None = None
    coder: _Opus | _Vorbis | None = None
    pending, number = b"", 0
    origin: int | None = None  # the time of the first sample, by the clock of the pages
    skip = 0  # samples that are decoded and not given
    holes: list[Hole] = []
    start = timeline.restart()
    for page in pages:
        first = first or page
        if page.stream != first.stream:
            continue
        if page.number != number:
            pending = b""
            if coder:
                coder.restart()
        number = page.number + 1
        if page.flags & _CONTINUED and not pending:  # its start is lost
            del page.packets[:1]
        samples = 0
        for part, ends in page.packets:
            packet, pending = pending + part, b""
            if not ends:
                pending = packet[:_LONGEST]
            elif coder is None:
                if (coder := _coder(packet)) is None:
                    return []
            else:
                samples += coder.samples(packet)
        if coder is None or page.samples == _NO_TIME or page.samples == samples == 0:
            continue
        begin = page.samples - samples
        if origin is None:
            skip = max(coder.skip, -begin)
            origin = begin + skip
        skipped = min(skip, samples)
        skip -= skipped
        before = timeline.seconds
        given = (samples - skipped) * _OPUS_RATE / coder.rate
        if silence := timeline.place(max(begin - origin, 0) / coder.rate, given):
            holes.append(Hole(before - start, silence / _OPUS_RATE))
    return holes


def fill_holes(file: Any, holes: Sequence[Hole]) -> Any:
    """`file`, an open `soundfile.SoundFile`, with silence in its `holes`."""
    return _FilledFile(file, holes) if holes else file


class _FilledFile:
    """What is used of the face of `soundfile.SoundFile`, and silence in the holes."""

    def __init__(self, file: Any, holes: Sequence[Hole]) -> None:
        self._file = file
        file.seekable = self.seekable
        self.samplerate, self.channels = file.samplerate, file.channels
        self.format, self.frames = file.format, file.frames  # libsndfile counts the holes
        self._holes = [
            (round(hole.start * self.samplerate), round((hole.start + hole.duration) * self.samplerate))
            for hole in reversed(holes)
        ]
        self._at = 0

    def read(self, frames: int, **_: Any) -> np.ndarray:
        """Some of the next `frames` samples ``(n, channels)``, float32; none at the end only."""
        start, end = self._holes[-1] if self._holes else (self._at + frames, 0)
        if self._at < start:
            found = self._file.read(min(frames, start - self._at), dtype="float32", always_2d=True)
        else:
            found = np.zeros((min(frames, end - self._at), self.channels), np.float32)
            if self._at + len(found) >= end:
                self._holes.pop()
        self._at += len(found)
        return found

    @staticmethod
    def seekable() -> bool:
        """No, see `sed.audio.decoders.SoundFileDecoder`."""
        return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _pages(file: IO[bytes], start: int, stop: int) -> Iterator[Page]:
    """The pages of a range of a file whose checksums are right."""
    file.seek(start)
    data, at, left = b"", 0, stop - start
    while True:
        if len(data) - at < _MOST and left > 0:
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
        if _checksum(data[at : at + size]) != head[22:26]:  # or it breaks off
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
    """The checksum of a page, as its bytes 22 to 25 have it: a CRC-32 like zlib's, but of bits the other way round."""
    blank = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED)
    register = zlib.crc32(blank, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return register.to_bytes(4, "big").translate(_REVERSED)


def _coder(packet: bytes) -> _Opus | _Vorbis | None:
    """What understands the packets of a stream with this first one."""
    if packet.startswith(b"OpusHead"):
        return _Opus(packet)
    return _Vorbis(packet) if packet.startswith(b"\x01vorbis") and len(packet) >= 30 else None


class _Opus:
    """How long packets of Opus are (RFC 6716, section 3.1)."""

    rate = _OPUS_RATE

    def __init__(self, first: bytes) -> None:
        self.skip = int.from_bytes(first[10:12], "little")

    def restart(self) -> None:
        """Packets are lost here."""

    def samples(self, packet: bytes) -> int:
        """The samples that come of `packet`."""
        if not packet or packet.startswith(b"OpusTags"):
            return 0
        kind, count = packet[0] >> 3, packet[0] & 3
        if kind < 12:  # SILK
            frame = (480, 960, 1920, 2880)[kind & 3]
        elif kind < 16:  # both
            frame = (480, 960)[kind & 1]
        else:  # CELT
            frame = (120, 240, 480, 960)[kind & 3]
        if count == 3:
            return frame * (packet[1] & 63 if len(packet) > 1 else 0)
        return frame * (1, 2, 2)[count]


class _Vorbis:
    """How long packets of Vorbis are: that depends on their block and the one before (Vorbis I, section 4.3)."""

    def __init__(self, first: bytes) -> None:
        self.rate = int.from_bytes(first[12:16], "little") or 1
        self.skip = 0
        self._sizes = 1 << (first[28] & 15), 1 << (first[28] >> 4)
        self._modes: list[int] = []  # the size of the blocks of each
        self._before = 0

    def restart(self) -> None:
        """Packets are lost here: of the next one come no samples, as at the start."""
        self._before = 0

    def samples(self, packet: bytes) -> int:
        """The samples that come of `packet`."""
        if packet and packet[0] & 1:
            if packet.startswith(b"\x05vorbis"):
                self._modes = self._sizes_of_modes(packet)
            return 0
        if not packet or not self._modes:
            return 0
        number = (packet[0] >> 1) & ((1 << (len(self._modes) - 1).bit_length()) - 1)
        size = self._modes[min(number, len(self._modes) - 1)]
        samples = (self._before + size) // 4 if self._before else 0
        self._before = size
        return samples

    def _sizes_of_modes(self, setup: bytes) -> list[int]:
        """The modes are the last of the setup, 41 bits each, behind their number: read from the end on."""
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
