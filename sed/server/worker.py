"""`FileWorker`: the thread that diarizes uploaded files one at a time, fairly between addresses.

The thread is a daemon: a file that blocks it forever (a decoder that hangs) does not block the exit of the process.
It is monitored through its calls of ``progress``.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

from sed.result import Diarization
from sed.server.fairness import FairQueue, largest_share
from sed.server.options import ServerOptions
from sed.server.refusal import UploadError
from sed.streaming import Event


class Diarize(Protocol):
    """The interface of `sed.EmotionDiarizer` that the server uses for whole files."""

    def __call__(
        self,
        source: str,
        *,
        uri: str,
        progress: Callable[[float, float | None], None],
        provisional: Callable[[Sequence[Event]], None] | None = None,
    ) -> Diarization:
        """Diarize the file `source`; an exception raised by `progress` aborts it. `provisional` is passed if it is
        wanted."""
        ...


class JobCancelledError(Exception):
    """The job was cancelled or the server stops."""


class Job:
    """A complete file, queued or being processed. `done` and `duration` are its progress in seconds of audio.

    With `provisional`, `events` are those of provisional segments that have not been sent yet.
    """

    def __init__(self, address: str, path: Path, uri: str, provisional: bool = False) -> None:
        self.address = address
        self.path = path
        self.uri = uri
        self.future: Future[Diarization] = Future()
        self.cancelled = False
        self.done = 0.0
        self.duration: float | None = None
        self.provisional = provisional
        self.events: deque[Event] = deque()

    def take_events(self) -> list[Event]:
        """The events since the last call, in order."""
        return [self.events.popleft() for _ in range(len(self.events))]


class FileWorker:
    """Diarizes jobs with `diarize` in one thread of lower priority; thread-safe."""

    def __init__(self, diarize: Diarize, options: ServerOptions) -> None:
        self._diarize = diarize
        self._options = options
        self._max_seconds = min(options.max_seconds, options.max_upload_seconds)
        self._change = threading.Condition()
        self._queue: FairQueue[Job] = FairQueue()
        self._current: Job | None = None
        self._last_progress = 0.0  # time of the current job's last progress
        self._thread: threading.Thread | None = None
        self.stopping = False

    # From the event loop

    def check(self, address: str) -> None:
        """Raise `UploadError` (``overload``) if there is no slot for a file of `address` now."""
        with self._change:
            self._job_to_replace(address)

    def submit(self, job: Job) -> None:
        """Put a job into the queue; if the queue is full and it is fairer, the job replaces another one.

        Raises `UploadError` (``overload``); a replaced job fails with the same error.
        """
        with self._change:
            replaced = self._job_to_replace(job.address)
            if replaced is not None:
                self._queue.remove(replaced)
            self._queue.put(job.address, job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sed-file", daemon=True)
                self._thread.start()
            self._change.notify()
        if replaced is not None:
            replaced.future.set_exception(
                UploadError(
                    "overload", "this file was removed from the queue in favour of a client with fewer files"
                )
            )

    def _job_to_replace(self, address: str) -> Job | None:
        """The job that a new one of `address` replaces, or None if the queue has room."""
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
            raise UploadError("overload", f"{total} files are being processed or queued: expected fewer")
        return self._queue.last_of(share)

    def ahead(self, job: Job) -> int:
        """How many files are processed before this one; 0 once it is being processed."""
        with self._change:
            if job not in self._queue:
                return 0
            return self._queue.ahead(job) + (self._current is not None)

    def cancel(self, job: Job) -> None:
        """Cancel a job: a queued one is removed, one being processed ends at its next progress report."""
        with self._change:
            job.cancelled = True
            self._queue.remove(job)

    @property
    def waiting(self) -> int:
        """Number of jobs in the queue."""
        return len(self._queue)

    @property
    def working(self) -> int:
        """Number of jobs being processed: 0 or 1."""
        return int(self._current is not None)

    @property
    def stalled_for(self) -> float:
        """Seconds since the last progress of the job being processed; 0 if there is none."""
        return time.monotonic() - self._last_progress if self._current is not None else 0.0

    def stop(self) -> None:
        """Fail queued jobs; the one being processed ends at its next progress report."""
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
        while self._process_next():
            pass

    def _process_next(self) -> bool:
        with self._change:
            while not self._queue and not self.stopping:
                self._change.wait()
            if self.stopping:
                return False
            self._last_progress = time.monotonic()
            job = self._current = self._queue.take()
        outcome: Any
        try:
            progress: Callable[[float, float | None], None] = lambda *at: self._progress(job, *at)  # noqa: E731
            options: dict[str, Any] = {"provisional": job.events.extend} if job.provisional else {}
            outcome = self._diarize(str(job.path), uri=job.uri, progress=progress, **options)
            failed = False
        except BaseException as error:  # whatever a file does, the next one is processed
            outcome, failed = error, True
        with self._change:
            self._current = None
        if failed:
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)
        return True

    def _progress(self, job: Job, done: float, duration: float | None) -> None:
        """Record progress; aborts a file that is too long or cancelled."""
        self._last_progress = time.monotonic()
        if job.cancelled or self.stopping:
            raise JobCancelledError
        if max(done, duration or 0.0) > self._max_seconds:
            raise UploadError(
                "too_long",
                f"more than {self._max_seconds:g} s of audio: expected at most {self._max_seconds:g} s",
            )
        job.done, job.duration = done, duration


def _lower_priority() -> None:
    """Prefer live streams: on Linux, priorities are per thread; elsewhere they are per process, so do nothing."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
