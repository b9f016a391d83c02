"""Headers that say less than the file holds, and what to do about it, so that no audio is lost unseen.

libsndfile reads as much as a header promises. A recorder that crashed leaves a WAV whose header promises nothing;
an MP3 of varying bit rate without a table promises what its first frame suggests. `open_sound` opens a path with
`soundfile` so that reading goes on to the real end.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from sed.audio.containers import MOST_PARTS, find_parts, ogg_ends, ogg_sounds, promised_bytes, unread_bytes
from sed.audio.joined import JoinedFile
from sed.audio.mp3 import Mp3Head, mp3_head
from sed.audio.ogg import Hole, fill_holes, find_holes
from sed.audio.ranges import Ranges
from sed.audio.wav import SCRAPS, WavData, wav_data
from sed.errors import AudioError

logger = logging.getLogger("sed")

_MP3 = ("MP3", "MPEG")  # soundfile's names of it

__all__ = ["Mp3Head", "Sound", "WavData", "mp3_head", "open_sound", "wav_data"]


class Sound:
    """An open `soundfile.SoundFile` (`file`), or `sed.audio.joined.JoinedFile`.

    `exact` tells whether its number of frames can be relied on.
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
        """Whether a warning has said already that there is less than promised."""
        return isinstance(self.file, JoinedFile) and self.file.has_reported

    def close(self) -> None:
        """Close everything that was opened for it."""
        self.file.close()
        if self._ranges is not None:
            self._ranges.close()
        if self._pipe is not None:
            os.close(self._pipe)  # and the thread that fills it ends
            self._pipe = None


def sound_path(path: str) -> str | bytes:
    """A path as soundfile takes every one: it cannot spell names that are not UTF-8 itself."""
    return os.fsencode(path) if os.name == "posix" else path


def open_sound(path: str, name: str) -> Sound:
    """Open `path` for reading to its real end; `name` is for messages.

    Raises `soundfile.LibsndfileError` where it is of no kind that libsndfile knows, `AudioError` where it is
    one without a header.
    """
    import soundfile

    parts = find_parts(path)
    _report_lengths(path, name, parts)
    holes, report = find_holes(path, parts)
    if len(parts) > 1:
        joined = JoinedFile(
            [_opener(path, *part, silence) for part, silence in zip(parts, holes, strict=True)], name
        )
        _report_ogg(path, name, report)
        return Sound(joined, joined.exact)
    if (data := wav_data(path)) is not None and (pieces := data.pieces()):
        return _open_ranges(path, pieces)
    try:
        file = soundfile.SoundFile(sound_path(path))
    except TypeError:  # soundfile takes a suffix .raw at its word
        with open(path, "rb") as raw:
            if raw.read(4) not in (b"RIFF", b"fLaC", b"OggS"):
                raise AudioError(f"{name}: found samples without a header, expected an audio file") from None
        return _open_ranges(path, parts)
    _report_ogg(path, name, report)
    if file.format in _MP3:
        return _mp3(file, path, name)
    return Sound(fill_holes(file, holes[0]), file.frames < 2**48)


def _opener(path: str, start: int, stop: int, holes: Sequence[Hole]) -> Callable[[], Sound]:
    """Opens one of several recordings in a file."""

    def open_part() -> Sound:
        data = wav_data(path, start)
        sound = _open_ranges(path, (data and data.pieces()) or [(start, stop)])
        if sound.file.format in _MP3 and (head := mp3_head(path, start)) is not None and not head.has_table:
            sound.close()
            return _piped(path, start, stop)
        sound.file = fill_holes(sound.file, holes)
        return sound

    return open_part


def _open_ranges(path: str, pieces: Sequence[bytes | tuple[int, int]]) -> Sound:
    import soundfile

    ranges = Ranges(path, pieces)
    try:
        file = soundfile.SoundFile(ranges)
    except BaseException:
        ranges.close()
        raise
    return Sound(file, file.frames < 2**48, ranges=ranges)


