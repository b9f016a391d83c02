"""How much containers other than WAV and MP3 say they hold: whether a file breaks off, or goes on with another one.

libsndfile reads what is there of the first, and says nothing in either case.
"""

from __future__ import annotations

import os
from typing import IO

_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_UNKNOWN = 0x7FFF_0000  # 32-bit sizes from here on mean "to the end"
_BEGINS, _ENDS = 2, 4  # flags of the pages of an OGG


def promised_bytes(path: str) -> int | None:
    """How long an AIFF, AU, CAF, W64 or RF64 file says it is, in bytes; None where it does not, and for others."""
    with open(path, "rb") as file:
        head = file.read(40)
        if head[:4] == b"FORM":
            length = int.from_bytes(head[4:8], "big")
            return 8 + length if length < _UNKNOWN else None
        if head[:4] == b".snd":
            length = int.from_bytes(head[8:12], "big")
            return int.from_bytes(head[4:8], "big") + length if length < _UNKNOWN else None
        if head[:4] == b"caff":
            return _end_of_caf(file)
    if head[:16] == _W64:
        length = int.from_bytes(head[16:24], "little")
    elif head[:4] in (b"RF64", b"BW64") and head[12:16] == b"ds64":
        length = 8 + int.from_bytes(head[20:28], "little")
    else:
        return None
    return length if length < 1 << 62 else None


def _end_of_caf(file: IO[bytes]) -> int | None:
    at = 8
    while True:
        file.seek(at)
        if len(chunk := file.read(12)) < 12:
            return None
        length = int.from_bytes(chunk[4:], "big", signed=True)
        at += 12 + length
        if length < 0 or chunk[:4] == b"data":
            return at if length >= 0 else None


def last_ogg_page(path: str) -> tuple[bool, bool]:
    """Of the last page of an OGG: whether it says that it is the last, and whether it is of a stream that began later,
    as where files were joined end to end."""
    with open(path, "rb") as file:
        first = _first_streams(file)
        file.seek(max(0, os.path.getsize(path) - (1 << 17)))  # a page has less than 64 KiB
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 18 or page[:4] != b"OggS":
        return False, False
    return page[5] & _ENDS != 0, bool(first) and page[14:18] not in first


def _first_streams(file: IO[bytes]) -> set[bytes]:
    """The numbers of the streams that begin with the file."""
    streams: set[bytes] = set()
    while (head := file.read(27))[:4] == b"OggS" and len(head) == 27 and head[5] & _BEGINS:
        streams.add(head[14:18])
        file.seek(sum(file.read(head[26])), os.SEEK_CUR)
    return streams
