"""Durations of audio and video files in seconds, read from their headers where possible."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sed.audio.allowed import name_of, only_this
from sed.audio.ffmpeg import is_installed
from sed.audio.programs import output_of
from sed.errors import AudioError, MissingDependencyError

_LFS_POINTER = b"version https://git-lfs"


def audio_durations(paths: Iterable[Path], threads: int = 4) -> dict[Path, float | AudioError]:
    """The duration of each file, or an `AudioError` that states why it has none.

    Raises `MissingDependencyError` for a video file if ffmpeg is not installed.
    """
    paths = list(paths)
    with ThreadPoolExecutor(threads) as pool:  # libsndfile and ffprobe run outside the interpreter lock
        return dict(zip(paths, pool.map(_duration, paths), strict=True))


def _duration(path: Path) -> float | AudioError:
    import soundfile

    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, OSError, TypeError):
        return _probe(path)
    return info.frames / info.samplerate if info.frames else AudioError("empty")


def _probe(path: Path) -> float | AudioError:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        return AudioError(error.strerror or str(error))
    if not head:
        return AudioError("empty")
    if head.startswith(_LFS_POINTER):
        return AudioError("a Git LFS pointer, fetch the audio with git lfs pull")
    if head[4:8] != b"ftyp" and head[:4] != b"\x1aE\xdf\xa3":  # neither MP4 nor Matroska
        return AudioError("not audio")
    if not is_installed():
        raise MissingDependencyError(f"{path}: reading video needs the ffmpeg program: install it")
    command = ["ffprobe", *only_this(), "-show_entries", "stream=codec_type,duration:format=duration"]
    try:
        output, status = output_of([*command, "-of", "json", name_of(str(path))], str(path))
    except AudioError as error:  # it hangs
        return error
    info = json.loads(output or b"{}")
    audio = next((s for s in info.get("streams", []) if s.get("codec_type") == "audio"), None)
    if audio is None:
        return AudioError("damaged" if status else "no audio stream")
    duration = float(audio.get("duration") or info.get("format", {}).get("duration") or 0)
    return duration if duration > 0 else AudioError("empty")
