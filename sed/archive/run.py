"""A run over many recordings, top to bottom: what is to be done -> workers -> results, journal, summary.

Results for standard output come in the order of the recordings, whoever is done first; files are written as they
come. Only what is under way, and what waits for its turn on standard output, is held.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import IO, Protocol

from sed.archive.dispatch import Dispatch
from sed.archive.inputs import Input
from sed.archive.journal import Journal
from sed.archive.summary import Summary
from sed.archive.work import Job, Order, Report, Worker
from sed.errors import OptionError
from sed.result import Diarization

logger = logging.getLogger("sed")


class Listener(Protocol):
    """Who watches a run: a progress bar, or nobody."""

    def begin(self, recordings: int) -> None:
        """So many are to be done."""
        ...

    def heard(self, number: int, done: float, duration: float | None) -> None:
        """Recording `number` is at `done` seconds of `duration` (None: not known)."""
        ...

    def finished(self, report: Report) -> None:
        """A recording is done or failed."""
        ...

    def say(self, text: str) -> None:
        """Something for a person to read."""
        ...


@dataclass(frozen=True)
class Crew:
    """Who works: `workers` processes that share `threads`, or with `cluster` (the address of a Ray cluster) as
    many actors of `threads` each; None for what there is room for, which on one machine is this process.

    Raises `OptionError` on values that make no sense.
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
    def is_alone(self) -> bool:
        """Whether this process itself works."""
        return self.cluster is None and self.workers in (None, 1)

    def reports(self, order: Order, queue: Dispatch, jobs: int, listener: Listener) -> Generator[Report]:
        """The reports of every job in `queue`, at most `jobs`, as they come."""
        if self.is_alone:
            return _here(order, queue, self.threads, listener)
        if self.cluster is not None:
            from sed.archive.cluster import run_cluster

            bring = order.bring or not order.outputs.is_remote
            return run_cluster(self.cluster, replace(order, bring=bring), queue, self.workers, self.threads)
        from sed.archive.processes import run_processes

        count = min(self.workers or 1, jobs)
        return run_processes(order, queue, count, max(1, self.threads // count), listener.heard)


def run(
    recordings: Sequence[Input],
    order: Order,
    crew: Crew,
    listener: Listener,
    stdout: IO[str],
    *,
    turns: Mapping[str, Diarization] | None = None,
    journal: Journal | None = None,
    stop_on_error: bool = False,
) -> Summary:
    """Do what is to be done of `recordings`; returns what it came to.

    `turns` are given ones by the recording's uri. With a `journal` what is done is left out, and what gets done is
    noted. With `stop_on_error` no recording is begun after one has failed. Raises `SedError` where nothing can
    be done at all; `KeyboardInterrupt` ends the run in good order and is told by the summary.
    """
    if not crew.is_alone and any(r.path == "-" for r in recordings):
        raise OptionError("standard input with several workers: expected files, or one worker")
    todo = recordings if journal is None else [r for r in recordings if not journal.is_done(r)]
    summary = Summary(len(recordings), before=len(recordings) - len(todo))
    if journal is not None:
        journal.forget_listing()
        journal.sweep(todo)
    if not todo:
        return summary
    jobs = (
        Job(number, recording, None if turns is None else turns[recording.uri])
        for number, recording in enumerate(todo)
    )
    queue = Dispatch(jobs, ordered=order.outputs.to_stdout)
    listener.begin(len(todo))
    reports = crew.reports(order, queue, len(todo), listener)
    if order.outputs.to_stdout:
        reports = _in_order(reports)
    try:
        with contextlib.closing(reports):
            for report in reports:
                recording = todo[report.number]
                report = _settle(report, recording, order, journal, stdout)
                summary.add(recording, report)
                listener.finished(report)
                for text in report.warnings:
                    logger.warning("%s", text)
                if report.error is not None:
                    listener.say(report.error)
                    if stop_on_error:
                        queue.stop()
    except KeyboardInterrupt:
        summary.interrupted = True
    return summary


def _settle(
    report: Report, recording: Input, order: Order, journal: Journal | None, stdout: IO[str]
) -> Report:
    """Write what came back, then note it; returns the report as it is after that."""
    _, troubles = order.outputs.deliver(report.products, stdout)
    report = replace(report, products=()).failing(recording, troubles)
    if journal is not None:
        journal.add([(recording, report)])
    return report


def _in_order(reports: Generator[Report]) -> Generator[Report]:
    """Reports by number. When they end early, those that are left come in order, too."""
    waiting: dict[int, Report] = {}
    due = 0
    with contextlib.closing(reports):
        for report in reports:
            waiting[report.number] = report
            while due in waiting:
                yield waiting.pop(due)
                due += 1
    for number in sorted(waiting):
        yield waiting[number]


def _here(order: Order, queue: Dispatch, threads: int, listener: Listener) -> Generator[Report]:
    """The jobs of `queue`, done by this process."""
    worker = Worker(order, threads)
    while (job := queue.take()) is not None:
        report = worker.do(job, partial(listener.heard, job.number))
        queue.finish(job.number)
        yield report
