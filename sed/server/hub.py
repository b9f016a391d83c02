"""`Hub`: state shared by all connections of a server: models, threads, limits and counters."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from sed.grid import SAMPLE_RATE
from sed.server.admission import Admission
from sed.server.converter import Converter
from sed.server.live_stream import Stream
from sed.server.load import Load, usable_cores
from sed.server.metrics import Metrics
from sed.server.options import ServerOptions
from sed.server.protocol import ProtocolError
from sed.server.resumption import Resumption
from sed.server.worker import Diarize, FileWorker

T = TypeVar("T")
log = logging.getLogger("sed.server")

TRIAL_CHUNKS = 7  # chunks of 0.5 s of noise with which the cost of a stream is measured at startup
RETRY_AFTER = 10.0  # seconds after which a client that was rejected for lack of capacity may retry
TRIAL_SECONDS = 1.0  # after which the measurement ends early on a slow machine


class Hub:
    """Shared by all connections of one server; used on the event loop's thread.

    `make_stream` takes a latency in seconds. Streams run in a pool of `options.threads` threads, one short chunk at
    a time and in the order of submission, so that no client waits for more than one chunk of each other client.
    Uploads are admitted by `admission` and diarized by `files`; `resumption` has the streams that can be resumed.
    """

    def __init__(self, options: ServerOptions, make_stream: Callable[..., Stream], diarize: Diarize) -> None:
        self.options = options
        self.make_stream = make_stream
        self.metrics = Metrics()
        self.stopping = threading.Event()
        self.admission = Admission(options)
        self.files = FileWorker(diarize, options)
        self.converter = Converter()
        self.resumption = Resumption(options)
        self.load = Load(options.max_load * min(options.threads, usable_cores()))
        self.metrics.stream_cost = lambda: self.load.cost
        self.opening: dict[
            object, Callable[[], None]
        ] = {}  # abort functions of connections without a first message
        self._live = ThreadPoolExecutor(options.threads, "sed-live")

    async def measure(self) -> None:
        """Measure the cost of a stream on this machine with noise; a failing model is logged."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._live, self._measure)
        except Exception:
            log.exception("the cost of a stream could not be measured")

    def _measure(self) -> None:
        stream = self.make_stream(1.0)
        chunk = np.random.default_rng(0).normal(0, 0.05, SAMPLE_RATE // 2).astype(np.float32)
        started = time.perf_counter()
        for number in range(TRIAL_CHUNKS):
            last = time.perf_counter()
            stream.push(chunk)
            now = time.perf_counter()
            enough = now - started > TRIAL_SECONDS
            if number or enough:  # the first chunk also warms up the models
                self.load.add(now - last, 0.5)
            if enough:
                return

    def submit(self, work: Callable[..., T], *args: Any, audio: float = 0.0) -> asyncio.Future[T]:
        """Run `work` of a live stream in the pool; `audio` is the number of seconds of audio that it processes."""
        submitted = time.perf_counter()

        def timed() -> T:
            started = time.perf_counter()
            self.metrics.wait.add(started - submitted)
            try:
                return work(*args)
            finally:
                elapsed = time.perf_counter() - started
                self.metrics.step.add(elapsed)
                if audio:
                    self.load.add(elapsed, audio)

        return asyncio.get_running_loop().run_in_executor(self._live, timed)

    def check_capacity(self) -> None:
        """Raise `ProtocolError` if there is no client slot, or if one more stream would fall behind real time."""
        clients, load = self.metrics.clients, self.load
        if clients >= self.options.max_clients:
            found = f"{clients} streams are open: expected fewer than {self.options.max_clients}"
            raise ProtocolError("too_many", f"{found}; try again later", RETRY_AFTER)
        if not load.fits(clients):
            need = f"a stream needs {load.cost:.2g} CPUs, and {load.capacity:.2g} are available for all"
            found = f"{clients} streams are open and one more would not keep up"
            raise ProtocolError("overload", f"{found} ({need}); try again later", RETRY_AFTER)

    @property
    def uploading(self) -> int:
        """Number of uploads that are being received, queued or processed."""
        return self.admission.open_uploads

    @property
    def stuck(self) -> bool:
        """Whether the file worker has made no progress for `stuck_after` seconds."""
        return self.files.stalled_for > self.options.stuck_after

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
        return (
            {**state, "status": "stuck", "seconds": round(self.files.stalled_for, 1)} if self.stuck else state
        )

    def gauges(self) -> list[tuple[str, str, float]]:
        """Name, description and value of the gauges for ``/metrics``."""
        files = self.files
        return [
            ("sed_streams_kept", "Live streams whose connection was lost.", self.resumption.kept),
            ("sed_uploads_receiving", "Uploads being received now.", self.admission.receiving),
            ("sed_uploads_waiting", "Complete files waiting for the file worker.", files.waiting),
            ("sed_uploads_working", "Files being processed.", files.working),
            ("sed_upload_stored_bytes", "Bytes of uploads on disk.", self.admission.stored),
            (
                "sed_file_silence_seconds",
                "Time since the last progress of the file being processed.",
                files.stalled_for,
            ),
        ]

    def begin_stop(self) -> None:
        """Cancel all uploads and conversions, and keep no stream; the file being processed ends at its next progress
        report."""
        self.resumption.stop()
        self.admission.stop()
        self.converter.stop()
        self.files.stop()

    def close(self) -> None:
        """Stop streams, uploads and threads."""
        self.stopping.set()
        self.begin_stop()
        self._live.shutdown(wait=False, cancel_futures=True)
