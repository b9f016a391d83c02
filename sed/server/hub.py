"""`Hub`: what all connections of a server share: the models, the threads, the limits, the counters."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np

from sed.grid import SAMPLE_RATE
from sed.server.admission import Admission
from sed.server.load import Load, usable_cores
from sed.server.metrics import Metrics
from sed.server.options import ServerOptions
from sed.server.worker import Diarize, FileWorker
from sed.streaming import Event

T = TypeVar("T")
log = logging.getLogger("sed.server")

TRIAL_PIECES = 7  # half seconds of noise with which the cost of a stream is measured at the start
TRIAL_SECONDS = 1.0  # after which a measurement on a slow machine is enough


class Stream(Protocol):
    """What the server needs of a `sed.StreamingDiarizer`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in order."""
        ...

    @property
    def settled(self) -> float:
        """Seconds from the start for which everything is decided."""
        ...

    @property
    def current(self) -> dict[str, float]:
        """Probabilities of the running moment by label, or nothing yet."""
        ...

    def push(self, samples: np.ndarray) -> Sequence[Event]:
        """Take ``(n,)`` float32 samples at 16 kHz."""
        ...

    def close(self) -> Sequence[Event]:
        """The rest."""
        ...


class Hub:
    """Shared by all connections of one server; used on the event loop's thread.

    `make_stream` takes a latency in seconds. Streams do their work in a pool of `options.threads` threads,
    one short piece at a time and in the order of asking, so that nobody waits for more than one piece of
    each other client. Uploads are admitted by `admission` and diarized by `files`.
    """

    def __init__(
        self, options: ServerOptions, make_stream: Callable[[float], Stream], diarize: Diarize
    ) -> None:
        self.options = options
        self.make_stream = make_stream
        self.metrics = Metrics()
        self.stopping = threading.Event()
        self.admission = Admission(options)
        self.files = FileWorker(diarize, options)
        self.load = Load(options.max_load * min(options.threads, usable_cores()))
        self.metrics.stream_cost = lambda: self.load.cost
        self.opening: dict[object, Callable[[], None]] = {}  # connections that have not begun; what cuts each
        self._live = ThreadPoolExecutor(options.threads, "sed-live")

    async def measure(self) -> None:
        """Measure what a stream costs here, with noise; a model that fails at it is reported in the log."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._live, self._measure)
        except Exception:
            log.exception("the cost of a stream could not be measured")

    def _measure(self) -> None:
        stream = self.make_stream(1.0)
        piece = np.random.default_rng(0).normal(0, 0.05, SAMPLE_RATE // 2).astype(np.float32)
        begun = time.perf_counter()
        for number in range(TRIAL_PIECES):
            last = time.perf_counter()
            stream.push(piece)
            now = time.perf_counter()
            enough = now - begun > TRIAL_SECONDS
            if number or enough:  # the first piece also warms the models up
                self.load.add(now - last, 0.5)
            if enough:
                return

    def submit(self, work: Callable[..., T], *args: Any, audio: float = 0.0) -> asyncio.Future[T]:
        """Run a piece of live work in the pool; `audio` is how many seconds of sound it is about."""
        asked = time.perf_counter()

        def timed() -> T:
            begun = time.perf_counter()
            self.metrics.wait.add(begun - asked)
            try:
                return work(*args)
            finally:
                took = time.perf_counter() - begun
                self.metrics.step.add(took)
                if audio:
                    self.load.add(took, audio)

        return asyncio.get_running_loop().run_in_executor(self._live, timed)

    @property
    def uploading(self) -> int:
        """Uploads that are received, wait or are in work."""
        return self.admission.open_uploads

    @property
    def stuck(self) -> bool:
        """Whether the file worker has shown no progress for long."""
        return self.files.silence > self.options.stuck_after

    def health(self) -> dict[str, Any]:
        """The state for ``/healthz``; its ``status`` is ``ok``, or ``stuck`` if the file worker is."""
        state: dict[str, Any] = {
            "status": "ok",
            "clients": self.metrics.clients,
            "max_clients": self.options.max_clients,
            "uploads": {
                "receiving": self.admission.receiving,
                "waiting": self.files.waiting,
                "working": self.files.working,
            },
        }
        return {**state, "status": "stuck", "seconds": round(self.files.silence, 1)} if self.stuck else state

    def gauges(self) -> list[tuple[str, str, float]]:
        """Name, meaning and value of what ``/metrics`` shows of the uploads now."""
        files = self.files
        return [
            ("sed_uploads_receiving", "Uploads being received now.", self.admission.receiving),
            ("sed_uploads_waiting", "Complete files that wait for the file worker.", files.waiting),
            ("sed_uploads_working", "Files in work.", files.working),
            ("sed_upload_stored_bytes", "Bytes of uploads on disk.", self.admission.stored),
            ("sed_file_silence_seconds", "Time since the last progress of the file in work.", files.silence),
        ]

    def stop_files(self) -> None:
        """End all uploads: at once, but for the file in work, which ends at its next progress."""
        self.admission.stop()
        self.files.stop()

    def close(self) -> None:
        """Stop everything."""
        self.stopping.set()
        self.stop_files()
        self._live.shutdown(wait=False, cancel_futures=True)
