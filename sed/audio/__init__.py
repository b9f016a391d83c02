"""Audio input: files, byte streams and arrays in, 16 kHz float32 blocks out, in bounded memory.

`open_audio` accepts every kind of source and always yields the same kind of blocks. libsndfile decodes WAV, FLAC, OGG,
Opus, MP3, AIFF and others; what it cannot decode goes to the ffmpeg program if that is installed.
"""

from __future__ import annotations

from sed.audio.resampling import Resampler
from sed.audio.stream import AudioStream, open_audio

__all__ = ["AudioStream", "Resampler", "open_audio"]
