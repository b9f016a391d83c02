"""How long audio and film files are, in seconds, without decoding them where that can be helped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sed.audio.allowed import file_url, input_restrictions
from sed.audio.ffmpeg import is_installed
from sed.audio.programs import output_of
from sed.errors import AudioError, MissingDependencyError

_LFS = b"version https://git-lfs"


def audio_lengths(paths: Iterable[Path], threads: int = 4) -> dict[Path, float | AudioError]:
    """The length of each file, or why it has none; `MissingDependencyError` where that takes ffmpeg."""
    paths = list(paths)
    with ThreadPoolExecutor(threads) as pool:  # the work is done by libsndfile and ffprobe, outside Python
        return dict(zip(paths, pool.map(_length, paths), strict=True))


def _length(path: Path) -> float | AudioError:
    import soundfile

    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, OSError, TypeError):
        return _probe(path)
    return info.frames / info.samplerate if info.frames else AudioError("empty")


def _probe(path: Path) -> float | AudioError:
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        return AudioError(error.strerror or str(error))
    if not start:
        return AudioError("empty")
    if start.startswith(_LFS):
        return AudioError("a pointer of Git LFS; fetch the audio with git lfs pull")
    if start[4:8] != b"ftyp" and start[:4] != b"\x1aE\xdf\xa3":  # neither MP4 nor Matroska: not audio
        return AudioError("not audio")
    if not is_installed():
        raise MissingDependencyError(f"{path}: found a film, which takes the ffmpeg program; install it")
    command = [
        "ffprobe",
        *input_restrictions(),
        "-show_entries",
        "stream=codec_type,duration:format=duration",
    ]
    try:
        text, status = output_of([*command, "-of", "json", file_url(str(path))], str(path))
    except AudioError as error:  # it hangs
        return error
    found = json.loads(text or b"{}")
    sound = next((s for s in found.get("streams", []) if s.get("codec_type") == "audio"), None)
    if sound is None:
        return AudioError("damaged" if status else "without sound")
    length = float(sound.get("duration") or found.get("format", {}).get("duration") or 0)
    return length if length > 0 else AudioError("empty")
