"""Runs pipeline stages concurrently: in order within a stage, with a bounded queue for each stage.

In: functions without arguments, one per stage and block of audio. With one thread, each runs immediately in the
calling thread. With more, a stage can start on the next block while another is still busy with an earlier one:
otherwise stages whose work comes in bursts (networks that run on batches of windows) would wait for each other at
every block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Condition
from typing import Any

AHEAD = 4  # jobs queued per stage; bounds how much audio is held in memory


class StagePool:
    """Runs the jobs of several stages on `threads` threads; at most `ahead` jobs are queued per stage.

    An exception in a job discards all queued jobs and is raised by the next call of `run` or `finish`.

    >>> done = []
    >>> with StagePool(threads=2) as stages:
    ...     for number in range(3):
    ...         stages.run([lambda number=number: done.append(number), lambda: None])
    ...     stages.finish()
    >>> done, stages.finished
    ([0, 1, 2], 3)
    """

    def __init__(self, threads: int, ahead: int = AHEAD) -> None:
        self._executor = ThreadPoolExecutor(threads) if threads > 1 else None
        self._ahead = ahead
        self._changed = Condition()
        self._queues: list[deque[Callable[[], Any]]] = []
        self._busy: list[bool] = []
        self._done: list[int] = []
        self._error: BaseException | None = None

    def __enter__(self) -> StagePool:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._discard_queued()
        if self._executor:
            self._executor.shutdown()

    @property
    def finished(self) -> int:
        """Number of jobs that every stage has finished."""
        return min(self._done, default=0)

    def run(self, jobs: Sequence[Callable[[], Any]]) -> None:
        """Queue ``jobs[i]`` for stage ``i``; blocks while the queue of a stage is full."""
        while len(self._done) < len(jobs):
            self._queues.append(deque())
            self._busy.append(False)
            self._done.append(0)
        for stage, job in enumerate(jobs):
            if self._executor is None:
                job()
                self._done[stage] += 1
                continue
            with self._changed:
                while not self._error and len(self._queues[stage]) >= self._ahead:
                    self._changed.wait()
                self._raise_error()
                self._queues[stage].append(job)
                if not self._busy[stage]:
                    self._busy[stage] = True
                    self._executor.submit(self._run_next, stage)

    def finish(self) -> None:
        """Wait until all jobs are done."""
        with self._changed:
            self._changed.wait_for(lambda: not any(self._busy))
            self._raise_error()

    def _run_next(self, stage: int) -> None:
        """Run one job of `stage` and submit the next one, so that stages take turns on the threads."""
        assert self._executor is not None
        with self._changed:
            job = self._queues[stage].popleft() if self._queues[stage] else None
        try:
            if job is not None:
                job()
        except BaseException as error:  # raised again in the thread that calls `run` or `finish`
            with self._changed:
                self._error = self._error or error
                self._discard_queued()
        with self._changed:
            self._done[stage] += 1
            if self._queues[stage]:
                self._executor.submit(self._run_next, stage)
            else:
                self._busy[stage] = False
            self._changed.notify_all()

    def _discard_queued(self) -> None:
        for queue in self._queues:
            queue.clear()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error


class BlockProgress:
    """Reports the blocks of a recording that all stages have finished, in order.

    `progress`, if given, is called with the seconds processed and the duration of the recording (None: unknown); an
    exception that it raises passes through.

    >>> seen = []
    >>> report = BlockProgress(lambda done, duration: seen.append(done))
    >>> for end in (0.5, 1.0, 1.5): report.pushed(end)
    >>> report.finished(2, None); report.finished(2, None); report.repeat()
    >>> seen
    [0.5, 1.0, 1.0]
    """

    def __init__(self, progress: Callable[[float, float | None], None] | None) -> None:
        self._progress = progress
        self._last: tuple[float, float | None] = (0.0, None)
        self._ends: deque[float] = deque()  # of the blocks that are not reported
        self._reported = 0

    def __call__(self, done: float, duration: float | None) -> None:
        """Report `done` seconds."""
        self._last = (done, duration)
        self.repeat()

    def repeat(self) -> None:
        """Report the last values again, so that the caller can cancel while waiting."""
        if self._progress:
            self._progress(*self._last)

    def pushed(self, end: float) -> None:
        """Another block, which ends at `end` seconds, has been passed to the stages."""
        self._ends.append(end)

    def finished(self, blocks: int, duration: float | None) -> None:
        """All stages have finished that number of `blocks`."""
        while self._reported < blocks:
            self(self._ends.popleft(), duration)
            self._reported += 1
