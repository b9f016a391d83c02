"""Decodes with the ffmpeg program, if installed, what libsndfile cannot read; identifies files by their first bytes."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from sed.audio.allowed import file_url, input_restrictions
from sed.audio.programs import Program, WaitCallback, output_of
from sed.audio.resampling import check_layout
from sed.audio.timeline import TIMING_ENTRIES, Start, TimedSamples, Timeline, input_options, output_options
from sed.audio.tracks import ENTRIES, choose_track
from sed.errors import AudioError, MissingDependencyError

logger = logging.getLogger("sed")


def is_installed() -> bool:
    """Whether ffmpeg and ffprobe are on the PATH."""
    return shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None


class FfmpegDecoder:
    """A `sed.audio.decoders.Decoder` for any container, streamed: no decoded audio is written to disk.

    Raises `MissingDependencyError` without the programs, `AudioError` if the file contains no audio or a program hangs.
    Only the file itself is opened, whatever it refers to (`sed.audio.allowed`). `on_wait` is called while waiting for a
    program (`sed.audio.programs`).

    Times are those of the container's timestamps: gaps and a late start become silence, with one warning
    (`sed.audio.timeline`).

    The first `skip` samples are discarded: those that another decoder had read when it found damage, described by
    `damage`.
    """

    def __init__(
        self, path: str, name: str, skip: int = 0, damage: str = "", on_wait: WaitCallback | None = None
    ) -> None:
        kind_found = describe(Path(path))
        if kind_found == TEXT:
            raise AudioError(f"{name}: {kind_found}, expected audio")
        if not is_installed():
            raise MissingDependencyError(
                f"{name}: {kind_found}; expected a format that libsndfile reads (WAV, FLAC, OGG, Opus, MP3, ...), "
                "or the ffmpeg program for others, which is not installed"
            )
        options: list[str] = []
        found = _probe(path, name, options, on_wait)
        streams = found.get("streams") or []
        track, left_out = choose_track(streams)
        if streams and not int(track.get("sample_rate", 0)):  # audio may start after the part that was probed
            options = _PROBE_FURTHER
            found = _probe(path, name, options, on_wait)
            streams = found.get("streams") or []
            track, left_out = choose_track(streams)
        self._name = name
        self.rate, self.channels = int(track.get("sample_rate", 0)), int(track.get("channels", 0))
        if self.rate < 1 or self.channels < 1:  # ffprobe finds some audio track in any bytes
            silent = kind_found in (UNKNOWN, MP4) and any(s.get("codec_type") == "video" for s in streams)
            raise AudioError(
                f"{name}: {'found a video without audio' if silent else kind_found}, expected audio"
            )
        if track.get("codec_name", "unknown") in ("unknown", "none"):
            raise AudioError(
                f"{name}: found audio in an unknown codec, expected one that libsndfile or ffmpeg decodes"
            )
        try:
            check_layout(self.rate, self.channels)
        except AudioError as error:
            raise AudioError(f"{name}: {error}") from None
        if left_out:
            logger.warning("%s: %s", name, left_out)
        duration = found.get("format", {}).get("duration")
        self.frames = round(float(duration) * self.rate) if duration else None
        form = ["-map", f"0:{track.get('index', 'a:0')}", "-ar", str(self.rate), "-ac", str(self.channels)]
        input_args = input_restrictions(found.get("format", {}).get("format_name", ""))
        start = Start.from_probe(found, track)
        input_args += options + input_options(start)
        command = ["ffmpeg", "-nostdin", *input_args, "-i", file_url(path), *form, *output_options(), "-"]
        self._program = Program(command, name, on_wait)
        self._timeline = Timeline(self.rate, start.audio - start.file, float(duration) if duration else None)
        self._samples = TimedSamples(self._program.read, self._timeline, self.channels)
        self._samples_read = 0
        self._damage = damage
        self._ended = False
        while skip > 0 and len(part := self.read(min(skip, 1 << 16))):
            skip -= len(part)

    def read(self, frames: int) -> np.ndarray:
        """The next samples; a damaged file gives what can be decoded, with a warning."""
        found = self._samples.read(frames)
        if not len(found):
            self._end()
        self._samples_read += len(found)
        return found

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        status, messages = self._program.finish()
        lines = [line for line in messages if _HARMLESS not in line]
        timing = self._timeline.report()
        nothing = self._samples_read == 0 and bool(self.frames)
        if not lines and status == 0 and not self._damage and not nothing:
            if timing:
                logger.warning("%s: %s", self._name, timing)
            return
        reason = lines[0] if lines else self._damage or f"ffmpeg ended with {status}"
        if (
            nothing and not lines and not self._damage
        ):  # such as a container whose samples are in another file
            reason = f"its header states {(self.frames or 0) / self.rate:.2f} s"
        reason = re.sub(r"^\[[^]@]+ @ 0x\w+\] ", "", reason)  # an address that differs from run to run
        if self._samples_read == 0:
            raise AudioError(f"{self._name}: damaged, nothing could be decoded ({reason})")
        seconds = self._samples_read / self.rate
        logger.warning(
            "%s: damaged; the %.2f s that could be decoded are used (%s)%s",
            self._name,
            seconds,
            reason,
            timing and f"; {timing}",
        )

    def close(self) -> None:
        """End the program."""
        self._program.close()


def _probe(path: str, name: str, options: list[str], on_wait: WaitCallback | None) -> dict[str, Any]:
    """The description of a file by ffprobe."""
    show = "stream=codec_type,codec_name,sample_rate,channels:format=duration,format_name"
    show += f":{TIMING_ENTRIES}:{ENTRIES}"
    command = [
        "ffprobe",
        *input_restrictions(),
        *options,
        "-show_entries",
        show,
        "-of",
        "json",
        file_url(path),
    ]
    found, _ = output_of(command, name, on_wait)
    try:
        return json.loads(found or b"{}")
    except ValueError:  # incomplete output: some headers make ffprobe crash
        return {}


_PROBE_FURTHER = [
    "-probesize",
    "64M",
    "-analyzeduration",
    "600M",
]  # bytes and microseconds to search for audio
_HARMLESS = "non monotonically increasing dts"  # reported on files joined end to end, which are not damaged
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
    """The kind of a file by its first bytes, as a phrase "found ..."."""
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
        if error.start < 509:  # otherwise only the last character is incomplete
            return UNKNOWN
    return UNKNOWN if _CONTROLS.intersection(start) else TEXT
