"""A run over many recordings: inputs and settings in; results, journal entries and a summary out.

Results for standard output appear in the order of the recordings; files are written as they are finished. Only jobs in
progress, and results that wait for earlier ones on standard output, are held in memory.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import IO, TYPE_CHECKING, Protocol

from sed.archive.dispatch import Dispatch
from sed.archive.inputs import Input
from sed.archive.journal import Journal
from sed.archive.summary import Summary
from sed.archive.work import Job, Order, Report, Worker
from sed.errors import OptionError
from sed.result import Diarization

if TYPE_CHECKING:
    from sed.streaming import Event

logger = logging.getLogger("sed")


class Listener(Protocol):
    """Receives the progress of a run, such as a progress bar."""

    def start(self, recordings: int) -> None:
        """The run starts with this number of recordings."""
        ...

    def progress(self, number: int, done: float, duration: float | None) -> None:
        """Recording `number` is processed up to `done` seconds of `duration` (None: unknown)."""
        ...

    def provisional(self, number: int) -> Callable[[Sequence[Event]], None] | None:
        """A function for the events of recording `number` while it is analysed (`EmotionDiarizer`); None: not shown."""
        ...

    def finished(self, report: Report) -> None:
        """A recording is done or has failed."""
        ...

    def paused(self) -> contextlib.AbstractContextManager[None]:
        """Results are written to standard output in this context."""
        ...

    def message(self, text: str) -> None:
        """An error message for the user."""
        ...


@dataclass(frozen=True)
class WorkerPool:
    """The kind and number of workers: `workers` processes that share `threads`, or actors with `threads` each on the
    Ray cluster at the address `cluster`. None: as many actors as fit on the cluster, or this process alone.

    Raises `OptionError` if `workers` or `threads` is less than 1.
    """

    workers: int | None = None
    threads: int = 1
    cluster: str | None = None

    def __post_init__(self) -> None:
        if self.threads < 1 or (self.workers is not None and self.workers < 1):
            raise OptionError(
                f"{self.workers} workers with {self.threads} threads: expected 1 or more of each"
            )

    @property
    def is_in_process(self) -> bool:
        """Whether jobs run in this process."""
        return self.cluster is None and self.workers in (None, 1)

    def reports(self, order: Order, queue: Dispatch, jobs: int, listener: Listener) -> Generator[Report]:
        """The reports of all jobs in `queue`, at most `jobs`, as they arrive."""
        if self.is_in_process:
            return _run_in_process(order, queue, self.threads, listener)
        if self.cluster is not None:
            from sed.archive.cluster import run_cluster

            send = order.return_products or not order.outputs.is_remote
            order = replace(order, return_products=send)
            return run_cluster(self.cluster, order, queue, self.workers, self.threads)
        from sed.archive.processes import run_processes

        count = min(self.workers or 1, jobs)
        return run_processes(order, queue, count, max(1, self.threads // count), listener.progress)


def run(
    recordings: Sequence[Input],
    order: Order,
    pool: WorkerPool,
    listener: Listener,
    stdout: IO[str],
    *,
    turns: Mapping[str, Diarization] | None = None,
    transcripts: Mapping[str, str] | None = None,
    journal: Journal | None = None,
    stop_on_error: bool = False,
) -> Summary:
    """Process `recordings` and return a summary.

    `turns` are given turns by the recording's uri, `transcripts` paths of transcripts by its stem. With a `journal`,
    recordings that are done are skipped, and new ones are recorded. With `stop_on_error`, no recording is started
    after one has failed. Raises `SedError` if the run cannot start; `KeyboardInterrupt` ends it cleanly and is
    reported in the summary.
    """
    if not pool.is_in_process and any(r.path == "-" for r in recordings):
        raise OptionError("standard input cannot be combined with several workers: expected files")
    todo = recordings if journal is None else [r for r in recordings if not journal.is_done(r)]
    summary = Summary(len(recordings), before=len(recordings) - len(todo))
    if journal is not None:
        journal.forget_listing()
        journal.sweep(todo)
    if not todo:
        return summary
    jobs = (
        Job(
            number,
            recording,
            None if turns is None else turns[recording.uri],
            None if transcripts is None else transcripts[recording.stem],
        )
        for number, recording in enumerate(todo)
    )
    queue = Dispatch(jobs, ordered=order.outputs.to_stdout)
    listener.start(len(todo))
    reports = pool.reports(order, queue, len(todo), listener)
    if order.outputs.to_stdout:
        reports = _in_order(reports)
    try:
        with contextlib.closing(reports):
            for report in reports:
                recording = todo[report.number]
                with listener.paused() if order.outputs.to_stdout else contextlib.nullcontext():
                    report = _finish(report, recording, order, journal, stdout)
                summary.add(recording, report)
                listener.finished(report)
                for text in report.warnings:
                    logger.warning("%s", text)
                if report.error is not None:
                    listener.message(report.error)
                    if stop_on_error:
                        queue.stop()
    except KeyboardInterrupt:
        summary.interrupted = True
    return summary


def _finish(
    report: Report, recording: Input, order: Order, journal: Journal | None, stdout: IO[str]
) -> Report:
    """Write the products of a report, then record it in the journal; returns it with any errors in writing."""
    _, errors = order.outputs.deliver(report.products, stdout)
    report = replace(report, products=()).failing(recording, errors)
    if journal is not None:
        journal.add([(recording, report)])
    return report


def _in_order(reports: Generator[Report]) -> Generator[Report]:
    """Reports by number; if they end early, the remaining ones follow in order."""
    waiting: dict[int, Report] = {}
    expected = 0
    with contextlib.closing(reports):
        for report in reports:
            waiting[report.number] = report
            while expected in waiting:
                yield waiting.pop(expected)
                expected += 1
    for number in sorted(waiting):
        yield waiting[number]


def _run_in_process(order: Order, queue: Dispatch, threads: int, listener: Listener) -> Generator[Report]:
    """Run the jobs of `queue` in this process."""
    worker = Worker(order, threads)
    while (job := queue.take()) is not None:
        report = worker.do(job, partial(listener.progress, job.number), listener.provisional(job.number))
        queue.finish(job.number)
        yield report
