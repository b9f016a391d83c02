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
from sed.audio.timeline import CLOCK_ENTRIES, Start, TimedSamples, Timeline, input_options, output_options
from sed.audio.tracks import ENTRIES, choose_track
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

    Times are those of the container's clock: what is missing, or starts late, becomes silence, with one warning
    (`sed.audio.timeline`).

    `skip` samples are passed over, those that another decoder has read before it met a `damage`, in its words.
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
        further: list[str] = []
        found = _probe(path, name, further, waiting)
        streams = found.get("streams") or []
        sound, left_out = choose_track(streams)
        if streams and not int(
            sound.get("sample_rate", 0)
        ):  # sound that starts late is not in what was looked at
            further = _FURTHER
            found = _probe(path, name, further, waiting)
            streams = found.get("streams") or []
            sound, left_out = choose_track(streams)
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
        if left_out:
            logger.warning("%s: %s", name, left_out)
        duration = found.get("format", {}).get("duration")
        self.frames = round(float(duration) * self.rate) if duration else None
        form = ["-map", f"0:{sound.get('index', 'a:0')}", "-ar", str(self.rate), "-ac", str(self.channels)]
        safe = only_this(found.get("format", {}).get("format_name", ""))
        start = Start.of(found, sound)
        safe += further + input_options(start)
        command = ["ffmpeg", "-nostdin", *safe, "-i", name_of(path), *form, *output_options(), "-"]
        self._program = Program(command, name, waiting)
        self._timeline = Timeline(self.rate, start.sound - start.zero, float(duration) if duration else None)
        self._samples = TimedSamples(self._program.read, self._timeline, self.channels)
        self._read = 0
        self._damage = damage
        self._ended = False
        while skip > 0 and len(part := self.read(min(skip, 1 << 16))):
            skip -= len(part)

    def read(self, frames: int) -> np.ndarray:
        """The next samples; a damaged file gives what can be decoded, with a warning."""
        found = self._samples.read(frames)
        if not len(found):
            self._end()
        self._read += len(found)
        return found

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        status, messages = self._program.finish()
        lines = [line for line in messages if _NEXT not in line]
        clock = self._timeline.report()
        nothing = self._read == 0 and bool(self.frames)
        if not lines and status == 0 and not self._damage and not nothing:
            if clock:
                logger.warning("%s: %s", self._name, clock)
            return
        why = lines[0] if lines else self._damage or f"ffmpeg ended with {status}"
        if nothing and not lines and not self._damage:  # its samples are in another file, say
            why = f"its header promises {(self.frames or 0) / self.rate:.2f} s"
        why = re.sub(r"^\[[^]@]+ @ 0x\w+\] ", "", why)  # an address is another one every time
        if self._read == 0:
            raise AudioError(f"{self._name}: damaged, nothing could be decoded ({why})")
        seconds = self._read / self.rate
        logger.warning(
            "%s: damaged; the %.2f s that could be decoded are used (%s)%s",
            self._name,
            seconds,
            why,
            clock and f"; {clock}",
        )

    def close(self) -> None:
        """End the program."""
        self._program.close()


def _probe(path: str, name: str, options: list[str], waiting: Waiting | None) -> dict[str, Any]:
    """What ffprobe finds in a file."""
    show = "stream=codec_type,codec_name,sample_rate,channels:format=duration,format_name"
    show += f":{CLOCK_ENTRIES}:{ENTRIES}"
    command = ["ffprobe", *only_this(), *options, "-show_entries", show, "-of", "json", name_of(path)]
    found, _ = output_of(command, name, waiting)
    try:
        return json.loads(found or b"{}")
    except ValueError:  # it stopped in the middle of a word: the header makes it divide by zero, say
        return {}


_FURTHER = ["-probesize", "64M", "-analyzeduration", "600M"]  # bytes and microseconds to look for sound in
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
