"""What libsndfile does not read: decoded by the ffmpeg program where it is installed; and what a file looks like."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from sed.audio.allowed import name_of, only_this
from sed.audio.programs import Program, Waiting, output_of
from sed.audio.resampling import check_layout
from sed.errors import AudioError, MissingDependencyError

logger = logging.getLogger("sed")


def is_installed() -> bool:
    """Whether ffmpeg and ffprobe are on the PATH."""
    return shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None


class FfmpegDecoder:
    """A `sed.audio.decoders.Decoder` for any container, streamed: no decoded audio is written to disk.

    Raises `MissingDependencyError` without the programs, `AudioError` where there is no sound in the file, or a program
    hangs. Nothing but the file is opened, whatever it names (`sed.audio.allowed`). `waiting` is called while a
    program is waited for (`sed.audio.programs`).

    `skip` samples are passed over, those that another decoder has read before it met a `damage`, in its words; what
    ffmpeg drops becomes silence then, as far as the container has times, so that the rest keeps its place.
    """

    def __init__(
        self, path: str, name: str, skip: int = 0, damage: str = "", waiting: Waiting | None = None
    ) -> None:
        looks = describe(Path(path))
        if looks == TEXT:
            raise AudioError(f"{name}: {looks}, expected audio")
        if not is_installed():
            raise MissingDependencyError(
                f"{name}: {looks}; expected a format that libsndfile reads (WAV, FLAC, OGG, Opus, MP3, ...), "
                "or the ffmpeg program for others, which is not installed"
            )
        show = [
            "-show_entries",
            "stream=codec_type,codec_name,sample_rate,channels:format=duration,format_name",
            "-of",
            "json",
        ]
        probe, _ = output_of(["ffprobe", *only_this(), *show, name_of(path)], name, waiting)
        try:
            found = json.loads(probe or b"{}")
        except ValueError:  # it stopped in the middle of a word: the header makes it divide by zero, say
            found = {}
        streams = found.get("streams") or []
        sound: dict[str, Any] = next((s for s in streams if s.get("codec_type") == "audio"), {})
        self._name = name
        self.rate, self.channels = int(sound.get("sample_rate", 0)), int(sound.get("channels", 0))
        if self.rate < 1 or self.channels < 1:  # ffprobe sees some sound in anything
            silent = looks in (UNKNOWN, MP4) and any(s.get("codec_type") == "video" for s in streams)
            raise AudioError(f"{name}: {'found a film without sound' if silent else looks}, expected audio")
        if sound.get("codec_name", "unknown") in ("unknown", "none"):
            raise AudioError(
                f"{name}: found sound in an unknown codec, expected one that libsndfile or ffmpeg decodes"
            )
        try:
            check_layout(self.rate, self.channels)
        except AudioError as error:
            raise AudioError(f"{name}: {error}") from None
        duration = found.get("format", {}).get("duration")
        self.frames = round(float(duration) * self.rate) if duration else None
        form = ["-af", "aresample=async=1:min_hard_comp=0.05"] if damage else []
        form += ["-map", "0:a:0", "-ar", str(self.rate), "-ac", str(self.channels), "-f", "f32le", "-"]
        safe = only_this(found.get("format", {}).get("format_name", ""))
        command = ["ffmpeg", "-nostdin", *safe, "-i", name_of(path), *form]
        self._program = Program(command, name, waiting)
        self._read = 0
        self._damage = damage
        self._ended = False
        while skip > 0 and len(part := self.read(min(skip, 1 << 16))):
            skip -= len(part)

    def read(self, frames: int) -> np.ndarray:
        """The next samples; a damaged file gives what can be decoded, with a warning."""
        width = 4 * self.channels
        data = self._program.read(frames * width)
        if not data:
            self._end()
        self._read += len(data) // width
        return np.frombuffer(data[: len(data) // width * width], np.float32).reshape(-1, self.channels)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        status, messages = self._program.finish()
        lines = [line for line in messages if _NEXT not in line]
        nothing = self._read == 0 and bool(self.frames)
        if not lines and status == 0 and not self._damage and not nothing:
            return
        why = lines[0] if lines else self._damage or f"ffmpeg ended with {status}"
        if nothing and not lines and not self._damage:  # its samples are in another file, say
            why = f"its header promises {(self.frames or 0) / self.rate:.2f} s"
        why = re.sub(r"^\[\w+ @ 0x\w+\] ", "", why)  # an address is another one every time
        if self._read == 0:
            raise AudioError(f"{self._name}: damaged, nothing could be decoded ({why})")
        seconds = self._read / self.rate
        logger.warning(
            "%s: damaged; the %.2f s that could be decoded are used (%s)", self._name, seconds, why
        )

    def close(self) -> None:
        """End the program."""
        self._program.close()


_NEXT = "non monotonically increasing dts"  # its word on files joined end to end, and no damage
TEXT, UNKNOWN = "found text", "found bytes of no known format"
MP4 = "found a damaged or unfinished MP4 file"
_MAGIC = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x7fELF": "a program",
    b"RIFF": "a damaged RIFF file",
    b"fLaC": "a damaged FLAC file",
    b"OggS": "a damaged OGG file",
    b"ID3": "a damaged MP3 file",
}
_CONTROLS = frozenset(range(9)) | frozenset(range(14, 27))


def describe(path: Path) -> str:
    """What the first bytes of a file look like, in words: "found ..."."""
    with path.open("rb") as file:
        start = file.read(512)
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return f"found {kind}"
    if start[4:8] == b"ftyp":
        return MP4
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < 509:  # else the last character is merely cut in two
            return UNKNOWN
    return UNKNOWN if _CONTROLS.intersection(start) else TEXT
