"""`StreamingDiarizer`: audio blocks in, events about segments out.

Processing advances in steps on an absolute grid, independent of the block sizes: every `step` frames the models process
their latest window. In the step at time t everything before ``t - look-ahead`` becomes final, the rest stays
provisional. Step and look-ahead add up to the latency, so no frame waits longer than that for its final label. The
stream keeps a window of audio, running sums and the embeddings of each speaker, so memory does not grow with time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sed.audio.stream import MAX_AMPLITUDE
from sed.emotion.baseline import shifted
from sed.emotion.decoding import DecoderOptions
from sed.emotion.tagger import Tagger, dimensions_of
from sed.enrolment import EnrolledSpeaker, profiles_and_offsets
from sed.errors import AudioError, OptionError, SedError
from sed.grid import HOP, frame_at, frame_count, frames_to_seconds, samples_to_seconds, seconds_to_frames
from sed.result import Diarization, Segment
from sed.segmenting import join, result_of
from sed.speakers.matching import name_speakers
from sed.speakers.online import begin_online
from sed.speakers.turns import SpeakerDiarizer
from sed.spooling import SpooledArray
from sed.streaming.decoding import OnlineDecoder
from sed.streaming.events import Event, Relabel
from sed.streaming.labelling import SegmentLabels
from sed.streaming.posteriors import OnlinePosteriors
from sed.streaming.segments import SegmentTracker, SpeakerFrames

MIN_LATENCY, MAX_LATENCY = 0.5, 5.0  # seconds
STEP = 0.5  # seconds from step to step; half the latency if that is shorter


def steps_of(latency: float) -> tuple[int, int]:
    """Frames from step to step, and the look-ahead in frames, of a stream with that `latency` in seconds.

    Raises `OptionError` if the latency is out of range.

    >>> steps_of(1.0), steps_of(0.5)
    ((25, 25), (12, 13))
    """
    if not MIN_LATENCY <= latency <= MAX_LATENCY:
        raise OptionError(f"a latency of {latency} s: expected {MIN_LATENCY:g} to {MAX_LATENCY:g} s")
    frames = frame_at(latency)
    step = min(seconds_to_frames(STEP), frames // 2)
    return step, frames - step


class StreamingDiarizer:
    """A live stream; created by `EmotionDiarizer.stream`. Not thread-safe.

    `tagger` and `diarizer` are the models, `decoder` the decoder's options. `latency` (0.5 to 5 seconds) is the maximum
    time from a sound to the final label of its 20 ms frame. `refine`: keep what `refined` needs. `enrolled`: known
    speakers by name, who get their names and emotions relative to how they usually sound; `named`: the diarizer gives
    the names itself. Raises `OptionError` if the latency is out of range, or the diarizer does not support live
    streams, or these options in them.

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
        refine: bool = False,
        enrolled: Mapping[str, EnrolledSpeaker] | None = None,
        named: bool = False,
    ) -> None:
        self._step, self._look_ahead = steps_of(latency)
        self.latency = float(latency)
        self._tagger = tagger
        self._columns = len(tagger.labels) + len(dimensions_of(tagger))
        self._kept = SpooledArray(self._columns, on_disk=True) if refine else None  # final posteriors
        self._options = decoder or DecoderOptions()
        self._emotion = OnlinePosteriors(tagger, self._step)
        self._profiles, self._offsets = profiles_and_offsets(enrolled or {})
        self._speakers = begin_online(diarizer, refine, None if named else self._profiles)
        self._window = max(self._emotion.window, self._speakers.window)
        self._decoders: dict[int, OnlineDecoder] = {}
        self._segment_labels: dict[int, SegmentLabels] = {}
        self._tracker = SegmentTracker(self.labels, self.dimensions)
        self._audio = np.zeros(0, np.float32)  # the latest window, up to the last step
        self._pending: list[np.ndarray] = []  # blocks received since
        self._samples = 0  # received so far
        self._time = 0  # frames up to the last step
        self._settled = 0  # frames that are final
        self._latest = np.zeros((0, self._columns), np.float32)
        self._closed = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotion labels of the tagger, in order."""
        return tuple(self._tagger.labels)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the dimensions that the tagger estimates, such as arousal; mostly none."""
        return dimensions_of(self._tagger)

    @property
    def settings(self) -> dict[str, Any]:
        """As `Diarization.settings`."""
        enrolled = {"enrolled": list(self._profiles)} if self._profiles else {}
        return {**getattr(self._tagger, "settings", {}), **enrolled}

    @property
    def time(self) -> float:
        """Seconds of audio pushed so far."""
        return samples_to_seconds(self._samples)

    @property
    def settled(self) -> float:
        """Seconds from the start for which all labels are final."""
        return min(frames_to_seconds(self._settled), self.time)

    @property
    def current(self) -> dict[str, float]:
        """Mean posterior of every label over the latest step, for all speakers; empty before the first step."""
        if not len(self._latest):
            return {}
        mean = self._latest[:, : len(self.labels)].mean(0)
        return {label: float(p) for label, p in zip(self.labels, mean, strict=True)}

    def push(self, samples: np.ndarray) -> list[Event]:
        """Process the next samples ``(n,)`` (float, 16 kHz mono, full scale 1); returns new events, often none.

        Raises `AudioError` on samples of a wrong shape, type or scale and on samples that are not finite; the block is
        ignored and the stream can continue. Raises `SedError` after `close`.
        """
        return [event for events, _ in self._take(samples) for event in events]

    def close(self) -> list[Event]:
        """End the stream and return the last events; all segments are final then. Further calls do nothing."""
        return [event for events, _ in self._end() for event in events]

    def take_relabels(self) -> list[Relabel]:
        """The speakers since the last call that have turned out to be others; events go on as without the call."""
        take = getattr(self._speakers, "take_relabels", list)
        return [Relabel(old, new, frames_to_seconds(self._time)) for old, new in take()]

    def refined(self, uri: str = "stream") -> Diarization:
        """The result of the closed stream with the accuracy of a whole file, once; needs ``refine=True``.

        Speakers are found anew from the embeddings of the whole stream, and their emotions from its posteriors, which
        were kept: 16 bytes per frame, on disk beyond 4 MB, and about 1.6 MB per hour of embeddings. The audio is not
        processed again. The names of speakers are not those of the stream, except those of enrolled ones. Raises
        `SedError` before `close`, without ``refine=True``, and on a second call.
        """
        rows, self._kept = self._kept, self._kept if not self._closed else None
        if rows is None or not self._closed:
            raise SedError("no refined result: expected a closed stream with refine=True, and one call")
        if not self._samples:
            return self._result(uri, [], None)
        turns = name_speakers(self._speakers.refined(), self._profiles)  # type: ignore[attr-defined]
        segments = join(turns, rows, self.labels, self.time, self._options, self.dimensions, self._offsets)
        return self._result(uri, segments, None)

    def follow(
        self,
        audio: Any,
        uri: str,
        progress: Callable[[float, float | None], None] | None = None,
        posteriors: bool = True,
        listener: Callable[[Sequence[Event]], None] | None = None,
    ) -> Diarization:
        """Stream a whole recording; returns the final segments and posteriors as one result.

        `audio` yields blocks ``(n,)`` and has a `duration` in seconds or None (`sed.audio.open_audio`). `progress` is
        called after each block with the seconds processed and that duration, `listener` with the events, if any. If
        `posteriors` is false, those of the result are None.
        """
        segments: list[Segment] = []
        rows = SpooledArray(self._columns) if posteriors else None

        def collect(steps: Iterable[tuple[list[Event], np.ndarray]]) -> None:
            for events, final_posteriors in steps:
                segments.extend(event.segment for event in events if event.final and event.segment)
                if rows is not None:
                    rows.append(final_posteriors)
                if listener and events:
                    listener(events)

        for block in audio:
            collect(self._take(block))
            if progress:
                progress(self.time, audio.duration)
        collect(self._end())
        return self._result(uri, segments, None if rows is None else rows.take_all())

    def _result(self, uri: str, segments: list[Segment], rows: np.ndarray | None) -> Diarization:
        return result_of(uri, self.time, segments, rows, self._tagger, enrolled=tuple(self._profiles))

    def _take(self, samples: np.ndarray) -> list[tuple[list[Event], np.ndarray]]:
        """The steps that the next samples complete: for each its events and the rows (posteriors, then dimensions) that
        became final."""
        if self._closed:
            raise SedError("the stream is closed: expected no more audio after close()")
        samples = np.asarray(samples)
        if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
            raise AudioError(
                f"a block of shape {samples.shape} and type {samples.dtype}: expected (n,) floats"
            )
        with np.errstate(over="ignore"):
            samples = samples.astype(np.float32)  # a copy: the caller may reuse the block
        if not np.isfinite(samples).all():
            raise AudioError("a block with samples that are not finite: expected finite numbers")
        if len(samples) and (peak := np.abs(samples).max()) > MAX_AMPLITUDE:
            raise AudioError(f"a block with a sample of {peak:g}: expected a full scale of 1")
        steps = []
        while len(samples):
            missing = (self._time + self._step) * HOP - self._samples
            part, samples = samples[:missing], samples[missing:]
            self._pending.append(part)
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
        """Run the step at frame `time`; returns its events and the posteriors that became final."""
        first = max(0, time - self._window)
        audio = np.concatenate([self._audio, *self._pending])
        start = self._samples - len(audio)  # its first sample, always the first of a frame
        self._audio, self._pending = audio[max(0, first * HOP - start) :], []
        final = time if closing else max(self._settled, time - self._look_ahead)

        posteriors = self._emotion.step(
            self._last(self._emotion.window, time), max(0, time - self._emotion.window)
        )
        turns = self._speakers.step(
            self._last(self._speakers.window, time), max(0, time - self._speakers.window), final
        )
        self._latest = posteriors[-self._step :]
        overlapped = turns.active.sum(1) > 1
        weights = np.where(overlapped, self._options.weight_in_overlap(alone=True), 1.0)
        columns = len(self.labels) or 1  # without labels, one column: a speech run is then never divided
        speakers = []
        for key, name, active in zip(turns.keys, turns.names, turns.active.T, strict=True):
            own = np.flatnonzero(active)
            decoder = self._decoders.setdefault(key, OnlineDecoder(self._options, self.labels))
            count = int(np.searchsorted(own, final - self._settled))
            frames, rows = own + self._settled, posteriors[own]
            if name in self._offsets:
                rows[:, :columns] = shifted(rows[:, :columns], self._offsets[name])
            decoded = decoder.step(frames, rows[:, :columns], weights[own], count, closing)
            labels = self._segment_labels.setdefault(
                key, SegmentLabels(seconds_to_frames(self._options.memory), columns)
            )
            scored = labels.step(frames, decoded, rows, weights[own], final=final, end=time, closing=closing)
            speakers.append(SpeakerFrames(key, name, frames, *scored))
        events = self._tracker.step(
            speakers,
            posteriors,
            settled=self._settled,
            final=final,
            end=time,
            time=self.time if closing else frames_to_seconds(time),
            closing=closing,
        )
        final_posteriors = posteriors[: final - self._settled]
        if self._kept is not None:
            self._kept.append(final_posteriors)
        self._decoders = {key: one for key, one in self._decoders.items() if not one.resets_at(final)}
        self._segment_labels = {key: self._segment_labels[key] for key in self._decoders}
        self._emotion.settle(final)
        self._time, self._settled = time, final
        return events, final_posteriors

    def _last(self, frames: int, time: int) -> np.ndarray:
        """The audio of the `frames` frames before frame `time`."""
        return self._audio[max(0, len(self._audio) - (self._samples - max(0, time - frames) * HOP)) :]
