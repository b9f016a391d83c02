"""Hands out jobs in order, lost ones first, at most a fixed number ahead of the oldest unfinished one.

Jobs come from an iterator, so their number does not matter; only those in progress are held.
"""

from __future__ import annotations

from collections.abc import Iterator

from sed.archive.work import Job

AHEAD = 4  # finished results per worker that may wait for earlier ones


class Dispatch:
    """A queue of `jobs` with consecutive numbers; a lost job is handed out again.

    With `ordered`, results are wanted in order: no job is handed out that is `AHEAD` or more per worker ahead of the
    oldest unfinished one, which bounds the results that wait for it.

    >>> from sed.archive.inputs import Input
    >>> queue = Dispatch((Job(n, Input("a.wav", "a.wav")) for n in range(9)), ordered=True)
    >>> [job and job.number for job in (queue.take() for _ in range(5))]
    [0, 1, 2, 3, None]
    >>> queue.finish(1); queue.take() is None  # job 0 is still the oldest
    True
    >>> queue.finish(0); queue.take().number
    4
    """

    def __init__(self, jobs: Iterator[Job], ordered: bool = False) -> None:
        self._jobs = jobs
        self._window = AHEAD if ordered else None
        self._next: Job | None = None
        self._lost: list[Job] = []
        self._in_progress: dict[int, Job] = {}  # in the order in which they were handed out
        self._ended = False

    def expect(self, workers: int) -> None:
        """Set the number of workers that take jobs."""
        if self._window is not None:
            self._window = AHEAD * workers

    def take(self) -> Job | None:
        """The next job; None if there is none, or none may be handed out yet."""
        if self._ended and not self._lost:
            return None
        if self._lost:
            job = self._lost.pop(0)
        else:
            if self._next is None:
                self._next = next(self._jobs, None)
            if self._next is None:
                self._ended = True
                return None
            oldest = min(self._in_progress, default=self._next.number)
            if self._window is not None and self._next.number - oldest >= self._window:
                return None
            job, self._next = self._next, None
        self._in_progress[job.number] = job
        return job

    def finish(self, number: int) -> None:
        """Mark job `number` as finished, whether it succeeded or failed."""
        del self._in_progress[number]

    def lose(self, number: int) -> None:
        """Job `number` was lost with its worker: hand it out again before all others."""
        self._lost.append(self._in_progress[number])  # still in progress: the window waits for it

    def stop(self) -> None:
        """Hand out no more jobs; those in progress may still be finished."""
        self._ended = True
        self._next = None
        for job in self._lost:
            del self._in_progress[job.number]
        self._lost.clear()

    @property
    def is_over(self) -> bool:
        """Whether every job is finished."""
        if not self._ended and self._next is None and not self._lost and not self._in_progress:
            self._next = next(self._jobs, None)
            self._ended = self._next is None
        return self._ended and not self._in_progress

    @property
    def has_more(self) -> bool:
        """Whether a job remains to be handed out, now or later."""
        if not self._ended and self._next is None:
            self._next = next(self._jobs, None)
            self._ended = self._next is None
        return bool(self._lost) or not self._ended
