"""`FileWorker`: the thread that diarizes uploaded files one after another, fair between addresses.

The thread is a daemon: a file that holds it for ever (a decoder that hangs) does not hold the process. What
it does can be watched from outside by its signs of life: the calls of ``progress``.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

from sed.result import Diarization
from sed.server.fairness import FairQueue, largest_share
from sed.server.options import ServerOptions
from sed.server.refusal import UploadError


class Diarize(Protocol):
    """What the server needs of a `sed.EmotionDiarizer` for whole files."""

    def __call__(
        self, source: str, *, uri: str, progress: Callable[[float, float | None], None]
    ) -> Diarization:
        """Diarize the file `source`; an exception of `progress` ends it."""
        ...


class LeftError(Exception):
    """The result of this file is no longer wanted."""


class Job:
    """A complete file, waiting or in work. `done` and `duration` are its progress in seconds of audio."""

    def __init__(self, address: str, path: Path, uri: str) -> None:
        self.address = address
        self.path = path
        self.uri = uri
        self.future: Future[Diarization] = Future()
        self.cancelled = False
        self.done = 0.0
        self.duration: float | None = None


class FileWorker:
    """Diarizes jobs with `diarize` in one thread that the system prefers less; safe to use from any thread."""

    def __init__(self, diarize: Diarize, options: ServerOptions) -> None:
        self._diarize = diarize
        self._options = options
        self._max_seconds = min(options.max_seconds, options.max_upload_seconds)
        self._change = threading.Condition()
        self._queue: FairQueue[Job] = FairQueue()
        self._current: Job | None = None
        self._sign = 0.0  # when the job in work was last seen to go on
        self._thread: threading.Thread | None = None
        self.stopping = False

    # From the event loop

    def check(self, address: str) -> None:
        """Raise `UploadError` (``overload``) where a file of `address` would find no place now."""
        with self._change:
            self._place_for(address)

    def submit(self, job: Job) -> None:
        """Put a job in the queue, in the place of another where that is fairer.

        Raises `UploadError` (``overload``); a job that is replaced fails with it.
        """
        with self._change:
            replaced = self._place_for(job.address)
            if replaced is not None:
                self._queue.remove(replaced)
            self._queue.put(job.address, job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sed-file", daemon=True)
                self._thread.start()
            self._change.notify()
        if replaced is not None:
            replaced.future.set_exception(
                UploadError("overload", "this file gave its place in the queue to a client without any")
            )

    def _place_for(self, address: str) -> Job | None:
        """The job that has to go for a new one of `address`, or None where there is room."""
        if self.stopping:
            raise UploadError("overload", "the server is stopping")
        counts = self._queue.counts()
        if self._current is not None:
            counts[self._current.address] = counts.get(self._current.address, 0) + 1
        total = sum(counts.values())
        if total < self._options.max_uploads:
            return None
        share = largest_share(counts, address)
        if share is None:
            raise UploadError("overload", f"{total} files are in work or waiting: expected fewer")
        return self._queue.last_of(share)

    def ahead(self, job: Job) -> int:
        """How many files come before this one; 0 once it is in work."""
        with self._change:
            if job not in self._queue:
                return 0
            return self._queue.ahead(job) + (self._current is not None)

    def cancel(self, job: Job) -> None:
        """The result is no longer wanted: a waiting job goes, one in work ends at its next progress."""
        with self._change:
            job.cancelled = True
            self._queue.remove(job)

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._queue)

    @property
    def working(self) -> int:
        """Jobs in work: 0 or 1."""
        return int(self._current is not None)

    @property
    def silence(self) -> float:
        """Seconds since the job in work last showed progress; 0 where none is in work."""
        return time.monotonic() - self._sign if self._current is not None else 0.0

    def stop(self) -> None:
        """Waiting jobs fail; the one in work ends at its next progress."""
        with self._change:
            self.stopping = True
            waiting = list(self._queue)
            for job in waiting:
                self._queue.remove(job)
            self._change.notify()
        for job in waiting:
            job.future.set_exception(UploadError("overload", "the server is stopping"))

    def join(self, seconds: float) -> bool:
        """Wait for the thread after `stop`; returns whether it has ended."""
        thread = self._thread
        if thread is None:
            return True
        thread.join(seconds)
        return not thread.is_alive()

    # In the thread

    def _run(self) -> None:
        _lower_priority()
        while self._work_on_next():
            pass

    def _work_on_next(self) -> bool:
        with self._change:
            while not self._queue and not self.stopping:
                self._change.wait()
            if self.stopping:
                return False
            self._sign = time.monotonic()
            job = self._current = self._queue.take()
        outcome: Any
        try:
            progress: Callable[[float, float | None], None] = lambda *at: self._progress(job, *at)  # noqa: E731
            outcome, failed = self._diarize(str(job.path), uri=job.uri, progress=progress), False
        except BaseException as error:  # whatever a file does, the next one has its turn
            outcome, failed = error, True
        with self._change:
            self._current = None
        if failed:
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)
        return True

    def _progress(self, job: Job, done: float, duration: float | None) -> None:
        """Notes a sign of life, and stops what is too long or unwanted."""
        self._sign = time.monotonic()
        if job.cancelled or self.stopping:
            raise LeftError
        if max(done, duration or 0.0) > self._max_seconds:
            raise UploadError(
                "too_long", f"more than {self._max_seconds:g} s of audio: expected at most that"
            )
        job.done, job.duration = done, duration


def _lower_priority() -> None:
    """Live streams first: on Linux a priority belongs to a thread; elsewhere to the whole process."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
