"""One recording with one set of models: what this process, a process of its own and a cluster's actor all run.

An `Order` says what is wanted of every recording and travels to whoever works; a `Job` is one recording, a `Report`
what became of it. Neither holds audio; a report holds results only where somebody else has to write them.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sed.archive import remote
from sed.archive.inputs import Input
from sed.archive.outputs import Outputs, Product, sentence
from sed.errors import SedError
from sed.result import Diarization

logger = logging.getLogger("sed")


@dataclass(frozen=True)
class Order:
    """What is wanted: `settings` of `EmotionDiarizer` without its threads, `outputs`, frame `posteriors` or not.

    With `bring` results come back in the report; otherwise whoever works writes the files.
    """

    settings: Mapping[str, Any]
    outputs: Outputs
    posteriors: bool = False
    bring: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """Recording `number` of a run, with its turns where they are given."""

    number: int
    recording: Input
    turns: Diarization | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What became of job `number`.

    `duration` of the audio and `spent` on it are seconds. `error` states why it failed, or which formats did, or is
    None; `reasons` are the same without names of files, to be counted. `products` are results that are still to be
    written, `warnings` what was remarked on the way.
    """

    number: int
    duration: float = 0.0
    spent: float = 0.0
    error: str | None = None
    products: tuple[Product, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    reasons: tuple[str, ...] = field(default=())

    def failing(self, recording: Input, errors: Sequence[BaseException]) -> Report:
        """This report with `errors` added to it."""
        if not errors:
            return self
        texts = [reason(recording, error) for error in errors]
        messages = [*([self.error] if self.error else []), *texts]
        reasons = [*self.reasons, *map(_problem, [recording] * len(errors), errors, texts)]
        return replace(self, error="; ".join(messages), reasons=tuple(dict.fromkeys(reasons)))


class Worker:
    """Holds one set of models and does one job after the other.

    Raises what `EmotionDiarizer` does where the order makes no sense.
    """

    def __init__(self, order: Order, threads: int = 1) -> None:
        from sed.pipeline import EmotionDiarizer

        self._order = order
        self._diarizer = EmotionDiarizer(**order.settings, threads=threads)

    def do(self, job: Job, progress: Callable[[float, float | None], None] | None = None) -> Report:
        """Do a job, whatever happens: a failure is a report, too. `progress` is as in `EmotionDiarizer`."""
        from sed.speakers import ReferenceTurns

        begun = time.monotonic()
        recording = job.recording
        try:
            turns = None if job.turns is None else ReferenceTurns(job.turns)
            with _source(recording) as source:
                result = self._diarizer(
                    source,
                    uri=recording.uri,
                    turns=turns,
                    progress=progress,
                    posteriors=self._order.posteriors,
                )
            _compare(job, result.duration)
            products, troubles = self._order.outputs.render(result, recording)
            if not self._order.bring:
                products, more = self._order.outputs.deliver(products)
                troubles += more
        except Exception as error:
            if not isinstance(error, SedError | OSError | MemoryError):  # a mistake of ours: say where
                logger.debug("%s: %r", recording.path, error, exc_info=True)
            return Report(job.number, 0.0, time.monotonic() - begun).failing(recording, [error])
        report = Report(job.number, result.duration, time.monotonic() - begun, None, tuple(products))
        return report.failing(recording, troubles)


def _compare(job: Job, duration: float) -> None:
    """Warn of given turns that are behind the end of the recording: perhaps they are another one's."""
    turns = list(job.turns or ())
    if behind := sum(turn.start >= duration for turn in turns):
        text = "%s: %d of %d given turns begin behind its end at %.2f s; they are left out"
        logger.warning(text, job.recording.path, behind, len(turns), duration)


@contextlib.contextmanager
def _source(recording: Input) -> Iterator[Any]:
    """What `EmotionDiarizer` takes: the path, or what is behind the URL (which goes through a file on disk)."""
    if not remote.is_url(recording.path):
        yield recording.path
        return
    with remote.Remote(recording.path) as source:
        yield source


def reason(recording: Input, error: BaseException) -> str:
    """Why a recording failed, in a sentence that begins with its path or URL."""
    text = sentence(error)
    if text.startswith(recording.path) or (isinstance(error, SedError) and error.path is not None):
        return text
    if remote.is_url(recording.path):  # known to the reader of audio by its last part only
        text = text.removeprefix(f"{recording.uri}: ")
    elif isinstance(error, SedError):  # names what it is about: standard input, a result's file
        return text
    return f"{recording.path}: {text}"


def _problem(recording: Input, error: BaseException, text: str) -> str:
    """The reason `text` without the name of the file that it is about."""
    if isinstance(error, SedError) and error.path is not None:
        return error.problem
    return text.removeprefix(f"{recording.path}: ")


class Remarks(logging.Handler):
    """Collects what `sed` warns of, so that a worker elsewhere can report it.

    >>> with Remarks() as remarks:
    ...     logging.getLogger("sed").warning("short")
    >>> remarks.texts
    ['short']
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text, up to a hundred a job."""
        if len(self.texts) < 100:
            self.texts.append(record.getMessage())

    def __enter__(self) -> Remarks:
        self._passed_on, logger.propagate = logger.propagate, False
        logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logger.removeHandler(self)
        logger.propagate = self._passed_on