def _report_lengths(path: str, name: str, parts: Sequence[tuple[int, int]]) -> None:
    """Warn of what a header promises and is not there, and of what is there and not read."""
    for start, _ in parts:
        if (data := wav_data(path, start)) is not None:
            _report_wav(data, name)
    if len(parts) > MOST_PARTS:
        text = "%s: more than %d recordings joined end to end; %d bytes behind them are not used"
        logger.warning(text, name, MOST_PARTS, parts[-1][1] - parts[-1][0])
    elif len(parts) == 1:
        if (promised := promised_bytes(path)) is not None and promised > (there := os.path.getsize(path)):
            logger.warning("%s: breaks off, %d of %d bytes are there", name, there, promised)
        if (unread := unread_bytes(path)) > SCRAPS:
            logger.warning("%s: %d bytes behind the end that its header states are not used", name, unread)


def _report_ogg(path: str, name: str, holes: str) -> None:
    if holes:
        logger.warning("%s: %s", name, holes)
    if (sounds := ogg_sounds(path)) == 0:
        return
    if not ogg_ends(path):
        logger.warning("%s: an OGG without an end, as if it broke off; what is there is used", name)
    if sounds > 1:
        text = "%s: %d sound tracks; number 1 is used, %s left out; ffmpeg -map 0:a:1 extracts number 2"
        logger.warning(text, name, sounds, "1 other is" if sounds == 2 else f"{sounds - 1} others are")


def _report_wav(data: WavData, name: str) -> None:
    if 0 in (data.channels, data.rate) and not data.is_unfinished:
        found = f"{data.channels} channels at {data.rate} Hz"
        raise AudioError(f"{name}: found a WAV header with {found}, expected at least 1 of each")
    if data.is_unfinished:
        logger.warning("%s: its header was never completed; all %d bytes are used", name, data.there)
    if data.breaks_off:
        logger.warning("%s: breaks off, %d of %d bytes are there", name, data.there, data.promised)
    if data.has_wrapped:
        text = "%s: its header promises %d bytes of sound, whose 32 bits have wrapped round; all %d are used"
        logger.warning(text, name, data.promised, data.length)
    if data.total > data.length > 0:
        text = "%s: %d chunks of samples, of which players read one; all %d bytes are used, one after another"
        filled = (data.length > 0) + sum(start < stop for start, stop in data.more)
        logger.warning(text, name, filled, data.total)
    if data.follows > SCRAPS:
        text = "%s: its header promises %d bytes of sound; %d further ones behind them are not used"
        logger.warning(text, name, data.promised, data.follows)


def _mp3(file: Any, path: str, name: str) -> Sound:
    import soundfile

    head = mp3_head(path)
    if head is None or (head.has_table and not head.goes_on):
        return Sound(file, head is not None)
    try:
        through = _piped(path, 0, os.path.getsize(path))
    except (OSError, soundfile.LibsndfileError):
        logger.warning("%s: an MP3 that does not say how long it is; its end may be missing", name)
        return Sound(file, False)
    file.close()
    return through


def _piped(path: str, start: int, stop: int) -> Sound:
    """An MP3 through a pipe, so that libsndfile cannot guess a length, and decodes all there is."""
    import soundfile

    pipe = _fed(path, start, stop)
    try:
        return Sound(soundfile.SoundFile(pipe, closefd=False), False, pipe=pipe)
    except BaseException:
        os.close(pipe)
        raise


def _fed(path: str, start: int, stop: int) -> int:
    """The reading end of a pipe into which a thread puts a range of the file, until it is closed."""
    reading, writing = os.pipe()

    def feed() -> None:
        try:
            with open(path, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
                source.seek(start)
                left = stop - start
                while data := source.read(min(left, 1 << 16)):
                    left -= len(data)
                    sink.write(data)
        except OSError:  # closed at the other end, or unreadable: either way this is the end
            pass

    threading.Thread(target=feed, name="sed-mp3", daemon=True).start()
    return reading
