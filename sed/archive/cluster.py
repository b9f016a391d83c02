"""Workers as actors of a Ray cluster: one set of models each, placed wherever the cluster has room.

An actor gets one job at a time, which bounds the jobs in progress. A job lost with its actor or node is given to
another actor, up to `ATTEMPTS` times; a lost actor is replaced as soon as the cluster has room. Results for a local
folder come back in the report; results for an object store are written by the actors. Every node needs the same
version of sed and must be able to open the recordings by their names.
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
from sed.archive.processes import run_with_warnings
from sed.archive.work import Job, Order, Report, Worker
from sed.emotion.ensemble import SEPARATOR, tagger_names
from sed.errors import MissingDependencyError, OptionError, SedError, WorkerError, install_hint

logger = logging.getLogger("sed")

ATTEMPTS = 3  # workers lost with a recording before it counts as failed
CONNECT_TIMEOUT = 10.0  # seconds
WARN_AFTER = 30.0  # seconds without a result or a placed worker before a warning is logged


class Actor:
    """The code that runs on the cluster. The models are loaded by `load`, so that its errors reach the driver."""

    def load(self, order: Order, threads: int) -> str:
        """Load the models; returns the version of sed."""
        self._worker = Worker(order, threads)
        return self.version()

    def version(self) -> str:
        """The version of sed; also used to check that the actor is alive."""
        from sed import __version__

        return __version__

    def do(self, job: Job) -> Report:
        """Process one recording."""
        return run_with_warnings(self._worker, job)


def run_cluster(
    address: str, order: Order, queue: Dispatch, count: int | None, threads: int
) -> Generator[Report]:
    """Run the jobs of `queue` on the cluster at `address` (``auto``, or any address that `ray.init` accepts).

    Starts `count` actors with `threads` threads each (None: as many as the cluster has CPUs for). Yields reports as
    they arrive. Raises `MissingDependencyError` without Ray, `OptionError` if the cluster cannot be reached,
    `WorkerError` if its nodes have another version of sed or lose every worker, and any error that `EmotionDiarizer`
    raises for the settings in `order`.
    """
    ray = _connect(address)
    try:
        # Ray prints the state of its nodes to standard output, where results may go.
        with contextlib.redirect_stdout(sys.stderr):
            yield from _ActorPool(ray, _with_absolute_tagger(order), queue, threads).run(count)
    finally:
        ray.shutdown()


def _connect(address: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
    try:
        import ray
    except ImportError:
        raise MissingDependencyError(f"a cluster needs Ray: {install_hint('cluster')}") from None
    if ray.is_initialized():
        raise WorkerError("Ray is already initialized in this process, expected it not to be")
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        if host and port.isdigit():  # Ray itself would retry for minutes
            socket.create_connection((host, int(port)), CONNECT_TIMEOUT).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # OSError, RuntimeError or ValueError, depending on version and cause
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise OptionError(
            f"no Ray cluster at {address!r} ({first}): expected a running one (ray start --head)"
        ) from None
    return ray


def _with_absolute_tagger(order: Order) -> Order:
    """`order` with a local tagger as an absolute path: actors have another working directory."""
    tagger = order.settings.get("tagger")
    if not isinstance(tagger, str):
        return order
    names = [os.path.abspath(name) if os.path.exists(name) else name for name in tagger_names(tagger)]
    return replace(order, settings={**order.settings, "tagger": SEPARATOR.join(names)})


@dataclass(eq=False)
class _ActorSlot:
    """An actor, whether its models are loaded, and the job it is processing."""

    actor: Any
    is_ready: bool = False
    job: Job | None = None


class _ActorPool:
    """The actors, the pending call of each, and how often each job was lost."""

    def __init__(self, ray: Any, order: Order, queue: Dispatch, threads: int) -> None:
        self._ray, self._order, self._queue, self._threads = ray, order, queue, threads
        self._actor = ray.remote(max_restarts=0, max_task_retries=0)(Actor)
        self._pending: dict[Any, _ActorSlot] = {}  # by the Ray reference of the call
        self._idle: list[_ActorSlot] = []
        self._losses: Counter[int] = Counter()  # by the number of the job
        self._failed_starts = 0
        self._count = 1

    def run(self, count: int | None) -> Generator[Report]:
        """See `run_cluster`."""
        if count is None:
            processors = self._ray.cluster_resources().get("CPU", 1)
            count = max(1, int(processors // self._threads))
        self._count = count
        self._queue.expect(count)
        for _ in range(count):
            self._start_actor()
        while not self._queue.is_over:
            while self._idle and (job := self._queue.take()) is not None:
                slot = self._idle.pop()
                slot.job = job
                self._pending[slot.actor.do.remote(replace(job, recording=_absolute(job)))] = slot
            done, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=WARN_AFTER)
            if not done and not any(slot.is_ready for slot in self._pending.values()):
                logger.warning("no node of the cluster has room for a worker; waiting for one")
            for ref in done:
                if (report := self._receive(ref)) is not None:
                    yield report

    def _start_actor(self) -> None:
        """Request one more actor; Ray starts it when a node has room."""
        actor = self._actor.options(num_cpus=self._threads).remote()
        self._pending[actor.load.remote(self._order, self._threads)] = _ActorSlot(actor)

    def _receive(self, ref: Any) -> Report | None:
        """Handle a finished call: an actor that is ready, or the report of its job, which is returned."""
        from ray import exceptions

        from sed import __version__

        slot = self._pending.pop(ref)
        job, slot.job = slot.job, None
        try:
            answer = self._ray.get(ref)
        except SedError as error:  # invalid settings, the same for all actors
            raise (getattr(error, "cause", None) or error) from None
        except exceptions.RayError as error:
            return self._discard_actor(slot, job, error)
        self._idle.append(slot)
        if job is None:
            if answer != __version__:
                raise WorkerError(f"a cluster node has sed {answer}, expected {__version__} on all nodes")
            slot.is_ready = True
            self._failed_starts = 0
            return None
        self._queue.finish(job.number)
        self._losses.pop(job.number, None)
        if answer.error is not None:  # name the file as the user did
            answer = replace(answer, error=answer.error.replace(_absolute(job).path, job.recording.path))
        return answer

    def _discard_actor(self, slot: _ActorSlot, job: Job | None, error: Exception) -> Report | None:
        """Replace a lost actor; returns the report of its job if that has failed for good."""
        self._ray.kill(slot.actor)  # it may only be unreachable, and must not continue
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        # Idle actors may be lost with the same node: check that they are alive before they get a job.
        for other in self._idle:
            self._pending[other.actor.version.remote()] = other
        self._idle.clear()
        report = None
        if job is not None:
            logger.warning("%s: lost with its worker (%s)", job.recording.path, why)
            report = self._requeue(job, why)
        elif not slot.is_ready:
            self._failed_starts += 1
            none_ready = not any(other.is_ready for other in self._pending.values())
            # Several actors may be lost with one node.
            if none_ready and self._failed_starts >= ATTEMPTS + self._count:
                raise WorkerError(f"{self._failed_starts} workers of the cluster could not start ({why})")
        if self._queue.has_more:
            self._start_actor()
        return report

    def _requeue(self, job: Job, why: str) -> Report | None:
        """Queue a lost job again; returns a report of failure after `ATTEMPTS` losses."""
        self._losses[job.number] += 1
        if self._losses[job.number] < ATTEMPTS:
            self._queue.lose(job.number)
            return None
        self._queue.finish(job.number)
        del self._losses[job.number]
        return Report(
            job.number, error=f"{job.recording.path}: lost with its worker {ATTEMPTS} times ({why})"
        )


def _absolute(job: Job) -> Input:
    recording = job.recording
    if remote.is_url(recording.path):
        return recording
    return replace(recording, path=os.path.abspath(recording.path))
