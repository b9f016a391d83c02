"""Workers as local processes: each loads the models once, and a dead one is replaced.

Each process is spawned (not forked: threaded libraries do not survive a fork), gets one job at a time through its own
pipe, and ends when this process does, however that ends. A worker that dies (out of memory, a crash in a library)
fails only the recording it was processing; the report states the reason.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from sed.archive.dispatch import Dispatch
from sed.archive.work import Job, Order, Report, WarningCollector, Worker
from sed.errors import SedError, WorkerError

ProgressCallback = Callable[[int, float, "float | None"], None]
"""Called with a job's number, the seconds of audio processed, and its duration (None: unknown)."""

PROGRESS_INTERVAL = 0.25  # seconds between two progress messages of a worker
ATTEMPTS = 3  # workers in a row that may die while loading the models


def run_processes(
    order: Order, queue: Dispatch, count: int, threads: int, progress: ProgressCallback | None = None
) -> Generator[Report]:
    """Run the jobs of `queue` in `count` processes of `threads` threads; yields reports as they arrive.

    Raises any error that `EmotionDiarizer` raises for the settings in `order`, and `WorkerError` if processes die
    while they load the models.
    """
    queue.expect(count)
    workers = [_Process(order, threads) for _ in range(count)]
    failed_starts = 0
    try:
        while not queue.is_over:
            for worker in workers:
                if worker.is_free and (job := queue.take()) is not None:
                    worker.give(job)
            for worker in _wait_for_messages(workers):
                for kind, content in worker.messages():
                    if kind == "ready":
                        failed_starts = 0
                    elif kind == "refused":
                        raise content
                    elif kind == "progress" and progress is not None:
                        progress(*content)
                    elif kind == "report":
                        queue.finish(content.number)
                        yield content
                if worker.is_alive:
                    continue
                workers.remove(worker)
                why = worker.close()
                if worker.job is not None:
                    queue.finish(worker.job.number)
                    error = f"{worker.job.recording.path}: the worker died ({why})"
                    yield Report(worker.job.number, 0.0, worker.spent, error)
                elif not worker.was_ready:
                    failed_starts += 1
                    if failed_starts >= ATTEMPTS:
                        raise WorkerError(
                            f"{failed_starts} workers died while they loaded the models ({why}): "
                            "expected memory for one set of models per worker"
                        )
                if queue.has_more:
                    workers.append(_Process(order, threads))
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.close()


def _wait_for_messages(workers: list[_Process]) -> list[_Process]:
    """The workers that have sent a message or died; waits until there is one."""
    places: dict[Any, _Process] = {}
    for worker in workers:
        places[worker.pipe] = places[worker.process.sentinel] = worker
    found = wait(list(places))
    return list(dict.fromkeys(places[place] for place in found))


class _Process:
    """The parent's handle of a worker: its process, our end of the pipe, its current job."""

    def __init__(self, order: Order, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, child_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(child_end, order, threads), daemon=True)
        self.job: Job | None = None
        self.was_ready = False
        self.is_alive = True
        self._started = 0.0
        with _environment(OMP_NUM_THREADS=str(threads)):  # read by numpy when it is imported
            self.process.start()
        child_end.close()

    @property
    def is_free(self) -> bool:
        return self.was_ready and self.is_alive and self.job is None

    @property
    def spent(self) -> float:
        """Seconds since it received its job."""
        return time.monotonic() - self._started

    def give(self, job: Job) -> None:
        self.job, self._started = job, time.monotonic()
        with contextlib.suppress(OSError):  # it has just died: its sentinel reports that
            self.pipe.send(job)

    def messages(self) -> Iterator[tuple[str, Any]]:
        """The messages received so far; sets `is_alive` to False if the process has ended."""
        ended = not self.process.is_alive()
        try:
            while self.pipe.poll():
                kind, content = self.pipe.recv()
                if kind == "ready":
                    self.was_ready = True
                if kind == "report":
                    self.job = None
                yield kind, content
        except (EOFError, OSError):
            ended = True
        if ended:
            self.is_alive = False

    def close(self) -> str:
        """Wait a few seconds for the process to end, then kill it; returns a description of how it ended."""
        self.process.join(5.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()
        code = self.process.exitcode or 0
        if code == -9:  # SIGKILL, whose name not every system defines
            return "killed, as the system does when memory runs out"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def _serve(pipe: Connection, order: Order, threads: int) -> None:
    """Main loop of a worker process: load the models, run jobs until the pipe is closed or the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        worker = Worker(order, threads)
    except SedError as error:
        pipe.send(("refused", error))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # lets a file in progress be cleaned up
    pipe.send(("ready", None))
    last = 0.0

    def progress(done: float, duration: float | None) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= PROGRESS_INTERVAL:
            last = now
            pipe.send(("progress", (job.number, done, duration)))

    with contextlib.suppress(EOFError, OSError):
        while True:
            job: Job = pipe.recv()
            pipe.send(("report", run_with_warnings(worker, job, progress)))


def run_with_warnings(worker: Worker, job: Job, progress: Any = None) -> Report:
    """Run a job; the report includes the warnings that `sed` logged; the log of a worker is not shown."""
    from dataclasses import replace

    with WarningCollector() as collector:
        report = worker.do(job, progress)
    return replace(report, warnings=tuple(collector.texts))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextlib.contextmanager
def _environment(**defaults: str) -> Iterator[None]:
    """Environment variables for processes started in the block; variables that the user has set are kept."""
    added = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
