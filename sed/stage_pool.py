"""Stages side by side: the jobs of a lane run in order, lanes run at once, and none runs far ahead.

In: functions without arguments, one a lane and block of audio. With one thread each runs at once, in its turn. With
more, a lane goes on with its next job while another is still busy with an earlier block: stages whose work comes in
bursts (networks that run on groups of windows) would otherwise wait for each other at every block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Condition
from typing import Any

AHEAD = 4  # jobs that may wait in a lane: bounds what is kept of the audio


class StagePool:
    """Runs the jobs of several lanes on `threads` threads; at most `ahead` jobs wait in each lane.

    What a job raises comes out of the next `run` or `finish`, and the jobs that wait are dropped.

    >>> done = []
    >>> with StagePool(threads=2) as lanes:
    ...     for number in range(3):
    ...         lanes.run([lambda number=number: done.append(number), lambda: None])
    ...     lanes.finish()
    >>> done, lanes.finished
    ([0, 1, 2], 3)
    """

    def __init__(self, threads: int, ahead: int = AHEAD) -> None:
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._ahead = ahead
        self._change = Condition()
        self._waiting: list[deque[Callable[[], Any]]] = []
        self._busy: list[bool] = []
        self._done: list[int] = []
        self._error: BaseException | None = None

    def __enter__(self) -> StagePool:
        return self

    def __exit__(self, *_: object) -> None:
        with self._change:
            self._drop()
        if self._pool:
            self._pool.shutdown()

    @property
    def finished(self) -> int:
        """How many jobs every lane has finished."""
        return min(self._done, default=0)

    def run(self, jobs: Sequence[Callable[[], Any]]) -> None:
        """Give each lane its next job, the first lane the first one; waits where a lane has enough to do."""
        while len(self._done) < len(jobs):
            self._waiting.append(deque())
            self._busy.append(False)
            self._done.append(0)
        for lane, job in enumerate(jobs):
            if self._pool is None:
                job()
                self._done[lane] += 1
                continue
            with self._change:
                while not self._error and len(self._waiting[lane]) >= self._ahead:
                    self._change.wait()
                self._raise()
                self._waiting[lane].append(job)
                if not self._busy[lane]:
                    self._busy[lane] = True
                    self._pool.submit(self._work, lane)

    def finish(self) -> None:
        """Wait until every job has been done."""
        with self._change:
            self._change.wait_for(lambda: not any(self._busy))
            self._raise()

    def _work(self, lane: int) -> None:
        """One job of `lane`; the next one queues behind the other lanes'."""
        assert self._pool is not None
        with self._change:
            job = self._waiting[lane].popleft() if self._waiting[lane] else None
        try:
            if job is not None:
                job()
        except BaseException as error:  # it belongs to whoever gave the job, and comes out there
            with self._change:
                self._error = self._error or error
                self._drop()
        with self._change:
            self._done[lane] += 1
            if self._waiting[lane]:
                self._pool.submit(self._work, lane)
            else:
                self._busy[lane] = False
            self._change.notify_all()

    def _drop(self) -> None:
        for waiting in self._waiting:
            waiting.clear()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
