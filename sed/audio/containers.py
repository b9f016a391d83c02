"""How much containers say they hold: whether a file breaks off, or goes on with another one.

libsndfile reads what is there of the first, and says nothing in either case.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO

from sed.audio.mp3 import further_mp3s
from sed.audio.wav import wav_data

_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_UNKNOWN = 0x7FFF_0000  # 32-bit sizes from here on mean "to the end"
_BEGINS, _ENDS = 2, 4  # flags of the pages of an OGG
_SOUND = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ")  # first packets of an OGG's streams
_FLAC = (b"\0\0\0\x22", b"\x80\0\0\x22")  # behind "fLaC": the first block of its head
_MOST_CHUNKS = 256  # of an AIFF or CAF that are looked at
_CHUNK = 1 << 20  # bytes that are searched at once
_FEW = 1 << 12  # of them, right behind a page: whoever damages every page does not make each cost a megabyte
MOST_PARTS = 1000  # recordings in one file; each has to be opened


def promised_bytes(path: str) -> int | None:
    """How long an AIFF, AU, CAF, W64 or RF64 file says it is, in bytes; None where it does not, and for others."""
    with open(path, "rb") as file:
        return _promised(file, 0)


def unread_bytes(path: str) -> int:
    """How many bytes an AIFF, AU or CAF file has behind its samples and chunks, which libsndfile does not read."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        magic = file.read(4)
        if magic == b".snd":
            promised = _promised(file, 0)
            return 0 if promised is None else max(size - promised, 0)
        if magic not in (b"FORM", b"caff"):
            return 0
        at, wide = (12, 4) if magic == b"FORM" else (8, 8)  # of the first chunk, and bytes of a length
        for _ in range(_MOST_CHUNKS):
            file.seek(at)
            chunk = file.read(4 + wide)
            length = int.from_bytes(chunk[4:], "big")
            if not chunk[:4].strip(b" ").isalnum() or len(chunk) < 4 + wide or length > size - at:
                return size - at if at < size else 0
            if chunk[:4] == b"SSND" and length == 0:  # libsndfile reads to the end
                return 0
            at += 4 + wide + length + (length % 2 if magic == b"FORM" else 0)
    return 0


def _promised(file: IO[bytes], start: int) -> int | None:
    """Where the container at `start` says that it ends."""
    file.seek(start)
    head = file.read(40)
    if head[:4] == b"FORM":
        length = int.from_bytes(head[4:8], "big")
        return start + 8 + length if length < _UNKNOWN else None
    if head[:4] == b".snd":
        length = int.from_bytes(head[8:12], "big")
        return start + int.from_bytes(head[4:8], "big") + length if length < _UNKNOWN else None
    if head[:4] == b"caff":
        return _end_of_caf(file, start)
    if head[:16] == _W64:
        length = int.from_bytes(head[16:24], "little")
    elif head[:4] in (b"RF64", b"BW64") and head[12:16] == b"ds64":
        length = 8 + int.from_bytes(head[20:28], "little")
    else:
        return None
    return start + length if length < 1 << 62 else None


def _end_of_caf(file: IO[bytes], start: int) -> int | None:
    at = start + 8
    while True:
        file.seek(at)
        if len(chunk := file.read(12)) < 12:
            return None
        length = int.from_bytes(chunk[4:], "big", signed=True)
        at += 12 + length
        if length < 0 or chunk[:4] == b"data":
            return at if length >= 0 else None


def _end_of_caf_chunk(file: IO[bytes], at: int, size: int) -> int | None:
    """Where the chunk at `at`, behind the samples, ends; None where there is none."""
    file.seek(at)
    chunk = file.read(12)
    length = int.from_bytes(chunk[4:], "big", signed=True)
    return at + 12 + length if chunk[:4].isalnum() and 0 <= length <= size - at else None


