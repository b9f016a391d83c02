"""Workers that are actors of a Ray cluster: one set of models each, on whatever machine has room.

An actor gets one job at a time, so what is under way is bounded by their number. A job that goes down with its actor
or machine is given to another, up to `ATTEMPTS` times; an actor that is lost is replaced as soon as the cluster has
room. Results that belong on this machine come back in the report; those for an object store the actors write.
Every machine needs the same version of sed, and has to be able to read the recordings by their names.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from sed.archive import remote
from sed.archive.dispatch import Dispatch
from sed.archive.inputs import Input
from sed.archive.processes import do_and_remark
from sed.archive.work import Job, Order, Report, Worker
from sed.errors import MissingDependencyError, OptionError, SedError, WorkerError, install_hint

logger = logging.getLogger("sed")

ATTEMPTS = 3  # workers a recording may take down with it before it is given up
REACH = 10.0  # seconds to wait for the address to answer
PATIENCE = 30.0  # seconds without news after which it is said that nobody works


class Actor:
    """What runs on the cluster. The models are loaded by `begin`, whose errors arrive as they are."""

    def begin(self, order: Order, threads: int) -> str:
        """Load the models; returns the version of sed."""
        self._worker = Worker(order, threads)
        return self.version()

    def version(self) -> str:
        """The version of sed; a sign of life, too."""
        from sed import __version__

        return __version__

    def do(self, job: Job) -> Report:
        """Do a job."""
        return do_and_remark(self._worker, job)


def run_cluster(
    address: str, order: Order, queue: Dispatch, count: int | None, threads: int
) -> Generator[Report]:
    """Do the jobs of `queue` on the cluster at `address` (``auto``, or as `ray.init` takes it).

    `count` actors of `threads` threads, or as many as the cluster has processors for. Yields reports as they come.
    Raises `MissingDependencyError` without Ray, `OptionError` where there is no such cluster, `WorkerError` where
    its machines have another sed or lose every worker, and what `EmotionDiarizer` refuses `order` with.
    """
    ray = _connect(address)
    try:
        # What Ray has to say of its nodes it prints to standard output, where results may go.
        with contextlib.redirect_stdout(sys.stderr):
            yield from _Crew(ray, _everywhere(order), queue, threads).work(count)
    finally:
        ray.shutdown()


def _connect(address: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
    try:
        import ray
    except ImportError:
        raise MissingDependencyError(f"a cluster needs Ray: {install_hint('cluster')}") from None
    if ray.is_initialized():
        raise WorkerError("Ray is in use by this process already, expected to connect to it here")
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        if host and port.isdigit():  # Ray itself would try for minutes
            socket.create_connection((host, int(port)), REACH).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # an OSError, a RuntimeError, a ValueError: by version and cause
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise OptionError(
            f"no Ray cluster at {address!r} ({first}): expected one that runs (ray start --head)"
        ) from None
    return ray


def _everywhere(order: Order) -> Order:
    """Paths that do not depend on this process's folder."""
    tagger = order.settings.get("tagger")
    if isinstance(tagger, str) and os.path.exists(tagger):
        return replace(order, settings={**order.settings, "tagger": os.path.abspath(tagger)})
    return order


@dataclass(eq=False)
class _Hand:
    """An actor; whether its models are loaded; the job it is at."""

    actor: Any
    is_ready: bool = False
    job: Job | None = None


class _Crew:
    """The actors, what is awaited of each, and how often each job was lost."""

    def __init__(self, ray: Any, order: Order, queue: Dispatch, threads: int) -> None:
        self._ray, self._order, self._queue, self._threads = ray, order, queue, threads
        self._actor = ray.remote(max_restarts=0, max_task_retries=0)(Actor)
        self._awaited: dict[Any, _Hand] = {}  # by the reference of what it will say
        self._free: list[_Hand] = []
        self._lost: Counter[int] = Counter()
        self._stillborn = 0
        self._count = 1

    def work(self, count: int | None) -> Generator[Report]:
        """See `run_cluster`."""
        if count is None:
            processors = self._ray.cluster_resources().get("CPU", 1)
            count = max(1, int(processors // self._threads))
        self._count = count
        self._queue.expect(count)
        for _ in range(count):
            self._hire()
        while not self._queue.is_over:
            while self._free and (job := self._queue.take()) is not None:
                hand = self._free.pop()
                hand.job = job
                self._awaited[hand.actor.do.remote(replace(job, recording=_absolute(job)))] = hand
            done, _ = self._ray.wait(list(self._awaited), num_returns=1, timeout=PATIENCE)
            if not done and not any(hand.is_ready for hand in self._awaited.values()):
                logger.warning("no machine of the cluster has room for a worker; waiting for one")
            for ref in done:
                if (report := self._news(ref)) is not None:
                    yield report

    def _hire(self) -> None:
        """One more actor; it begins when and where the cluster has room."""
        actor = self._actor.options(num_cpus=self._threads).remote()
        self._awaited[actor.begin.remote(self._order, self._threads)] = _Hand(actor)

    def _news(self, ref: Any) -> Report | None:
        """What an actor said: that it is ready, or the report of its job, which is returned."""
        from ray import exceptions

        from sed import __version__

        hand = self._awaited.pop(ref)
        job, hand.job = hand.job, None
        try:
            answer = self._ray.get(ref)
        except SedError as error:  # the order makes no sense: for all of them
            raise (getattr(error, "cause", None) or error) from None
        except exceptions.RayError as error:
            return self._bury(hand, job, error)
        self._free.append(hand)
        if job is None:
            if answer != __version__:
                raise WorkerError(f"a machine of the cluster has sed {answer}, expected {__version__} on all")
            hand.is_ready = True
            self._stillborn = 0
            return None
        self._queue.finish(job.number)
        self._lost.pop(job.number, None)
        if answer.error is not None:  # says the name that the user gave
            answer = replace(answer, error=answer.error.replace(_absolute(job).path, job.recording.path))
        return answer

    def _bury(self, hand: _Hand, job: Job | None, error: Exception) -> Report | None:
        """An actor is lost, and perhaps a job with it, whose report is returned if it is given up."""
        self._ray.kill(hand.actor)  # it may be out of reach only: then it is not to go on
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        # Whoever waits for a job may have gone with the same machine: no job is to find that out.
        for other in self._free:
            self._awaited[other.actor.version.remote()] = other
        self._free.clear()
        report = None
        if job is not None:
            logger.warning("%s: lost with its worker (%s)", job.recording.path, why)
            report = self._lose(job, why)
        elif not hand.is_ready:
            self._stillborn += 1
            nobody = not any(other.is_ready for other in self._awaited.values())
            if nobody and self._stillborn >= ATTEMPTS + self._count:  # more than one machine's at once
                raise WorkerError(f"{self._stillborn} workers of the cluster could not begin ({why})")
        if self._queue.has_more:
            self._hire()
        return report

    def _lose(self, job: Job, why: str) -> Report | None:
        self._lost[job.number] += 1
        if self._lost[job.number] < ATTEMPTS:
            self._queue.lose(job.number)
            return None
        self._queue.finish(job.number)
        del self._lost[job.number]
        return Report(
            job.number, error=f"{job.recording.path}: lost with its worker {ATTEMPTS} times ({why})"
        )


def _absolute(job: Job) -> Input:
    recording = job.recording
    if remote.is_url(recording.path):
        return recording
    return replace(recording, path=os.path.abspath(recording.path))
