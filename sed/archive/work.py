"""Processing one recording with one set of models: shared by this process, worker processes and cluster actors.

An `Order` holds the settings for every recording and is sent to the workers; a `Job` is one recording, a `Report` its
outcome. None holds audio; a report holds results only if another process has to write them.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sed.archive import remote
from sed.archive.inputs import Input
from sed.archive.outputs import Outputs, Product, sentence
from sed.errors import AudioError, MissingDependencyError, SedError
from sed.result import Diarization
from sed.transcripts import add_words, read_transcript
from sed.transcripts.engines import load_engine

if TYPE_CHECKING:
    from sed.speakers.embedding import SpeakerEmbedding
    from sed.streaming import Event

logger = logging.getLogger("sed")


@dataclass(frozen=True)
class Order:
    """`settings` of `EmotionDiarizer` except its threads, `outputs`, and whether to keep the frame `posteriors`.

    With `return_products` the results are returned in the report; otherwise the worker writes the files. `asr` is the
    recogniser that transcribes each recording, if any (`sed.transcripts.engines`).
    """

    settings: Mapping[str, Any]
    outputs: Outputs
    posteriors: bool = False
    return_products: bool = False
    asr: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Recording `number` of a run, with its turns and the path of its transcript if they are given."""

    number: int
    recording: Input
    turns: Diarization | None = None
    transcript: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of job `number`.

    `duration` (of the audio) and `spent` (processing time) are seconds. `error` states why the job or a format failed,
    or is None; `reasons` are the same without file names, to be counted. `products` are results still to be written,
    `warnings` the warnings that were logged.
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
    """Holds one set of models and processes one job after the other.

    Raises any error that `EmotionDiarizer` raises for the settings in `order`.
    """

    def __init__(self, order: Order, threads: int = 1) -> None:
        from sed.pipeline import EmotionDiarizer

        self._order = order
        self._diarizer = EmotionDiarizer(**order.settings, threads=threads)
        self._engine = None if order.asr is None else load_engine(order.asr, threads)
        self._threads = threads

    @cached_property
    def _embedding(self) -> SpeakerEmbedding | None:
        """For the profiles of speakers whose turns are given; opened when the first such recording comes."""
        from sed.speakers.embedding import SpeakerEmbedding

        device = self._order.settings.get("device", "auto")
        return (
            SpeakerEmbedding(threads=self._threads, device=device) if self._order.outputs.has("npz") else None
        )

    def do(
        self,
        job: Job,
        progress: Callable[[float, float | None], None] | None = None,
        provisional: Callable[[Sequence[Event]], None] | None = None,
    ) -> Report:
        """Process a job; failures are returned as a report. The callbacks are as in `EmotionDiarizer`."""
        from sed.speakers import ReferenceTurns

        started = time.monotonic()
        recording = job.recording
        try:
            turns = None if job.turns is None else ReferenceTurns(job.turns, self._embedding)
            words = read_transcript(job.transcript, recording.uri) if job.transcript is not None else None
            samples: list[np.ndarray] = []  # of the whole recording, for the recogniser
            with _source(recording) as source:
                result = self._diarizer(
                    source,
                    uri=recording.uri,
                    turns=turns,
                    progress=progress,
                    posteriors=self._order.posteriors or words is not None or self._engine is not None,
                    provisional=provisional,
                    on_block=None if self._engine is None else samples.append,
                )
            _check_turns(job, result.duration)
            if self._engine is not None:
                words = self._engine(_mono(samples), recording.uri)
            if words is not None:
                words = add_words(result, words)
            if not self._order.posteriors:
                result = replace(result, posteriors=None, dimension_track=None)
            products, errors = self._order.outputs.render(result, recording, words)
            if not self._order.return_products:
                products, more = self._order.outputs.deliver(products)
                errors += more
        except Exception as error:
            if not isinstance(error, SedError | OSError | MemoryError):  # a bug in sed: log the traceback
                logger.debug("%s: %r", recording.path, error, exc_info=True)
            return Report(job.number, 0.0, time.monotonic() - started).failing(recording, [error])
        report = Report(job.number, result.duration, time.monotonic() - started, None, tuple(products))
        return report.failing(recording, errors)


def _mono(blocks: list[np.ndarray]) -> np.ndarray:
    """Blocks ``(n,)`` or ``(n, channels)`` as one array ``(n,)``, the mean of split channels; empties the list."""
    parts = [block if block.ndim == 1 else block.mean(1) for block in blocks]
    blocks.clear()
    return np.concatenate([np.zeros(0, np.float32), *parts])


def _check_turns(job: Job, duration: float) -> None:
    """Warn of given turns after the end of the recording: they may belong to another recording."""
    turns = list(job.turns or ())
    if late := sum(turn.start >= duration for turn in turns):
        text = "%s: %d of %d given turns start after its end at %.2f s and are ignored"
        logger.warning(text, job.recording.path, late, len(turns), duration)


@contextlib.contextmanager
def _source(recording: Input) -> Iterator[Any]:
    """The source for `EmotionDiarizer`: the path, or the open file of a URL (spooled to disk)."""
    if not remote.is_url(recording.path):
        yield recording.path
        return
    with remote.Remote(recording.path) as source:
        yield source


def reason(recording: Input, error: BaseException) -> str:
    """Why a recording failed, in a sentence that starts with its path or URL, or with an output file's."""
    if not isinstance(error, SedError):
        return f"{recording.path}: {sentence(error)}"
    if (
        isinstance(error, AudioError | MissingDependencyError)
        and error.path
        and remote.is_url(recording.path)
    ):
        return f"{recording.path}: {error.problem}"  # the audio reader knows only the last part of a URL
    return sentence(error)


def _problem(recording: Input, error: BaseException, text: str) -> str:
    """The reason `text` without the name of its file."""
    if isinstance(error, SedError) and error.path is not None:
        return error.problem
    return text.removeprefix(f"{recording.path}: ")


class WarningCollector(logging.Handler):
    """Collects the warnings that `sed` logs, so that a worker can put them into its report.

    >>> with WarningCollector() as collector:
    ...     logging.getLogger("sed").warning("short")
    >>> collector.texts
    ['short']
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text, up to 100 per job."""
        if len(self.texts) < 100:
            self.texts.append(record.getMessage())

    def __enter__(self) -> WarningCollector:
        self._propagate, logger.propagate = logger.propagate, False
        logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logger.removeHandler(self)
        logger.propagate = self._propagate
