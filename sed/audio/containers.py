"""The lengths that containers state: detects files that are truncated, or continue with another recording.

libsndfile reads what is available of the first recording, without a warning in either case.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO

from sed.audio.mp3 import further_mp3s
from sed.audio.wav import UNKNOWN, wav_data

_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_FIRST, _LAST = 2, 4  # page flags of an OGG
_AUDIO_PACKETS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ")  # starts of OGG streams
_FLAC = (b"\0\0\0\x22", b"\x80\0\0\x22")  # after "fLaC": the start of the first metadata block
_MAX_CHUNKS = 256  # examined in an AIFF or CAF
_CHUNK = 1 << 20  # bytes searched at once
_FIRST_SEARCH = 1 << 12  # bytes searched first: a file of damaged pages must not cost a megabyte for each
MAX_PARTS = 1000  # recordings in one file, each of which is opened


def stated_bytes(path: str) -> int | None:
    """The length in bytes that an AIFF, AU, CAF, W64 or RF64 file states; None if unknown, and for other formats."""
    with open(path, "rb") as file:
        return _stated_end(file, 0)


def unread_bytes(path: str) -> int:
    """The number of bytes after the samples and chunks of an AIFF, AU or CAF file, which libsndfile does not read."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        magic = file.read(4)
        if magic == b".snd":
            stated = _stated_end(file, 0)
            return 0 if stated is None else max(size - stated, 0)
        if magic not in (b"FORM", b"caff"):
            return 0
        at, width = (12, 4) if magic == b"FORM" else (8, 8)  # first chunk, and bytes of a chunk length
        for _ in range(_MAX_CHUNKS):
            file.seek(at)
            chunk = file.read(4 + width)
            length = int.from_bytes(chunk[4:], "big")
            if not chunk[:4].strip(b" ").isalnum() or len(chunk) < 4 + width or length > size - at:
                return size - at if at < size else 0
            if chunk[:4] == b"SSND" and length == 0:  # libsndfile reads to the end
                return 0
            at += 4 + width + length + (length % 2 if magic == b"FORM" else 0)
    return 0


def _stated_end(file: IO[bytes], start: int) -> int | None:
    """The stated end of the container at `start`."""
    file.seek(start)
    head = file.read(40)
    if head[:4] == b"FORM":
        length = int.from_bytes(head[4:8], "big")
        return start + 8 + length if length < UNKNOWN else None
    if head[:4] == b".snd":
        length = int.from_bytes(head[8:12], "big")
        return start + int.from_bytes(head[4:8], "big") + length if length < UNKNOWN else None
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
    size = os.fstat(file.fileno()).st_size
    at = start + 8
    for _ in range(_MAX_CHUNKS):
        if at > size:  # a damaged length; the system refuses to seek to most such places
            return None
        file.seek(at)
        if len(chunk := file.read(12)) < 12:
            return None
        length = int.from_bytes(chunk[4:], "big", signed=True)
        if length < 0:
            return None
        at += 12 + length
        if chunk[:4] == b"data":
            return at
    return None


def _end_of_caf_chunk(file: IO[bytes], at: int, size: int) -> int | None:
    """The end of the chunk at `at`, after the samples; None if there is none."""
    file.seek(at)
    chunk = file.read(12)
    length = int.from_bytes(chunk[4:], "big", signed=True)
    return at + 12 + length if chunk[:4].isalnum() and 0 <= length <= size - at else None


def find_parts(path: str) -> list[tuple[int, int]]:
    """The ranges of recordings joined end to end in a file; a single range of all bytes if there is only one.

    For WAV, RF64, W64, AIFF, AU, CAF, FLAC, OGG and MP3; at most `MAX_PARTS`, and one more for the rest.
    """
    size = os.path.getsize(path)
    starts = [0]
    with open(path, "rb") as file:
        for start in _further_starts(path, file, size):
            starts.append(start)
            if len(starts) > MAX_PARTS:
                break
    return list(zip(starts, [*starts[1:], size], strict=True))


def _further_starts(path: str, file: IO[bytes], size: int) -> Iterator[int]:
    magic = file.read(4)
    if magic == b"OggS":
        yield from ogg_starts(path)[1:]
    elif magic == b"fLaC":
        yield from _occurrences(file, b"fLaC", _FLAC)
    elif _is_magic(file, 0):
        at: int | None = 0
        while at is not None:
            file.seek(at)
            is_caf = file.read(4) == b"caff"
            wav = wav_data(path, at)
            at = wav.next if wav is not None else _stated_end(file, at)
            while at is not None and is_caf and at < size and not _is_magic(file, at):
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


def _occurrences(file: IO[bytes], magic: bytes, following: tuple[bytes, ...]) -> Iterator[int]:
    """The positions of `magic` after the start of `file` that are followed by one of `following`."""
    at, width = 4, len(magic) + 4
    file.seek(at)
    data = b""
    while new := file.read(_CHUNK):
        data += new
        found = data.find(magic)
        while 0 <= found <= len(data) - width:
            if data[found + len(magic) : found + width] in following:
                yield at + found
            found = data.find(magic, found + 1)
        kept = min(len(data), width - 1)
        at += len(data) - kept
        data = data[len(data) - kept :]


def ogg_starts(path: str) -> list[int]:
    """The positions of the recordings in an OGG; each starts with the first pages of all its streams.

    Serial numbers are ignored: programs reuse them.
    """
    found: list[int] = []
    with open(path, "rb") as file:
        after_first = False
        for at, head in _ogg_pages(file):
            is_first = head[5] & _FIRST != 0
            if is_first and not after_first:
                found.append(at)
                if len(found) > MAX_PARTS:
                    break
            after_first = is_first
    return found


def ogg_tracks(path: str) -> int:
    """The number of parallel audio streams of an OGG, by its first pages; 0 for any other file."""
    tracks = 0
    with open(path, "rb") as file:
        for at, head in _ogg_pages(file):
            if head[5] & _FIRST == 0 or tracks >= MAX_PARTS:
                break
            file.seek(at + 27 + head[26])
            tracks += file.read(8).startswith(_AUDIO_PACKETS)
    return tracks


def _ogg_pages(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """The positions and headers of the pages of an OGG; damage is skipped."""
    at, search = 0, _FIRST_SEARCH
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
            search = _FIRST_SEARCH
            continue
        file.seek(at)
        data = file.read(search)
        found = data.find(b"OggS", 1)
        at += found if found > 0 else max(len(data) - 3, 1)
        search = min(2 * search, _CHUNK)


def ogg_is_complete(path: str) -> bool:
    """Whether the last page of an OGG is flagged as the last of its stream."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - (1 << 17)))  # a page has less than 64 KiB
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    return len(page) >= 18 and page[:4] == b"OggS" and page[5] & _LAST != 0
