"""The offline path, top to bottom: audio -> speech and speakers, emotion -> decoding -> `Diarization`.

One pass over the audio in blocks. What is kept are the posteriors (16 bytes a frame, on disk where nobody wants them
back) and about a kilobyte for each stretch of speech, not the audio. Speech and emotion are independent of each other,
so with two threads or more they run side by side, each at its own pace (`sed.stage_pool`); the result is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sed.audio.stream import check_channels
from sed.emotion import load_tagger
from sed.emotion.decoding import DecoderOptions
from sed.emotion.tagger import Tagger
from sed.emotion.windows import PosteriorStream
from sed.errors import OptionError
from sed.grid import samples_to_seconds
from sed.result import Diarization
from sed.segmenting import join
from sed.speakers import make_diarizer
from sed.speakers.smoothing import merge_spans
from sed.speakers.turns import SpeakerDiarizer, SpeakerSession, Turns
from sed.spooling import SpooledArray
from sed.stage_pool import StagePool
from sed.streaming import StreamingDiarizer


class EmotionDiarizer:
    """Finds who felt what, and when. Holds the models; one object serves any number of recordings, and of threads at
    once. It cannot be pickled: every process makes its own.

    tagger: None for the bundled model, a name or path for `sed.emotion.load_tagger`, or a `Tagger`.
    diarizer: ``segmentation`` (default), ``pyannote``, ``none`` (one speaker), each with a model behind a colon if
        wanted (``pyannote:pyannote/speaker-diarization-community-1``), or a `SpeakerDiarizer`.
    vad: ``segmentation``, ``webrtc`` or ``silero``; ``none``: every frame is speech; None takes what suits the
        diarizer.
    decoder: a method of `sed.emotion.decoding` by name, or `DecoderOptions`.
    speakers, min_speakers, max_speakers: how many people speak, exactly or within bounds; None: found out. Exactly as
        far as there are so many turns; a live stream, or a latency, keeps to the most only.
    channels: ``mix``, the number of a channel from 1 on, or ``split``: each channel is one speaker
        (``channel1``, ``channel2``, ...), as in call-centre recordings.
    latency: None to use the whole recording, or seconds: the result then equals that of `stream`.
    threads: processor threads.

    Raises `OptionError` on values that make no sense, `ModelError` on unusable models and
    `MissingDependencyError` where an extra is not installed.

    >>> diarizer = EmotionDiarizer()
    >>> for segment in diarizer("tests/data/emodb_16_sad_1.flac"):
    ...     print(segment.speaker, segment.emotion)
    spk00 sad
    >>> diarizer((np.zeros(16000, np.float32), 16000)).segments  # silence
    ()
    """

    def __init__(
        self,
        *,
        tagger: Tagger | str | Path | None = None,
        diarizer: SpeakerDiarizer | str = "segmentation",
        vad: str | None = None,
        decoder: DecoderOptions | str = "viterbi",
        speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        channels: str | int = "mix",
        latency: float | None = None,
        threads: int = 1,
    ) -> None:
        if threads < 1:
            raise OptionError(f"{threads} threads: expected 1 or more")
        if latency is not None and channels == "split":
            raise OptionError("a latency with channels='split': expected one of the two")
        if latency is not None and min_speakers is not None:
            raise OptionError(
                "a latency with min_speakers: expected max_speakers, which a live stream can keep"
            )
        check_channels(channels)
        self.threads = threads
        self.channels = channels
        self.latency = latency
        self.decoder = DecoderOptions(decoder) if isinstance(decoder, str) else decoder
        each = max(1, threads // 2)
        if tagger is None or isinstance(tagger, (str, Path)):
            # The bundled tagger costs as much as speech and speakers; others cost more, and want every thread.
            tagger = load_tagger(tagger, each if tagger is None else threads)
        self.tagger: Tagger = tagger
        if vad is not None and not isinstance(diarizer, str):
            raise OptionError(
                f"vad={vad!r} with a diarizer object, which detects speech itself: expected its name"
            )
        if isinstance(diarizer, str):
            if channels == "split" and vad == "none":
                raise OptionError(
                    "channels='split' with vad='none': expected one of the two, every channel would speak all the time"
                )
            if channels == "split":
                if diarizer not in ("segmentation", "none"):
                    raise OptionError(f"channels='split' with diarizer {diarizer!r}: expected one of the two")
                if any(count is not None for count in (speakers, min_speakers, max_speakers)):
                    raise OptionError("channels='split' with a number of speakers: expected one of the two")
                diarizer = "none"
            diarizer = make_diarizer(
                diarizer,
                vad=vad,
                speakers=speakers,
                min_speakers=min_speakers,
                max_speakers=max_speakers,
                threads=each,
            )
        self.diarizer: SpeakerDiarizer = diarizer
        if latency is not None:
            self.stream(latency)  # refuses now what it would refuse later

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions that the tagger tells apart, in order."""
        return self.tagger.labels

    def __call__(
        self,
        source: Any,
        *,
        uri: str | None = None,
        turns: SpeakerDiarizer | None = None,
        progress: Callable[[float, float | None], None] | None = None,
        posteriors: bool = True,
    ) -> Diarization:
        """Diarize one recording.

        `source` is a path, a binary file object, ``"-"`` (standard input) or ``(array, sample_rate)``, as
        `sed.audio.open_audio` takes it. `uri` names the result (default: the file's stem). `turns` replaces
        the diarizer for this recording (`sed.speakers.ReferenceTurns`). `progress` is called after each
        block with the seconds done and the recording's duration (None where unknown), and at least every half second
        while ffmpeg is waited for, with the same values again; what it raises ends the work. Without `posteriors` those
        of the result are None; of a long recording they then wait in a temporary file, and not in memory.

        Raises `AudioError` where the audio cannot be used, and `OptionError` on `turns` with ``channels="split"``.
        """
        from sed.audio import open_audio

        if turns is not None and self.channels == "split":
            raise OptionError("given turns with channels='split': expected one of the two")
        report = _Progress(progress)
        with open_audio(source, channels=self.channels, on_wait=report.repeat) as audio:
            name = uri or audio.uri
            if self.latency is not None:
                return self.stream(self.latency, turns).follow(audio, name, report, posteriors)
            several = self.channels == "split"
            columns = audio.channels if several else 1
            stages = [_Stages(self.tagger, turns or self.diarizer, posteriors) for _ in range(columns)]
            samples, reported = 0, 0
            ends: list[int] = []  # of the blocks
            with StagePool(self.threads) as lanes:
                for block in audio:
                    parts = block.T if several else block[None]
                    jobs = [stage.push(part) for stage, part in zip(stages, parts, strict=True)]
                    lanes.run([job for pair in jobs for job in pair])
                    samples += len(block)
                    ends.append(samples)
                    reported = _report(report, ends, reported, lanes.finished, audio.duration)
                lanes.finish()
                _report(report, ends, reported, lanes.finished, audio.duration)
        return self._finish(stages, name, samples, posteriors)

    def _finish(self, stages: Sequence[_Stages], uri: str, samples: int, posteriors: bool) -> Diarization:
        found = [stage.close() for stage in stages]
        duration = samples_to_seconds(samples)
        if self.channels != "split":
            turns, rows = found[0]
            segments = join(turns, rows, self.labels, duration, self.decoder)
            return Diarization(uri, duration, segments, self.labels, rows.take_all() if posteriors else None)
        spans = tuple(
            merge_spans(np.concatenate([np.zeros((0, 2), int), *turns.spans])) for turns, _ in found
        )
        names = tuple(f"channel{n + 1}" for n in range(len(found)))
        several = Turns(spans, names, found[0][0].frames)
        segments = join(several, [rows for _, rows in found], self.labels, duration, self.decoder)
        mean = (
            _mean_over_speakers([rows.take_all() for _, rows in found], several.active)
            if posteriors
            else None
        )
        return Diarization(uri, duration, segments, self.labels, mean)

    def stream(self, latency: float = 1.0, turns: SpeakerDiarizer | None = None) -> StreamingDiarizer:
        """A live stream with the same models; `latency` (0.5 to 5 s) bounds the wait for a final label.

        `turns` replaces the diarizer, as in a call. Raises `OptionError` on another latency, and where the
        diarizer cannot work live.
        """
        if self.channels == "split":
            raise OptionError("a live stream with channels='split': expected one channel or their mix")
        return StreamingDiarizer(self.tagger, turns or self.diarizer, self.decoder, latency)


