"""A file that plays as if it were a microphone: 16 kHz mono float32 blocks, at the clock's pace or faster."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from sed.errors import SedError
from sed.grid import SAMPLE_RATE
from sed.live.blocks import BlockQueue

_PIECE = SAMPLE_RATE // 10  # samples put at once


class _StoppedError(Exception):
    """The playing was stopped while ffmpeg was waited for."""


class FilePlayer:
    """A source that plays `file` (as `sed.audio.open_audio` takes it); `fast`: as fast as it is taken.

    A file can wait: it never loses audio, it falls behind instead. Raises `AudioError` where the file cannot
    be opened; what is found wrong later is raised by `check`.
    """

    rate = SAMPLE_RATE

    def __init__(self, file: Any, channels: str | int = "mix", fast: bool = False) -> None:
        from sed.audio import open_audio

        self._stop = threading.Event()
        self._audio = open_audio(file, channels=channels, on_wait=self._leave_if_stopped)
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
        """Raise the `AudioError` that ended the playing, if one did."""
        if self._error:
            raise self._error

    def patience(self) -> float:
        """Any number of seconds."""
        return math.inf

    def stop(self) -> None:
        """Stop playing; may be called twice."""
        self._stop.set()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(2.0)

    def _play(self, queue: BlockQueue) -> None:
        start, played = time.monotonic(), 0
        try:
            with self._audio as audio:
                for block in audio:
                    for begin in range(0, len(block), _PIECE):
                        piece = block[begin : begin + _PIECE]
                        played += len(piece)
                        wait = 0.0 if self._fast else start + played / SAMPLE_RATE - time.monotonic()
                        if self._stop.wait(wait) if wait > 0 else self._stop.is_set():
                            return
                        queue.put(piece, math.inf)
        except _StoppedError:
            pass
        except SedError as error:
            self._error = error
        finally:
            queue.finish()

    def _leave_if_stopped(self) -> None:
        """Called while ffmpeg is waited for."""
        if self._stop.is_set():
            raise _StoppedError
