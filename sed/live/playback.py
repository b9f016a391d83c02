"""A file played like a microphone: 16 kHz mono float32 blocks, in real time or faster."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from sed.errors import SedError
from sed.grid import SAMPLE_RATE
from sed.live.blocks import BlockQueue

_BLOCK = SAMPLE_RATE // 10  # samples per block


class _StoppedError(Exception):
    """Playback was stopped while waiting for ffmpeg."""


class FilePlayer:
    """A source that plays `file` (as accepted by `sed.audio.open_audio`); `fast`: as fast as it is processed.

    A file can be blocked: it never loses audio, but is delayed. Raises `AudioError` if the file cannot be opened;
    later errors are raised by `check`.
    """

    rate = SAMPLE_RATE

    def __init__(self, file: Any, channels: str | int = "mix", fast: bool = False) -> None:
        from sed.audio import open_audio

        self._stop = threading.Event()
        self._audio = open_audio(file, channels=channels, waiting=self._raise_if_stopped)
        self.uri = self._audio.uri
        self.name = "standard input" if file == "-" else str(file)
        self._fast = fast
        self._error: SedError | None = None
        self._thread: threading.Thread | None = None

    def start(self, queue: BlockQueue) -> None:
        """Play into `queue`, and finish it at the end of the file."""
        self._thread = threading.Thread(target=self._play, args=(queue,), daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise the `AudioError` that ended playback, if any."""
        if self._error:
            raise self._error

    def max_wait(self) -> float:
        """Infinite: a file can always be blocked."""
        return math.inf

    def stop(self) -> None:
        """Stop playing; may be called twice."""
        self._stop.set()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(2.0)

    def _play(self, queue: BlockQueue) -> None:
        started, played = time.monotonic(), 0
        try:
            with self._audio as audio:
                for block in audio:
                    for start in range(0, len(block), _BLOCK):
                        part = block[start : start + _BLOCK]
                        played += len(part)
                        wait = 0.0 if self._fast else started + played / SAMPLE_RATE - time.monotonic()
                        if self._stop.wait(wait) if wait > 0 else self._stop.is_set():
                            return
                        queue.put(part, math.inf)
        except _StoppedError:
            pass
        except SedError as error:
            self._error = error
        finally:
            queue.finish()

    def _raise_if_stopped(self) -> None:
        """Called while waiting for ffmpeg."""
        if self._stop.is_set():
            raise _StoppedError