class _Stages:
    """Speakers and emotion of one channel."""

    def __init__(self, tagger: Tagger, diarizer: SpeakerDiarizer, in_memory: bool) -> None:
        self._emotion = PosteriorStream(tagger)
        self._speakers: SpeakerSession = diarizer.begin()
        self._posteriors = SpooledArray(len(tagger.labels), on_disk=not in_memory)

    def push(self, samples: np.ndarray) -> list[Callable[[], None]]:
        """The two jobs to do for a block; they may run side by side."""
        return [
            lambda: self._speakers.push(samples),
            lambda: self._posteriors.append(self._emotion.push(samples)),
        ]

    def close(self) -> tuple[Turns, SpooledArray]:
        """What was found; nothing can be pushed any more."""
        self._posteriors.append(self._emotion.close())
        turns = self._speakers.close()
        del self._emotion, self._speakers  # voices, audio: not needed while emotions are decoded
        return turns, self._posteriors


class _Progress:
    """Calls `progress`, if there is one, and can repeat the last call: whoever cancels does it from there."""

    def __init__(self, progress: Callable[[float, float | None], None] | None) -> None:
        self._progress = progress
        self._last: tuple[float, float | None] = (0.0, None)

    def __call__(self, done: float, duration: float | None) -> None:
        self._last = (done, duration)
        self.repeat()

    def repeat(self) -> None:
        """Report once more what was reported last."""
        if self._progress:
            self._progress(*self._last)


def _report(
    progress: Callable[[float, float | None], None],
    ends: Sequence[int],
    reported: int,
    finished: int,
    duration: float | None,
) -> int:
    """Tell of the blocks that have been finished since the last time; returns how many have been told of."""
    for end in ends[reported:finished]:
        progress(samples_to_seconds(end), duration)
    return finished


def _mean_over_speakers(posteriors: Sequence[np.ndarray], active: np.ndarray) -> np.ndarray:
    """One posterior a frame from several channels: the mean of those that speak, or of all in silence."""
    weights = np.where(active.any(1, keepdims=True), active, 1).astype(np.float32)
    weights /= weights.sum(1, keepdims=True)
    return sum(w[:, None] * p for w, p in zip(weights.T, posteriors, strict=True))  # type: ignore[return-value]
