"""Workers that are processes of this machine: models loaded once in each, a dead one replaced.

Each process is started afresh (no fork: libraries with threads do not survive one), gets one job at a time through
its own pipe, and ends when this process does, however it ends. A worker that dies (out of memory, a crash in a
library) costs the recording that it was at, whose report names the reason.
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
from sed.archive.work import Job, Order, Remarks, Report, Worker
from sed.errors import SedError, WorkerError

Heard = Callable[[int, float, "float | None"], None]
"""Told how far a recording is: its number, seconds done, its duration (None: not known)."""

EVERY = 0.25  # seconds between two such messages of a worker
ATTEMPTS = 3  # workers in a row that may die before they are ready


def run_processes(
    order: Order, queue: Dispatch, count: int, threads: int, heard: Heard | None = None
) -> Generator[Report]:
    """Do the jobs of `queue` in `count` processes of `threads` threads; yields reports as they come.

    Raises what `EmotionDiarizer` refuses `order` with, and `WorkerError` where processes die before they begin.
    """
    queue.expect(count)
    workers = [_Process(order, threads) for _ in range(count)]
    stillborn = 0
    try:
        while not queue.is_over:
            for worker in workers:
                if worker.is_free and (job := queue.take()) is not None:
                    worker.give(job)
            for worker in _with_news(workers):
                for kind, content in worker.news():
                    if kind == "ready":
                        stillborn = 0
                    elif kind == "refused":
                        raise content
                    elif kind == "heard" and heard is not None:
                        heard(*content)
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
                    stillborn += 1
                    if stillborn >= ATTEMPTS:
                        raise WorkerError(
                            f"{stillborn} workers died while they loaded the models ({why}): "
                            "expected memory for as many sets of models as workers"
                        )
                if queue.has_more:
                    workers.append(_Process(order, threads))
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.close()


def _with_news(workers: list[_Process]) -> list[_Process]:
    """Those that sent something or died; waits for one."""
    places: dict[Any, _Process] = {}
    for worker in workers:
        places[worker.pipe] = places[worker.process.sentinel] = worker
    found = wait(list(places))
    return list(dict.fromkeys(places[place] for place in found))


class _Process:
    """A worker seen from here: its process, its end of the pipe, the job it is at."""

    def __init__(self, order: Order, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, order, threads), daemon=True)
        self.job: Job | None = None
        self.was_ready = False
        self.is_alive = True
        self._begun = 0.0
        with _environment(OMP_NUM_THREADS=str(threads)):  # numpy's own threads, read when it is imported
            self.process.start()
        theirs.close()

    @property
    def is_free(self) -> bool:
        return self.was_ready and self.is_alive and self.job is None

    @property
    def spent(self) -> float:
        """Seconds since it was given its job."""
        return time.monotonic() - self._begun

    def give(self, job: Job) -> None:
        self.job, self._begun = job, time.monotonic()
        with contextlib.suppress(OSError):  # it died just now: the sentinel tells
            self.pipe.send(job)

    def news(self) -> Iterator[tuple[str, Any]]:
        """What it sent, up to its death, which comes out as `is_alive`."""
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
        """Wait for its end, not for long; returns how it ended, in words."""
        self.process.join(5.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()
        code = self.process.exitcode or 0
        if code == -9:  # SIGKILL, which not every system has by name
            return "killed, as the system does when memory runs out"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def _serve(pipe: Connection, order: Order, threads: int) -> None:
    """The life of a worker process: load the models, do what comes, end with the pipe or with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        worker = Worker(order, threads)
    except SedError as error:
        pipe.send(("refused", error))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # from here on not in the middle of writing a file
    pipe.send(("ready", None))
    last = 0.0

    def progress(done: float, duration: float | None) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= EVERY:
            last = now
            pipe.send(("heard", (job.number, done, duration)))

    with contextlib.suppress(EOFError, OSError):
        while True:
            job: Job = pipe.recv()
            pipe.send(("report", do_and_remark(worker, job, progress)))


def do_and_remark(worker: Worker, job: Job, progress: Any = None) -> Report:
    """The report of a job with what `sed` warned of meanwhile, for workers whose log nobody reads."""
    from dataclasses import replace

    with Remarks() as remarks:
        report = worker.do(job, progress)
    return replace(report, warnings=tuple(remarks.texts))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextlib.contextmanager
def _environment(**wanted: str) -> Iterator[None]:
    """Variables for the processes that start meanwhile; what the user set stays."""
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
