"""A live run: a source's blocks in; events to the listeners, a recording, and a `Diarization` out.

Two threads: one records and measures levels, the other diarizes; the caller's thread only supervises, so that signals
and the display are handled immediately. Times are seconds of the recording. If the diarizer cannot keep up, it skips
audio; `LostTime` maps the times of its segments to the recording.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sed.errors import SedError
from sed.grid import SAMPLE_RATE, samples_to_seconds
from sed.live.blocks import BlockQueue, Gap
from sed.live.losttime import LostTime
from sed.live.microphone import Resampler
from sed.live.parts import FLOOR, Listener, Source, Status, Stream
from sed.live.recorder import Recorder
from sed.result import Diarization, Segment
from sed.streaming.events import Event

log = logging.getLogger("sed.live")

BACKLOG = 20.0  # maximum seconds of audio queued for the diarizer
_LOAD_TIME_CONSTANT = 5.0  # seconds of audio over which the load is averaged


class LiveSession:
    """One run of `source` through `stream`.

    `uri` is the name of the result, `labels`, `settings` and `dimensions` are the stream's. `recorder` receives
    every block; `duration` ends the run after exactly that many seconds of audio; `backlog` is the maximum number of
    seconds of audio that are queued for the diarizer before some are dropped. `relabel`: also report the speakers that
    have turned out to be others. `on_level` is called with (seconds, dB) for every block.
    """

    def __init__(
        self,
        source: Source,
        stream: Stream,
        *,
        uri: str = "live",
        labels: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        dimensions: Sequence[str] = (),
        recorder: Recorder | None = None,
        duration: float | None = None,
        relabel: bool = False,
        listeners: Sequence[Listener] = (),
        backlog: float = BACKLOG,
        on_level: Callable[[float, float], None] | None = None,
    ) -> None:
        self.source, self.stream, self.uri, self.labels = source, stream, uri, tuple(labels)
        self._settings, self._dimensions = dict(settings or {}), tuple(dimensions)
        self._recorder, self._relabel = recorder, relabel
        self._listeners = tuple(listeners)
        self._on_level = on_level
        capacity = round(backlog * source.rate)
        self._captured, self._to_diarize = BlockQueue(capacity), BlockQueue(capacity)
        self._limit = None if duration is None else round(duration * source.rate)
        self._stop_requested = threading.Event()
        self._source_stopped = False
        self._discard_backlog = threading.Event()
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._finals: list[Segment] = []
        self._lost_time = LostTime(source.rate)
        self._samples = 0  # of the recording, losses included
        self._busy = self._audio = 0.0
        self._current: Mapping[str, float] = {}
        self._has_signal = False
        self._level, self._peak = FLOOR, FLOOR

    @property
    def status(self) -> Status:
        """The current status; thread-safe."""
        rate = self.source.rate
        return Status(
            captured=self._samples / rate,
            analysed=self._lost_time.processed / rate,
            lost=self._lost_time.lost / rate,
            load=self._busy / self._audio if self._audio else math.nan,
            level=self._level,
            peak=self._peak,
            probabilities=self._current,
        )

    @property
    def stopping(self) -> bool:
        """Whether the source has ended and the backlog is being processed."""
        return self._stop_requested.is_set() or self._captured.finished

    def stop(self) -> None:
        """End the run; captured audio is still processed. A second call discards the backlog."""
        if self._stop_requested.is_set():
            self._discard_backlog.set()
        self._stop_requested.set()

    def run(self, tick: Callable[[], None] | None = None, period: float = 0.2) -> None:
        """Run until the source ends, `duration` is over, `stop` is called, or something fails.

        `tick` is called about every `period` seconds in the caller's thread. Raises the first error (`DeviceError`,
        `AudioError`, `SedError` if recording fails) after all captured audio was processed and recorded; `result` is
        complete even then. Ctrl-C has the effect of `stop`.
        """
        threads = [threading.Thread(target=job, daemon=True) for job in (self._record, self._diarize)]
        for thread in threads:
            thread.start()
        try:
            self.source.start(self._captured)
        except BaseException as error:
            self._fail(error)
        while True:
            try:
                if self._done.wait(period):
                    break
                self._supervise()
                if tick:
                    tick()
            except KeyboardInterrupt:
                self.stop()
        self._check_source()
        self.source.stop()
        for thread in threads:
            thread.join()
        if self._recorder:
            try:
                self._recorder.close()
            except OSError as error:
                self._fail(SedError(f"the recording could not be finished: {error}"))
        if self._error:
            raise self._error

    def result(self) -> Diarization:
        """All final segments so far; the duration is that of the recording, including gaps."""
        duration = samples_to_seconds(round(self._samples * SAMPLE_RATE / self.source.rate))
        return Diarization(
            self.uri,
            duration,
            tuple(self._finals),
            self.labels,
            settings=self._settings,
            dimensions=self._dimensions,
        )

    def refine(self, refined: Diarization) -> None:
        """Replace the segments of `result` by those of the stream's refined result; after `run`."""
        self._finals = [part for segment in refined for part in self._lost_time.split(segment)]

    def _check_source(self) -> None:
        try:
            if not self._stop_requested.is_set():
                self.source.check()
        except SedError as error:
            self._fail(error)

    def _supervise(self) -> None:
        self._check_source()
        if self._stop_requested.is_set() and not self._source_stopped:
            self._source_stopped = True
            self._captured.finish()
            self.source.stop()
        if self._discard_backlog.is_set():
            self._to_diarize.finish(discard=True)

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._stop_requested.set()
        self._captured.finish()

    def _record(self) -> None:
        """First thread: writes every block to the recording, measures its level, and queues it for the diarizer."""
        try:
            while (item := self._captured.get()) is not None:
                size = item.samples if isinstance(item, Gap) else len(item)
                if self._limit is not None and self._samples + size >= self._limit:
                    size = self._limit - self._samples
                    item = Gap(size) if isinstance(item, Gap) else item[:size]
                    self._stop_requested.set()
                    self._captured.finish()
                if size:
                    self._samples += size
                    self._write_recording(item)
                    if isinstance(item, Gap):
                        self._to_diarize.put_gap(size)
                    else:
                        self._measure(item)
                        self._to_diarize.put(item, self.source.max_wait())
                if self._samples == self._limit:
                    break
        except Exception as error:
            self._fail(error)
        finally:
            self._to_diarize.finish()

    def _write_recording(self, item: np.ndarray | Gap) -> None:
        if self._recorder is None:
            return
        try:
            if isinstance(item, Gap):  # write silence instead, so that times stay correct
                log.warning(
                    "%.1f s of audio not recorded: the disk was too slow", item.samples / self.source.rate
                )
                for start in range(0, item.samples, self.source.rate):
                    self._recorder.write(np.zeros(min(self.source.rate, item.samples - start), np.int16))
            else:
                self._recorder.write(item)
        except OSError as error:
            recorder, self._recorder = self._recorder, None
            self._fail(SedError(f"recording to {recorder.path} failed: {error.strerror or error}"))
            recorder.close()

    def _measure(self, block: np.ndarray) -> None:
        scale = 32768.0 if block.dtype == np.int16 else 1.0
        wave = block.astype(np.float64) / scale
        self._level, self._peak = decibel(math.sqrt(np.mean(wave**2))), decibel(float(np.abs(wave).max()))
        seconds = self._samples / self.source.rate
        if not self._has_signal and self._peak > FLOOR:
            self._has_signal = True
        elif not self._has_signal and seconds - len(block) / self.source.rate < 3.0 <= seconds:
            log.warning(
                "%s delivers only digital silence: is it muted, or is access denied?", self.source.name
            )
        if self._on_level:
            self._on_level(seconds, self._peak)

    def _diarize(self) -> None:
        """Second thread: resamples the blocks and runs the stream."""
        try:
            resampler = Resampler(self.source.rate)
            while (item := self._to_diarize.get()) is not None:
                if isinstance(item, Gap):
                    self._skip(item)
                    continue
                started = time.perf_counter()
                self._deliver(self.stream.push(resampler.push(item)))
                self._lost_time.process(len(item))
                self._current = self.stream.current
                self._update_load(len(item) / self.source.rate, time.perf_counter() - started)
            if len(rest := resampler.close()):
                self._deliver(self.stream.push(rest))
            self._deliver(self.stream.close())
        except Exception as error:
            self._fail(error)
            self._to_diarize.finish(discard=True)
        finally:
            self._done.set()

    def _update_load(self, seconds: float, elapsed: float) -> None:
        decay = math.exp(-seconds / _LOAD_TIME_CONSTANT)
        self._busy = self._busy * decay + elapsed
        self._audio = self._audio * decay + seconds

    def _skip(self, gap: Gap) -> None:
        start, end = self._lost_time.skip(gap.samples)
        log.warning(
            "%.1f s of audio from %.1f s on not processed: this machine is too slow", end - start, start
        )
        for listener in self._listeners:
            listener.lost(start, end)

    def _deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            mapped = self._lost_time.map_event(event)
            for listener in self._listeners:
                listener.event(mapped)
            if not event.final or event.segment is None:
                continue
            for segment in self._lost_time.split(event.segment):
                self._finals.append(segment)
                for listener in self._listeners:
                    listener.final(segment)
        for relabel in self.stream.take_relabels() if self._relabel else ():
            mapped_time = self._lost_time.map_time(relabel.time, is_end=True)
            for listener in self._listeners:
                listener.relabel(replace(relabel, time=mapped_time))


def decibel(amplitude: float) -> float:
    """Convert an amplitude to dBFS, at least -90.

    >>> decibel(1.0), decibel(0.0)
    (0.0, -90.0)
    """
    return max(FLOOR, 20 * math.log10(amplitude)) if amplitude > 0 else FLOOR
