"""The offline pipeline: audio -> speech and speakers, emotion -> decoding -> `Diarization`.

The audio is read once, in blocks, and not kept. Kept are the posteriors (16 bytes per frame, on disk if the result
does not include them) and about a kilobyte per speech segment. The speaker and emotion stages are independent, so
with two or more threads they run concurrently (`sed.stage_pool`); the result is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sed.audio.stream import check_channels
from sed.emotion import load_tagger
from sed.emotion.bundled import is_bundled
from sed.emotion.context import Context, open_context
from sed.emotion.decoding import DecoderOptions
from sed.emotion.priors import reweighted
from sed.emotion.tagger import Tagger, dimensions_of
from sed.enrolment import EnrolledSpeaker, enrol_speakers, profiles_and_offsets
from sed.errors import OptionError
from sed.grid import samples_to_seconds
from sed.inference import check_device
from sed.result import Diarization
from sed.segmenting import join, mean_over_speakers, result_of
from sed.speakers import make_diarizer
from sed.speakers.matching import name_channels, name_speakers
from sed.speakers.smoothing import channel_turns
from sed.speakers.turns import SpeakerDiarizer
from sed.stage_pool import BlockProgress, StagePool
from sed.streaming import Event, StreamingDiarizer
from sed.streaming.stages import ChannelStages


class EmotionDiarizer:
    """Detects who speaks when, and with which emotion. One object holds the models and can process any number of
    recordings, also from several threads at once. It cannot be pickled; create one per process.

    tagger: None or ``default`` for the bundled model, ``free`` for its edition that is free for every use, any other
        name or path for `sed.emotion.load_tagger`, or a `Tagger`.
    prior: how frequent labels are in the speech to be processed, a mapping or ``"neutral=0.5,sad=0.1"``; the labels
        that it leaves out share the rest. None: the prior of the model. See `sed.emotion.priors`.
    sensitivity: factor on the odds of every emotion against neutral: 2 finds more emotion, 0.5 less; None: 1.
    diarizer: ``segmentation`` (default), ``pyannote`` or ``none`` (one speaker), optionally followed by a colon and a
        model (``pyannote:pyannote/speaker-diarization-community-1``), or a `SpeakerDiarizer`.
    vad: ``segmentation``, ``webrtc`` or ``silero``; ``none``: every frame is speech; None: the default of the
        diarizer.
    decoder: the name of a method of `sed.emotion.decoding`, or `DecoderOptions`.
    speakers, min_speakers, max_speakers: the exact number of speakers, or bounds on it; None: estimated. The exact
        count is best effort, since one voice is not split in two; live streams and `latency` only enforce the maximum.
    channels: ``mix``, the number of a channel starting at 1, or ``split``: each channel is one speaker
        (``channel1``, ``channel2``, ...), as in call-centre recordings.
    latency: None to use the whole recording; in seconds: the result equals that of `stream`.
    enrol: recordings of known speakers, each alone and sounding as usual, by name: ``{"anna": ["a.wav", "b.wav"]}``. A
        speaker who matches one gets that name, and emotions relative to how that speaker usually sounds (with the
        bundled tagger); others stay unknown. See `sed.enrolment`.
    context: which emotions follow on which in conversations (`sed.emotion.context`), a `Context` or a file of
        ``sed-context``; the emotions of segments are decoded again in it. Not with a latency.
    threads: number of processor threads.
    device: ``cuda`` or ``cuda:N`` to run the networks on a GPU (`sed.inference`), ``cpu``, or ``auto``: a GPU for torch
        taggers if there is one, else the CPU.

    Raises `OptionError` on invalid values, `ModelError` on unusable models, `DeviceError` on unusable GPUs and
    `MissingDependencyError` if an extra is not installed.

    >>> diarizer = EmotionDiarizer()
    >>> for segment in diarizer("tests/data/emodb_15_sad_1.flac"):
    ...     print(segment.speaker, segment.emotion)
    spk00 sad
    >>> diarizer((np.zeros(16000, np.float32), 16000)).segments  # silence
    ()
    """

    def __init__(
        self,
        *,
        tagger: Tagger | str | Path | None = None,
        prior: Mapping[str, float] | str | None = None,
        sensitivity: float | None = None,
        diarizer: SpeakerDiarizer | str = "segmentation",
        vad: str | None = None,
        decoder: DecoderOptions | str = "viterbi",
        speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        channels: str | int = "mix",
        latency: float | None = None,
        enrol: Mapping[str, Any] | None = None,
        context: Context | str | Path | None = None,
        threads: int = 1,
        device: str = "auto",
    ) -> None:
        if threads < 1:
            raise OptionError(f"{threads} threads: expected 1 or more")
        if latency is not None and channels == "split":
            raise OptionError("latency cannot be combined with channels='split'")
        if latency is not None and min_speakers is not None:
            raise OptionError(
                "latency cannot be combined with min_speakers: expected max_speakers, which live streams enforce"
            )
        check_channels(channels)
        check_device(device)
        self.threads, self.channels, self.latency = threads, channels, latency
        self.decoder = DecoderOptions(decoder) if isinstance(decoder, str) else decoder
        threads_per_stage = max(1, threads // 2)
        if tagger is None or isinstance(tagger, (str, Path)):
            # The bundled tagger costs as much as the speaker stage; others cost more and get all threads.
            tagger = load_tagger(tagger, threads_per_stage if is_bundled(tagger) else threads, device)
        self.tagger: Tagger = reweighted(tagger, prior, sensitivity)
        self.decoder.start_costs(self.labels)  # raises an error now rather than at the first recording
        self.context = open_context(context, self.labels)
        if vad is not None and not isinstance(diarizer, str):
            raise OptionError(
                f"vad={vad!r} cannot be combined with a diarizer object, which detects speech itself: expected its name"
            )
        if isinstance(diarizer, str):
            if channels == "split" and vad == "none":
                raise OptionError(
                    "channels='split' cannot be combined with vad='none': all channels would be speech throughout"
                )
            if channels == "split":
                if diarizer not in ("segmentation", "none"):
                    raise OptionError(f"channels='split' cannot be combined with diarizer {diarizer!r}")
                if any(count is not None for count in (speakers, min_speakers, max_speakers)):
                    raise OptionError("channels='split' cannot be combined with a number of speakers")
                diarizer = "none"
            diarizer = make_diarizer(
                diarizer,
                vad=vad,
                speakers=speakers,
                min_speakers=min_speakers,
                max_speakers=max_speakers,
                threads=threads_per_stage,
                device=device,
            )
        self.diarizer: SpeakerDiarizer = diarizer
        self.enrolled: dict[str, EnrolledSpeaker] = {}
        if enrol:
            self.enrolled = enrol_speakers(enrol, diarizer, tagger, threads_per_stage)
        if latency is not None:
            self.stream(latency)  # raises an error now

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotion labels of the tagger, in order."""
        return self.tagger.labels

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the dimensions that the tagger estimates, such as arousal; mostly none."""
        return dimensions_of(self.tagger)

    @property
    def settings(self) -> dict[str, Any]:
        """The prior or the sensitivity, if given; results carry it."""
        return dict(getattr(self.tagger, "settings", {}))

    def __call__(
        self,
        source: Any,
        *,
        uri: str | None = None,
        turns: SpeakerDiarizer | None = None,
        progress: Callable[[float, float | None], None] | None = None,
        posteriors: bool = True,
        provisional: Callable[[Sequence[Event]], None] | None = None,
        on_block: Callable[[np.ndarray], None] | None = None,
    ) -> Diarization:
        """Diarize one recording.

        `source` is a path, a binary file object, ``"-"`` (standard input) or ``(array, sample_rate)``, see
        `sed.audio.open_audio`. `uri` is the name of the result (default: the file's stem). `turns` replaces the
        diarizer for this recording (`sed.speakers.ReferenceTurns`). `progress` is called after each block with the
        seconds processed and the duration of the recording (None if unknown), and at least every half second with the
        same values while waiting for ffmpeg; an exception that it raises cancels the call. If `posteriors` is false,
        those of the result are None, and those of a long recording are kept in a temporary file instead of in memory.
        `provisional` is called with events of segments that are found before the end (with diarizer ``segmentation``
        or a latency), in the calling thread; the result replaces them all. `on_block` is called with each block of the
        audio, ``(n,)`` or with split channels ``(n, channels)`` at 16 kHz, which must not be changed.

        Raises `AudioError` if the audio cannot be used, and `OptionError` on `turns` with ``channels="split"``.
        """
        from sed.audio import open_audio

        if turns is not None and self.channels == "split":
            raise OptionError("turns cannot be combined with channels='split'")
        report = BlockProgress(progress)
        with open_audio(source, channels=self.channels, on_wait=report.repeat) as audio:
            audio.on_block = on_block
            name = uri or audio.uri
            if self.latency is not None:
                return self.stream(self.latency, turns).follow(audio, name, report, posteriors, provisional)
            split = self.channels == "split"
            columns = audio.channels if split else 1
            stages = [self._stages(turns, posteriors, provisional is not None) for _ in range(columns)]
            samples = 0
            with StagePool(self.threads) as pool:
                for block in audio:
                    parts = block.T if split else block[None]
                    jobs = [stage.push(part) for stage, part in zip(stages, parts, strict=True)]
                    pool.run([job for pair in jobs for job in pair])
                    samples += len(block)
                    report.pushed(samples_to_seconds(samples))
                    report.finished(pool.finished, audio.duration)
                    if provisional and (events := [event for one in stages for event in one.take_events()]):
                        provisional(events)
                pool.finish()
                report.finished(pool.finished, audio.duration)
        return self._finish(stages, name, samples, posteriors, turns is not None)

    def _stages(self, turns: SpeakerDiarizer | None, in_memory: bool, provisional: bool) -> ChannelStages:
        stages = ChannelStages(self.tagger, turns or self.diarizer, in_memory)
        if provisional and self.channels != "split":
            stages.find_provisional(self.decoder)
        return stages

    def _finish(
        self, stages: Sequence[ChannelStages], uri: str, samples: int, posteriors: bool, named: bool
    ) -> Diarization:
        """The result; `named`: the turns were given with the names of their speakers."""
        found = [stage.close() for stage in stages]
        split = self.channels == "split"
        turns = channel_turns([own for own, _ in found]) if split else found[0][0]
        channels = [rows for _, rows in found]
        known, offsets = profiles_and_offsets(self.enrolled)
        if self.enrolled and not named:
            if turns.profiles is None:
                raise OptionError(
                    "this diarizer gives no profiles of speakers: expected one that does, for enrol"
                )
            turns = (name_channels if split else name_speakers)(turns, known)
        duration, rows = samples_to_seconds(samples), channels if split else channels[0]
        segments = join(turns, rows, self.labels, duration, self.decoder, self.dimensions, offsets)
        if self.context:
            segments = self.context.apply(segments, self.labels)
        kept = None
        if posteriors:
            tracks = [own.take_all() for own in channels]
            kept = mean_over_speakers(tracks, turns.active) if split else tracks[0]
        name = None if self.context is None else self.context.name
        return result_of(
            uri, duration, segments, kept, self.tagger, turns.profiles, tuple(self.enrolled), name
        )

    def stream(
        self, latency: float = 1.0, turns: SpeakerDiarizer | None = None, refine: bool = False
    ) -> StreamingDiarizer:
        """A live stream with the same models; `latency` (0.5 to 5 s) is the maximum delay of a final label.

        `turns` replaces the diarizer, as in `__call__`. `refine`: offer `StreamingDiarizer.refined` at the end.
        Raises `OptionError` if the latency is out of range, there is a context, or the diarizer does not support live
        streams, or enrolled speakers in them.
        """
        if self.context:
            raise OptionError("a context cannot be combined with a live stream or a latency")
        if self.channels == "split":
            raise OptionError(
                "a live stream cannot be combined with channels='split': expected one channel or the mix"
            )
        named, diarizer = turns is not None, turns or self.diarizer
        return StreamingDiarizer(
            self.tagger, diarizer, self.decoder, latency, refine, enrolled=self.enrolled, named=named
        )
