"""The offline path, top to bottom: audio -> speech and speakers, emotion -> decoding -> `Diarization`.

One pass over the audio in blocks. What is kept grows by a few bytes a frame (posteriors, speaker activity),
not by the audio. Speech and emotion are independent of each other, so with two threads or more they run side
by side; the result is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sed.emotion import load_tagger
from sed.emotion.decoding import DecoderOptions
from sed.emotion.tagger import Tagger
from sed.emotion.windows import PosteriorStream
from sed.errors import OptionError
from sed.grid import samples_to_seconds
from sed.joining import join
from sed.result import Diarization
from sed.speakers import make_diarizer
from sed.speakers.turns import SpeakerDiarizer, SpeakerSession, Turns

if TYPE_CHECKING:
    from sed.streaming import StreamingDiarizer


class EmotionDiarizer:
    """Finds who felt what, and when. Holds the models; one object serves any number of recordings.

    tagger: None for the bundled model, a name or path for `sed.emotion.load_tagger`, or a `Tagger`.
    diarizer: ``segmentation`` (default), ``pyannote``, ``none`` (one speaker), each with a model behind a colon if
        wanted (``pyannote:pyannote/speaker-diarization-community-1``), or a `SpeakerDiarizer`.
    vad: ``segmentation``, ``webrtc`` or ``silero``; None takes what suits the diarizer.
    decoder: a method of `sed.emotion.decoding` by name, or `DecoderOptions`.
    speakers, min_speakers, max_speakers: how many people speak, exactly or within bounds; None: found out.
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
        self.threads = threads
        self.channels = channels
        self.latency = latency
        self.decoder = DecoderOptions(decoder) if isinstance(decoder, str) else decoder
        each = max(1, threads // 2)
        if tagger is None or isinstance(tagger, (str, Path)):
            # The bundled tagger costs as much as speech and speakers; others cost more, and want every thread.
            tagger = load_tagger(tagger, each if tagger is None else threads)
        self.tagger: Tagger = tagger
        if isinstance(diarizer, str):
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
    ) -> Diarization:
        """Diarize one recording.

        `source` is a path, a binary file object, ``"-"`` (standard input) or ``(array, sample_rate)``, as
        `sed.audio.open_audio` takes it. `uri` names the result (default: the file's stem). `turns` replaces
        the diarizer for this recording (`sed.speakers.ReferenceTurns`). `progress` is called after each
        block with the seconds done and the recording's duration (None where unknown).

        Raises `AudioError` where the audio cannot be used.
        """
        from sed.audio import open_audio

        with open_audio(source, channels=self.channels) as audio:
            name = uri or audio.uri
            if self.latency is not None:
                return self.stream(self.latency, turns).follow(audio, name, progress)
            several = self.channels == "split"
            columns = audio.channels if several else 1
            stages = [_Stages(self.tagger, turns or self.diarizer) for _ in range(columns)]
            samples = 0
            with _Workers(self.threads) as workers:
                for block in audio:
                    parts = block.T if several else block[None]
                    jobs = [stage.push(part) for stage, part in zip(stages, parts, strict=True)]
                    workers.run([job for pair in jobs for job in pair])
                    samples += len(block)
                    if progress:
                        progress(samples_to_seconds(samples), audio.duration)
        return self._finish(stages, name, samples)

    def _finish(self, stages: Sequence[_Stages], uri: str, samples: int) -> Diarization:
        found = [stage.close() for stage in stages]
        duration = samples_to_seconds(samples)
        if self.channels != "split":
            turns, posteriors = found[0]
            segments = join(turns, posteriors, self.labels, duration, self.decoder)
            return Diarization(uri, duration, segments, self.labels, posteriors)
        own = [p for _, p in found]
        active = np.stack([t.active.any(1) for t, _ in found], 1)
        names = tuple(f"channel{n + 1}" for n in range(len(found)))
        segments = join(Turns(active, names), own, self.labels, duration, self.decoder)
        return Diarization(uri, duration, segments, self.labels, _mean_over_speakers(own, active))

    def stream(self, latency: float = 1.0, turns: SpeakerDiarizer | None = None) -> StreamingDiarizer:
        """A live stream with the same models; `latency` (0.5 to 5 s) bounds the wait for a final label.

        `turns` replaces the diarizer, as in a call. Raises `OptionError` on another latency, and where the
        diarizer cannot work live.
        """
        from sed.streaming import StreamingDiarizer

        return StreamingDiarizer(self, latency, turns)


class _Stages:
    """Speakers and emotion of one channel."""

    def __init__(self, tagger: Tagger, diarizer: SpeakerDiarizer) -> None:
        self._emotion = PosteriorStream(tagger)
        self._speakers: SpeakerSession = diarizer.begin()
        self._posteriors: list[np.ndarray] = [np.zeros((0, len(tagger.labels)), np.float32)]

    def push(self, samples: np.ndarray) -> list[Callable[[], None]]:
        """The two jobs to do for a block; they may run side by side."""
        return [
            lambda: self._speakers.push(samples),
            lambda: self._posteriors.append(self._emotion.push(samples)),
        ]

    def close(self) -> tuple[Turns, np.ndarray]:
        self._posteriors.append(self._emotion.close())
        return self._speakers.close(), np.concatenate(self._posteriors)


class _Workers:
    """Runs jobs one after the other, or side by side where there are threads for it."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown()

    def run(self, jobs: Sequence[Callable[[], None]]) -> None:
        if self._pool is None:
            for job in jobs:
                job()
        else:
            for future in [self._pool.submit(job) for job in jobs]:
                future.result()


def _mean_over_speakers(posteriors: Sequence[np.ndarray], active: np.ndarray) -> np.ndarray:
    """One posterior a frame from several channels: the mean of those that speak, or of all in silence."""
    weights = np.where(active.any(1, keepdims=True), active, 1).astype(np.float32)
    weights /= weights.sum(1, keepdims=True)
    return sum(w[:, None] * p for w, p in zip(weights.T, posteriors, strict=True))  # type: ignore[return-value]
