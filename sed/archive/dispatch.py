"""Which job is next: at most so many ahead of the oldest that is not finished, and lost ones first.

Jobs come from an iterator, so a million of them cost nothing; those under way are remembered until they are finished.
"""

from __future__ import annotations

from collections.abc import Iterator

from sed.archive.work import Job

AHEAD = 4  # results a worker that may wait for their turn


class Dispatch:
    """Gives out `jobs`, whose numbers rise by one, each until it is finished.

    If results are wanted in order (`ordered`), no job is given out that is more than a few a worker ahead of the
    oldest unfinished one: so many results may have to wait for it.

    >>> from sed.archive.inputs import Input
    >>> queue = Dispatch((Job(n, Input("a.wav", "a.wav")) for n in range(9)), ordered=True)
    >>> [job and job.number for job in (queue.take() for _ in range(5))]
    [0, 1, 2, 3, None]
    >>> queue.finish(1); queue.take() is None  # 0 is the oldest still
    True
    >>> queue.finish(0); queue.take().number
    4
    """

    def __init__(self, jobs: Iterator[Job], ordered: bool = False) -> None:
        self._jobs = jobs
        self._window = AHEAD if ordered else None
        self._next: Job | None = None
        self._lost: list[Job] = []
        self._under_way: dict[int, Job] = {}  # in the order in which they were given out
        self._ended = False

    def expect(self, workers: int) -> None:
        """So many workers will take jobs."""
        if self._window is not None:
            self._window = AHEAD * workers

    def take(self) -> Job | None:
        """The next job; None where there is none, or none yet."""
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
            oldest = min(self._under_way, default=self._next.number)
            if self._window is not None and self._next.number - oldest >= self._window:
                return None
            job, self._next = self._next, None
        self._under_way[job.number] = job
        return job

    def finish(self, number: int) -> None:
        """Job `number` is finished, one way or the other."""
        del self._under_way[number]

    def lose(self, number: int) -> None:
        """Job `number` went down with its worker: it is given out again, before all others."""
        self._lost.append(self._under_way[number])  # still under way: the window is to wait for it

    def stop(self) -> None:
        """Give out no more; those under way may be finished."""
        self._ended = True
        self._next = None
        for job in self._lost:
            del self._under_way[job.number]
        self._lost.clear()

    @property
    def is_over(self) -> bool:
        """Whether every job is finished."""
        if not self._ended and self._next is None and not self._lost and not self._under_way:
            self._next = next(self._jobs, None)
            self._ended = self._next is None
        return self._ended and not self._under_way

    @property
    def has_more(self) -> bool:
        """Whether a job is left to be given out, now or later."""
        if not self._ended and self._next is None:
            self._next = next(self._jobs, None)
            self._ended = self._next is None
        return bool(self._lost) or not self._ended
