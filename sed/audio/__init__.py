"""Audio in: files, streams of bytes and arrays -> 16 kHz float32 blocks, in bounded memory.

`open_audio` takes whatever a user has; what comes out is always the same. Formats are decoded by libsndfile
(WAV, FLAC, OGG, Opus, MP3, AIFF, ...) and, where that fails, by the ffmpeg program if it is installed.
"""

from __future__ import annotations

from sed.audio.resampling import Resampler
from sed.audio.stream import AudioStream, open_audio

__all__ = ["AudioStream", "Resampler", "open_audio"]
