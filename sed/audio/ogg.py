"""Holes in an Ogg file: sound that its clock counts, and that is not there.

Every page of Ogg states the time at its end, in samples, so that lost or damaged pages and pauses of a live
recording show. libsndfile reads what is there as if nothing was missing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

from sed.audio.timeline import TOLERANCE

_CONTINUED, _BEGINS = 1, 2  # flags of a page
_NO_TIME = (1 << 64) - 1  # of a page in which no packet ends
_LONGEST = 1 << 20  # bytes of a packet that are looked at
_MOST = 27 + 255 + 255 * 255  # bytes of a page
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Page(NamedTuple):
    """A page: its flags, stream and number, the samples at its end, and its packets with whether each ends here."""

    flags: int
    stream: bytes
    number: int
    samples: int
    packets: list[tuple[bytes, bool]]


def seconds_missing(path: str) -> float:
    """How many seconds are missing in the first stream of an Ogg file, if that is Opus or Vorbis; else 0."""
    first: Page | None = None
    coder: _Opus | _Vorbis | None = None
    pending, number = b"", 0
    counted: int | None = None  # samples so far, on the clock of the pages
    missing = 0
    with open(path, "rb") as file:
        for page in _pages(file):
            first = first or page
            if page.flags & _BEGINS and counted is not None:
                break  # another recording is joined on
            if page.stream != first.stream:
                continue
            if page.number != number:
                pending = b""
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
                        return 0.0
                else:
                    samples += coder.samples(packet)
            if coder is None or page.samples == _NO_TIME or page.samples == samples == 0:
                continue
            counted = page.samples if counted is None else counted + samples
            if page.samples - counted > TOLERANCE * coder.rate:
                missing += page.samples - counted
                counted = page.samples
    return missing / coder.rate if coder else 0.0


def _pages(file: IO[bytes]) -> Iterator[Page]:
    """The pages whose checksums are right."""
    data, at = b"", 0
    while True:
        if len(data) - at < _MOST:
            data, at = data[at:] + file.read(1 << 20), 0
        if (at := data.find(b"OggS", at)) < 0:
            if len(data) < 1 << 20:
                return
            data, at = data[-3:], 0
            continue
        head = data[at : at + 27]
        lengths = data[at + 27 : at + 27 + (head[26] if len(head) == 27 else 0)]
        size = 27 + len(lengths) + sum(lengths)
        if at + size > len(data) or len(head) < 27:
            if not (more := file.read(1 << 20)):
                return
            data, at = data[at:] + more, 0
            continue
        if _checksum(data[at : at + size]) != head[22:26]:
            at += 4
            continue
        packets, place = [], at + 27 + len(lengths)
        length = 0
        for lace in lengths:
            length += lace
            if lace < 255:
                packets.append((data[place : place + length], True))
                place, length = place + length, 0
        if lengths and lengths[-1] == 255:
            packets.append((data[place : place + length], False))
        yield Page(
            head[5],
            head[14:18],
            int.from_bytes(head[18:22], "little"),
            int.from_bytes(head[6:14], "little"),
            packets,
        )
        at += size


def _checksum(page: bytes) -> bytes:
    """The checksum of a page, as its bytes 22 to 25 have it: a CRC-32 like zlib's, but of bits the other way round."""
    blank = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED)
    register = zlib.crc32(blank, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return register.to_bytes(4, "big").translate(_REVERSED)


def _coder(packet: bytes) -> _Opus | _Vorbis | None:
    """What understands the packets of a stream with this first one."""
    if packet.startswith(b"OpusHead"):
        return _Opus()
    return _Vorbis(packet) if packet.startswith(b"\x01vorbis") and len(packet) >= 30 else None


class _Opus:
    """How long packets of Opus are (RFC 6716, section 3.1)."""

    rate = 48_000  # of its clock, whatever the sound was sampled at

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
        self._sizes = 1 << (first[28] & 15), 1 << (first[28] >> 4)
        self._modes: list[int] = []  # the size of the blocks of each
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
