"""`Hub`: what all connections of a server share: the models, the threads, the limits, the counters."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from sed.grid import SAMPLE_RATE
from sed.result import Diarization
from sed.server.load import Load, usable_cores
from sed.server.metrics import Metrics
from sed.server.options import ServerOptions
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


class Diarize(Protocol):
    """What the server needs of a `sed.EmotionDiarizer` for whole files."""

    def __call__(
        self, source: str, *, uri: str, progress: Callable[[float, float | None], None]
    ) -> Diarization:
        """Diarize the file `source`; an exception of `progress` ends it."""
        ...


class Hub:
    """Shared by all connections of one server; used on the event loop's thread.

    `make_stream` takes a latency in seconds. Streams do their work in a pool of `options.threads` threads,
    one short piece at a time and in the order of asking, so that nobody waits for more than one piece of
    each other client. Uploads run in a thread of their own that the system prefers less.
    """

    def __init__(
        self, options: ServerOptions, make_stream: Callable[[float], Stream], diarize: Diarize
    ) -> None:
        self.options = options
        self.make_stream = make_stream
        self.diarize = diarize
        self.metrics = Metrics()
        self.stopping = threading.Event()
        self.uploading = 0
        self.load = Load(options.max_load * min(options.threads, usable_cores()))
        self.metrics.stream_cost = lambda: self.load.cost
        self.opening: dict[object, Callable[[], None]] = {}  # connections that have not begun; what cuts each
        self._live = ThreadPoolExecutor(options.threads, "sed-live")
        self._files = ThreadPoolExecutor(1, "sed-file", initializer=_step_back)

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

    def submit_file(
        self, path: Path, uri: str, progress: Callable[[float, float | None], None]
    ) -> asyncio.Future[Diarization]:
        """Diarize the file at `path`, after those that wait already."""
        work = lambda: self.diarize(str(path), uri=uri, progress=progress)  # noqa: E731
        return asyncio.get_running_loop().run_in_executor(self._files, work)

    def close(self) -> None:
        """Stop: files in work end at their next progress report, waiting ones never start."""
        self.stopping.set()
        self._live.shutdown(wait=False, cancel_futures=True)
        self._files.shutdown(wait=False, cancel_futures=True)


def _step_back() -> None:
    """Live streams first: on Linux a priority belongs to a thread; elsewhere to the whole process."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
