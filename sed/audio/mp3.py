"""MP3 files: what their first frame states, and where further recordings start in them.

An MP3 has no header except those of its frames. Files joined end to end play as one; libsndfile stops at the end stated
in the first frame's table of contents, and where the rate or number of channels changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple


class Mp3Head(NamedTuple):
    """What the first frame of an MP3 states: whether there is a table of contents, and the bytes it covers.

    `available` is the number of bytes from the first frame to the end.
    """

    has_table: bool
    covered: int | None
    available: int

    @property
    def has_more(self) -> bool:
        """Whether more data follows what the table covers, as in files joined end to end."""
        return self.covered is not None and self.available > 1.01 * self.covered + 4096


def mp3_head(path: str, start: int = 0) -> Mp3Head | None:
    """The first frame of the MP3 at `start`; None if there is no layer 3 frame at its start."""
    found = _first_frame(path, start)
    return found and found[0]


def _first_frame(path: str, start: int) -> tuple[Mp3Head, int] | None:
    """As `mp3_head`, with the position of the first frame."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        file.seek(start)
        while (tag := file.read(10))[:3] in (b"ID3", b"TAG"):
            start += _tag_length(tag)
            file.seek(start)
        file.seek(start)
        frame = file.read(4096)
        if size >= 128:
            file.seek(-128, os.SEEK_END)
            size -= 128 if file.read(3) == b"TAG" else 0
    at = next((i for i in range(len(frame) - 3) if _is_layer_3(frame[i : i + 4])), None)
    if at is None:
        return None
    frame, available, first = frame[at:], size - start - at, start + at
    mpeg1, mono = frame[1] & 0x18 == 0x18, frame[3] >> 6 == 3
    side_info = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    xing = frame[4 + side_info :]
    if xing[:4] in (b"Xing", b"Info"):
        flags = int.from_bytes(xing[4:8], "big")
        offset = 8 + (4 if flags & 1 else 0)
        covered = int.from_bytes(xing[offset : offset + 4], "big") if flags & 2 else None
        return Mp3Head(True, covered, available), first
    if (vbri := frame[36:])[:4] == b"VBRI":
        return Mp3Head(True, int.from_bytes(vbri[10:14], "big"), available), first
    return Mp3Head(False, None, available), first


def _is_layer_3(head: bytes) -> bool:
    sync = head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    return sync and head[1] & 0x18 != 0x08 and head[1] & 0x06 == 0x02 and head[2] >> 4 not in (0, 15)


def further_mp3s(path: str) -> Iterator[int]:
    """The positions of the recordings after the first in an MP3; none for any other file."""
    with open(path, "rb") as file:
        magic = file.read(4)
    if len(magic) < 4 or not (magic[:3] == b"ID3" or _is_layer_3(magic)):
        return
    size, start = os.path.getsize(path), 0
    while (found := _first_frame(path, start)) is not None:
        head, first = found
        if head.covered and head.available > head.covered + _TABLE_ERROR:
            start = first + head.covered
        elif head.has_table:
            return
        else:
            start = _end_of_format(path, first)
        if start >= size or (found_at := _find_frames(path, start)) is None:
            return
        yield (start := found_at)


_TABLE_ERROR = 2048  # bytes by which a table may be wrong: some programs omit its own frame, of up to 1441
_MAX_LOST = 1000  # positions without a frame after which the search ends
_RATES = (44100, 48000, 32000)
_BIT_RATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)


def _frame(head: bytes) -> tuple[int, tuple[int, bool]]:
    """The length of a frame in bytes, its rate and whether it is mono; length 0 if it is no frame of known length."""
    if len(head) < 4 or not _is_layer_3(head) or head[2] & 0x0C == 0x0C:
        return 0, (0, False)
    version = head[1] >> 3 & 3  # 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    rate = _RATES[head[2] >> 2 & 3] >> {3: 0, 2: 1, 0: 2}[version]
    bits = _BIT_RATES[version != 3][head[2] >> 4] * 1000
    length = (144 if version == 3 else 72) * bits // rate + (head[2] >> 1 & 1)
    return length, (rate, head[3] >> 6 == 3)


def _find_frames(path: str, start: int) -> int | None:
    """The position of the first two consecutive frames at or soon after `start`; image data in a tag is not a frame."""
    if (found := _first_frame(path, start)) is None:
        return None
    with open(path, "rb") as file:
        for at in range(found[1], found[1] + 4096):
            file.seek(at)
            length, form = _frame(file.read(4))
            file.seek(at + length)
            if length and _frame(file.read(4))[1] == form:
                return at
    return None


def _end_of_format(path: str, start: int) -> int:
    """The first position where two consecutive frames have another rate or number of channels; else the end.

    Damage and tags between frames are skipped.
    """
    at, form, lost = start, None, 0
    with open(path, "rb", buffering=1 << 16) as file:
        while lost < _MAX_LOST:
            file.seek(at)
            head = file.read(10)
            length, found = _frame(head)
            if not length and head[:3] in (b"ID3", b"TAG"):
                at += _tag_length(head)
            elif not length:
                if len(head) < 10:
                    break
                lost += 1
                file.seek(at)
                data = file.read(1 << 16)
                following = next(
                    (i for i in range(1, len(data) - 1) if data[i] == 0xFF and data[i + 1] >= 0xE0), 0
                )
                at += following or max(len(data) - 1, 1)
            elif found == (form := form or found):
                at += length
            else:
                file.seek(at + length)
                if _frame(file.read(4))[1] == found:
                    return at
                lost += 1
                at += 1
    return os.path.getsize(path)


def _tag_length(tag: bytes) -> int:
    """The length in bytes of the ID3 tag that starts with these ten bytes."""
    if tag[:3] == b"TAG":
        return 128
    length = sum(byte << shift for byte, shift in zip(tag[6:10].ljust(4, b"\0"), (21, 14, 7, 0), strict=True))
    return 10 + length + (10 if tag[5:6] and tag[5] & 0x10 else 0)
