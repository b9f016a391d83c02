"""`StreamingDiarizer`: blocks of audio in, events about segments out, top to bottom.

Time goes in steps on an absolute grid, whatever the cuts of the audio: every `step` frames the models hear
their latest window. At step time t everything before ``t - look-ahead`` becomes final, the rest stays
provisional. Step and look-ahead together are the latency, so no frame waits longer than that for its label.
What is kept is a window of audio, running sums, and one voice a speaker: a day costs what a minute does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from sed.audio.stream import LOUDEST
from sed.emotion.decoding import DecoderOptions
from sed.emotion.tagger import Tagger
from sed.errors import AudioError, OptionError, SedError
from sed.grid import HOP, frame_at, frame_count, frames_to_seconds, samples_to_seconds, seconds_to_frames
from sed.result import Diarization, Segment
from sed.speakers.online import begin_online
from sed.speakers.turns import SpeakerDiarizer
from sed.spooling import SpooledArray
from sed.streaming.decoding import OnlineDecoder
from sed.streaming.events import Event
from sed.streaming.labelling import SegmentLabels
from sed.streaming.posteriors import OnlinePosteriors
from sed.streaming.segments import Lane, Ledger

SHORTEST_LATENCY, LONGEST_LATENCY = 0.5, 5.0  # seconds
STEP = 0.5  # seconds from step to step, where the latency is at least twice that


class StreamingDiarizer:
    """A live stream; made by `EmotionDiarizer.stream`. One thread at a time may use it.

    `tagger` and `diarizer` are the models, `decoder` the decoder's options. `latency` in seconds (0.5 to 5) bounds the
    time from a sound to the final label of its 20 ms frame. Raises `OptionError` on another latency, and where the
    diarizer cannot work live.

    >>> from sed import EmotionDiarizer
    >>> stream = EmotionDiarizer().stream(latency=1.0)
    >>> stream.push(np.zeros(16_000, np.float32)) + stream.close()  # silence
    []
    >>> stream.time, stream.settled
    (1.0, 1.0)
    """

    def __init__(
        self,
        tagger: Tagger,
        diarizer: SpeakerDiarizer,
        decoder: DecoderOptions | None = None,
        latency: float = 1.0,
    ) -> None:
        if not SHORTEST_LATENCY <= latency <= LONGEST_LATENCY:
            raise OptionError(
                f"a latency of {latency} s: expected {SHORTEST_LATENCY:g} to {LONGEST_LATENCY:g} s"
            )
        whole = frame_at(latency)
        self.latency = float(latency)
        self._step = min(seconds_to_frames(STEP), whole // 2)
        self._ahead = whole - self._step
        self._tagger = tagger
        self._options = decoder or DecoderOptions()
        self._emotion = OnlinePosteriors(tagger, self._step)
        self._speakers = begin_online(diarizer)
        self._window = max(self._emotion.window, self._speakers.window)
        self._decoders: dict[int, OnlineDecoder] = {}
        self._segment_labels: dict[int, SegmentLabels] = {}
        self._ledger = Ledger(self.labels)
        self._audio = np.zeros(0, np.float32)  # the latest window, up to the last step
        self._waiting: list[np.ndarray] = []  # what has come since
        self._samples = 0  # all that has come
        self._time = 0  # frames up to the last step
        self._settled = 0  # frames that are final
        self._now = np.zeros((0, len(self.labels)), np.float32)
        self._closed = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions that the tagger tells apart, in order."""
        return tuple(self._tagger.labels)

    @property
    def time(self) -> float:
        """Seconds of audio pushed so far."""
        return samples_to_seconds(self._samples)

    @property
    def settled(self) -> float:
        """Seconds from the start for which everything is decided."""
        return min(frames_to_seconds(self._settled), self.time)

    @property
    def current(self) -> dict[str, float]:
        """Mean posterior of every label over the latest step, whoever speaks; empty before the first step."""
        if not len(self._now):
            return {}
        return {label: float(p) for label, p in zip(self.labels, self._now.mean(0), strict=True)}

    def push(self, samples: np.ndarray) -> list[Event]:
        """Take the next ``(n,)`` samples (float, 16 kHz mono, full scale 1); returns the news, often none.

        Raises `AudioError` on samples of another shape, kind or scale, or that are not finite; these are not taken,
        the stream can go on. Raises `SedError` after `close`.
        """
        return [event for events, _ in self._take(samples) for event in events]

    def close(self) -> list[Event]:
        """The audio has ended: returns the last news; every segment is final now. Again: does nothing."""
        return [event for events, _ in self._end() for event in events]

    def follow(
        self,
        audio: Any,
        uri: str,
        progress: Callable[[float, float | None], None] | None = None,
        posteriors: bool = True,
    ) -> Diarization:
        """Stream a whole recording; returns the final segments and posteriors as one result.

        `audio` yields blocks ``(n,)`` and has a `duration` in seconds or None (`sed.audio.open_audio`);
        `progress` is called after each block with the seconds done and that duration. Without `posteriors` those
        of the result are None.
        """
        segments: list[Segment] = []
        rows = SpooledArray(len(self.labels)) if posteriors else None

        def keep(steps: Iterable[tuple[list[Event], np.ndarray]]) -> None:
            for events, decided in steps:
                segments.extend(event.segment for event in events if event.final and event.segment)
                if rows is not None:
                    rows.append(decided)

        for block in audio:
            keep(self._take(block))
            if progress:
                progress(self.time, audio.duration)
        keep(self._end())
        return Diarization(uri, self.time, segments, self.labels, None if rows is None else rows.take_all())

    def _take(self, samples: np.ndarray) -> list[tuple[list[Event], np.ndarray]]:
        """The steps that the next samples complete: the events of each, and the posteriors it made final."""
        if self._closed:
            raise SedError("the stream is closed: expected no more audio after close()")
        samples = np.asarray(samples)
        if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
            raise AudioError(
                f"a block of shape {samples.shape} and type {samples.dtype}: expected (n,) floats"
            )
        with np.errstate(over="ignore"):
            samples = samples.astype(np.float32)  # a copy: the caller may reuse his block
        if not np.isfinite(samples).all():
            raise AudioError("a block with samples that are not finite numbers: expected finite ones")
        if len(samples) and (peak := np.abs(samples).max()) > LOUDEST:
            raise AudioError(f"a block with a sample of {peak:g}: expected a full scale of 1")
        steps = []
        while len(samples):
            missing = (self._time + self._step) * HOP - self._samples
            part, samples = samples[:missing], samples[missing:]
            self._waiting.append(part)
            self._samples += len(part)
            if len(part) == missing:
                steps.append(self._advance(self._time + self._step))
        return steps

    def _end(self) -> list[tuple[list[Event], np.ndarray]]:
        if self._closed:
            return []
        self._closed = True
        return [self._advance(frame_count(self._samples), closing=True)] if self._samples else []

    def _advance(self, time: int, closing: bool = False) -> tuple[list[Event], np.ndarray]:
        """The step at frame `time`."""
        first = max(0, time - self._window)
        heard = np.concatenate([self._audio, *self._waiting])
        start = self._samples - len(heard)  # the sample at which it begins, always that of a frame
        self._audio, self._waiting = heard[max(0, first * HOP - start) :], []
        final = time if closing else max(self._settled, time - self._ahead)

        posteriors = self._emotion.step(
            self._last(self._emotion.window, time), max(0, time - self._emotion.window)
        )
        turns = self._speakers.step(
            self._last(self._speakers.window, time), max(0, time - self._speakers.window), final
        )
        self._now = posteriors[-self._step :]
        several = turns.active.sum(1) > 1
        weights = np.where(several, self._options.weight_in_overlap(alone=True), 1.0)
        lanes = []
        for key, name, active in zip(turns.keys, turns.names, turns.active.T, strict=True):
            own = np.flatnonzero(active)
            decoder = self._decoders.setdefault(key, OnlineDecoder(self._options))
            count = int(np.searchsorted(own, final - self._settled))
            frames, rows = own + self._settled, posteriors[own]
            decoded = decoder.step(frames, rows, weights[own], count, closing)
            labels = self._segment_labels.setdefault(
                key, SegmentLabels(seconds_to_frames(self._options.memory))
            )
            judged = labels.step(frames, decoded, rows, weights[own], final=final, end=time, closing=closing)
            lanes.append(Lane(key, name, frames, *judged))
        events = self._ledger.step(
            lanes,
            posteriors,
            settled=self._settled,
            final=final,
            end=time,
            time=self.time if closing else frames_to_seconds(time),
            closing=closing,
        )
        decided = posteriors[: final - self._settled]
        self._decoders = {key: one for key, one in self._decoders.items() if not one.resets_at(final)}
        self._segment_labels = {key: self._segment_labels[key] for key in self._decoders}
        self._emotion.settle(final)
        self._time, self._settled = time, final
        return events, decided

    def _last(self, frames: int, time: int) -> np.ndarray:
        """The audio of the last `frames` frames before frame `time`."""
        return self._audio[max(0, len(self._audio) - (self._samples - max(0, time - frames) * HOP)) :]