def find_parts(path: str) -> list[tuple[int, int]]:
    """The ranges of the recordings that were joined end to end in a file; one of all bytes where none were.

    For WAV, RF64, W64, AIFF, AU, CAF, FLAC, OGG and MP3; at most `MOST_PARTS` and a last one of all the rest.
    """
    size = os.path.getsize(path)
    starts = [0]
    with open(path, "rb") as file:
        for start in _further_starts(path, file, size):
            starts.append(start)
            if len(starts) > MOST_PARTS:
                break
    return list(zip(starts, [*starts[1:], size], strict=True))


def _further_starts(path: str, file: IO[bytes], size: int) -> Iterator[int]:
    magic = file.read(4)
    if magic == b"OggS":
        yield from ogg_starts(path)[1:]
    elif magic == b"fLaC":
        yield from _places(file, b"fLaC", _FLAC)
    elif _is_magic(file, 0):
        at: int | None = 0
        while at is not None:
            file.seek(at)
            is_caf = file.read(4) == b"caff"
            wav = wav_data(path, at)
            at = wav.next if wav is not None else _promised(file, at)
            while at is not None and is_caf and not _is_magic(file, at):
                at = _end_of_caf_chunk(file, at, size)
            if at is None or not 0 < at < size or not _is_magic(file, at):
                return
            yield at
    else:
        yield from further_mp3s(path)


def _is_magic(file: IO[bytes], at: int) -> bool:
    file.seek(at)
    head = file.read(16)
    known = head[:4] in (b"RF64", b"BW64", b".snd", b"caff", b"OggS") or head == _W64
    typed = (head[:4], head[8:12]) in ((b"RIFF", b"WAVE"), (b"FORM", b"AIFF"), (b"FORM", b"AIFC"))
    return known or typed or (head[:4] == b"fLaC" and head[4:8] in _FLAC)


def _places(file: IO[bytes], magic: bytes, following: tuple[bytes, ...]) -> Iterator[int]:
    """Where `magic` stands behind the beginning of `file`, with one of `following` behind it."""
    at, wide = 4, len(magic) + 4
    file.seek(at)
    data = b""
    while new := file.read(_CHUNK):
        data += new
        found = data.find(magic)
        while 0 <= found <= len(data) - wide:
            if data[found + len(magic) : found + wide] in following:
                yield at + found
            found = data.find(magic, found + 1)
        kept = min(len(data), wide - 1)
        at += len(data) - kept
        data = data[len(data) - kept :]


def ogg_starts(path: str) -> list[int]:
    """Where the recordings of an OGG begin, each with the first pages of all of its streams.

    Their serial numbers do not matter: programs write the same ones again.
    """
    found: list[int] = []
    with open(path, "rb") as file:
        starting = False
        for at, head in _ogg_pages(file):
            starts = head[5] & _BEGINS != 0
            if starts and not starting:
                found.append(at)
                if len(found) > MOST_PARTS:
                    break
            starting = starts
    return found


def ogg_sounds(path: str) -> int:
    """How many streams of sound an OGG has side by side, by its first pages; 0 for any other file."""
    sounds = 0
    with open(path, "rb") as file:
        for at, head in _ogg_pages(file):
            if head[5] & _BEGINS == 0 or sounds >= MOST_PARTS:
                break
            file.seek(at + 27 + head[26])
            sounds += file.read(8).startswith(_SOUND)
    return sounds


def _ogg_pages(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Where the pages of an OGG begin, and their heads; what is damaged is passed over."""
    at, wanted = 0, _FEW
    if file.read(4) != b"OggS":
        return
    while True:
        file.seek(at)
        head = file.read(27)
        if len(head) < 27:
            return
        if head[:4] == b"OggS":
            yield at, head
            file.seek(at + 27)
            at += 27 + head[26] + sum(file.read(head[26]))
            wanted = _FEW
            continue
        file.seek(at)
        data = file.read(wanted)
        found = data.find(b"OggS", 1)
        at += found if found > 0 else max(len(data) - 3, 1)
        wanted = min(2 * wanted, _CHUNK)


def ogg_ends(path: str) -> bool:
    """Whether the last page of an OGG says that it is the last of its stream."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - (1 << 17)))  # a page has less than 64 KiB
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    return len(page) >= 18 and page[:4] == b"OggS" and page[5] & _ENDS != 0
