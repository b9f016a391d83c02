"""Opens files with libsndfile such that they are read to their real end, whatever their headers state.

libsndfile reads as much as a header states. A recorder that crashed leaves a WAV with a length of 0; the length of an
MP3 of variable bit rate without a table of contents is extrapolated from its first frame. `open_sound` opens a path
with `soundfile`, reads beyond such lengths, and logs a warning about audio that is missing or not used.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from sed.audio.containers import (
    MAX_PARTS,
    find_parts,
    ogg_is_complete,
    ogg_tracks,
    stated_bytes,
    unread_bytes,
)
from sed.audio.joined import JoinedFile
from sed.audio.mp3 import Mp3Head, mp3_head
from sed.audio.ogg import Gap, fill_gaps, find_gaps
from sed.audio.ranges import Ranges
from sed.audio.wav import MAX_PADDING, WavData, wav_data
from sed.errors import AudioError

logger = logging.getLogger("sed")

_MP3 = ("MP3", "MPEG")  # soundfile's names of the format
_MAX_KNOWN = 2**48  # frames; libsndfile reports more for an unknown length

__all__ = ["Mp3Head", "Sound", "WavData", "mp3_head", "open_sound", "wav_data"]


class Sound:
    """An open `soundfile.SoundFile` (`file`), or a `sed.audio.joined.JoinedFile`.

    `exact` is whether its number of frames is reliable.
    """

    def __init__(
        self,
        file: Any,
        exact: bool,
        *,
        pipe: int | None = None,
        ranges: Ranges | None = None,
    ) -> None:
        self.file = file
        self.exact = exact
        self._pipe = pipe
        self._ranges = ranges

    @property
    def has_reported(self) -> bool:
        """Whether missing audio has been reported already."""
        return isinstance(self.file, JoinedFile) and self.file.has_reported

    def close(self) -> None:
        """Close everything that was opened for this file."""
        self.file.close()
        if self._ranges is not None:
            self._ranges.close()
        if self._pipe is not None:
            os.close(self._pipe)  # which also ends the thread that fills it
            self._pipe = None


def sound_path(path: str) -> str | bytes:
    """A path in a form that soundfile always accepts: it cannot encode names that are not UTF-8."""
    return os.fsencode(path) if os.name == "posix" else path


def open_sound(path: str, name: str) -> Sound:
    """Open `path` for reading to its real end; `name` is for messages.

    Raises `soundfile.LibsndfileError` if libsndfile does not know the format, `AudioError` if there is no header.
    """
    import soundfile

    parts = find_parts(path)
    _report_lengths(path, name, parts)
    gaps, report = find_gaps(path, parts)
    if len(parts) > 1:
        joined = JoinedFile(
            [_opener(path, *part, gap_list) for part, gap_list in zip(parts, gaps, strict=True)], name
        )
        _report_ogg(path, name, report)
        return Sound(joined, joined.exact)
    if (data := wav_data(path)) is not None and (repaired := data.repaired()):
        return _open_ranges(path, repaired)
    try:
        file = soundfile.SoundFile(sound_path(path))
    except TypeError:  # soundfile relies on the suffix .raw
        with open(path, "rb") as raw:
            if raw.read(4) not in (b"RIFF", b"fLaC", b"OggS"):
                raise AudioError(f"{name}: found samples without a header, expected an audio file") from None
        return _open_ranges(path, parts)
    _report_ogg(path, name, report)
    if file.format in _MP3:
        return _mp3(file, path, name)
    return Sound(fill_gaps(file, gaps[0]), file.frames < _MAX_KNOWN)


def _opener(path: str, start: int, stop: int, gaps: Sequence[Gap]) -> Callable[[], Sound]:
    """A function that opens one of several recordings in a file."""

    def open_part() -> Sound:
        data = wav_data(path, start)
        sound = _open_ranges(path, (data and data.repaired()) or [(start, stop)])
        if sound.file.format in _MP3 and (head := mp3_head(path, start)) is not None and not head.has_table:
            sound.close()
            return _piped(path, start, stop)
        sound.file = fill_gaps(sound.file, gaps)
        return sound

    return open_part


def _open_ranges(path: str, parts: Sequence[bytes | tuple[int, int]]) -> Sound:
    import soundfile

    ranges = Ranges(path, parts)
    try:
        file = soundfile.SoundFile(ranges)
    except BaseException:
        ranges.close()
        raise
    return Sound(file, file.frames < _MAX_KNOWN, ranges=ranges)


def _report_lengths(path: str, name: str, parts: Sequence[tuple[int, int]]) -> None:
    """Warn of audio that a header states but is missing, and of audio that is available but not read."""
    for start, _ in parts:
        if (data := wav_data(path, start)) is not None:
            _report_wav(data, name)
    if len(parts) > MAX_PARTS:
        text = "%s: more than %d recordings joined end to end; the last %d bytes are not used"
        logger.warning(text, name, MAX_PARTS, parts[-1][1] - parts[-1][0])
    elif len(parts) == 1:
        if (stated := stated_bytes(path)) is not None and stated > (available := os.path.getsize(path)):
            logger.warning("%s: truncated, found %d of %d bytes", name, available, stated)
        if (unread := unread_bytes(path)) > MAX_PADDING:
            logger.warning("%s: the %d bytes after the end stated in its header are not used", name, unread)


def _report_ogg(path: str, name: str, gaps: str) -> None:
    if gaps:
        logger.warning("%s: %s", name, gaps)
    if (tracks := ogg_tracks(path)) == 0:
        return
    if not ogg_is_complete(path):
        logger.warning("%s: truncated, found no last page of the OGG; the audio before is used", name)
    if tracks > 1:
        text = "%s: %d audio tracks; number 1 is used, %s left out; ffmpeg -map 0:a:1 extracts number 2"
        logger.warning(text, name, tracks, "1 other is" if tracks == 2 else f"{tracks - 1} others are")


def _report_wav(data: WavData, name: str) -> None:
    if 0 in (data.channels, data.rate) and not data.is_unfinished:
        found = f"{data.channels} channels at {data.rate} Hz"
        raise AudioError(f"{name}: found a WAV header with {found}, expected at least 1 of each")
    if data.is_unfinished:
        logger.warning("%s: its header was never completed; all %d bytes are used", name, data.available)
    if data.is_truncated:
        logger.warning("%s: truncated, found %d of %d bytes", name, data.available, data.stated)
    if data.has_overflowed:
        text = (
            "%s: its header states %d bytes of audio, a 32-bit number that overflowed; all %d bytes are used"
        )
        logger.warning(text, name, data.stated, data.length)
    if data.total > data.length > 0:
        text = "%s: %d data chunks, of which players read one; all %d bytes are used, one after another"
        filled = (data.length > 0) + sum(start < stop for start, stop in data.more)
        logger.warning(text, name, filled, data.total)
    if data.following > MAX_PADDING:
        text = "%s: its header states %d bytes of audio; the %d bytes after them are not used"
        logger.warning(text, name, data.stated, data.following)


def _mp3(file: Any, path: str, name: str) -> Sound:
    import soundfile

    head = mp3_head(path)
    if head is None or (head.has_table and not head.has_more):
        return Sound(file, head is not None)
    try:
        piped = _piped(path, 0, os.path.getsize(path))
    except (OSError, soundfile.LibsndfileError):
        logger.warning("%s: an MP3 that does not state its length; its end may be missing", name)
        return Sound(file, False)
    file.close()
    return piped


def _piped(path: str, start: int, stop: int) -> Sound:
    """An MP3 read through a pipe: libsndfile then cannot guess a length, and decodes everything."""
    import soundfile

    pipe = _start_pipe(path, start, stop)
    try:
        return Sound(soundfile.SoundFile(pipe, closefd=False), False, pipe=pipe)
    except BaseException:
        os.close(pipe)
        raise


def _start_pipe(path: str, start: int, stop: int) -> int:
    """The read end of a pipe to which a thread writes a range of the file, until it is closed."""
    read_end, write_end = os.pipe()

    def feed() -> None:
        try:
            with open(path, "rb") as source, os.fdopen(write_end, "wb", buffering=0) as sink:
                source.seek(start)
                left = stop - start
                while data := source.read(min(left, 1 << 16)):
                    left -= len(data)
                    sink.write(data)
        except OSError:  # the read end was closed, or the file is unreadable: stop in both cases
            pass

    threading.Thread(target=feed, name="sed-mp3", daemon=True).start()
    return read_end
