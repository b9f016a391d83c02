"""Creates diarizers and speech detectors by name, for the command line and `EmotionDiarizer`."""

from __future__ import annotations

from pathlib import Path

from sed.errors import OptionError
from sed.speakers.bounds import speaker_bounds
from sed.speakers.turns import SpeakerDiarizer
from sed.speech.activity import SegmentationDetector, SpeechDetector

DIARIZERS = ("segmentation", "pyannote", "none")
DETECTORS = ("segmentation", "webrtc", "silero")
EVERY_FRAME = "none"
"""Name of the detector that treats every frame as speech."""
VADS = (*DETECTORS, EVERY_FRAME)


def make_diarizer(
    name: str = "segmentation",
    *,
    vad: str | None = None,
    speakers: int | None = None,
    min_speakers: int | None = None,
    max_speakers: int | None = None,
    threads: int = 1,
    model: str | Path | None = None,
    device: str = "auto",
) -> SpeakerDiarizer:
    """Create a diarizer.

    name: ``segmentation`` (its own, bundled networks), ``pyannote`` (a pipeline of pyannote.audio)
        or ``none`` (all speech belongs to one speaker). A model may be appended after a colon, as in
        ``pyannote:pyannote/speaker-diarization-community-1`` or ``pyannote:/models/segmentation``.
    vad: speech detector: ``segmentation`` (also for None), ``webrtc``, ``silero``, or ``none`` (every frame is speech).
        With the diarizer ``segmentation``, the latter three use embeddings of short windows and find no overlap.
    speakers, min_speakers, max_speakers: number of speakers, or bounds on it.
    threads: CPU threads.
    model: for ``pyannote`` the folder or name of a pipeline or segmentation model; for ``segmentation`` the path of
        another segmentation ONNX file. None for the bundled models.
    device: where the networks run, as in `sed.inference`; not for ``pyannote``.

    Raises `OptionError` on unknown names and invalid numbers or combinations, `MissingDependencyError` if an extra is
    missing, and `ModelError` on unusable models.

    >>> type(make_diarizer("none", vad="webrtc")).__name__
    'OneSpeaker'
    """
    name, colon, suffix = name.partition(":")
    if colon and (model is not None or not suffix):
        raise OptionError(
            f"diarizer '{name}:{suffix}': expected the name or folder of one model after the colon"
        )
    model = suffix or model
    if name not in DIARIZERS:
        raise OptionError(f"diarizer {name!r}: expected one of {', '.join(DIARIZERS)}")
    if vad is not None and vad not in VADS:
        raise OptionError(f"vad {vad!r}: expected one of {', '.join(VADS)}")
    if threads < 1:
        raise OptionError(f"{threads} threads: expected 1 or more")
    low, _ = speaker_bounds(speakers, min_speakers, max_speakers)
    if name == "none":
        if low > 1:
            raise OptionError(f"diarizer 'none' with {low} speakers: expected 1 speaker at most")
        if model is not None:
            raise OptionError(
                "diarizer 'none' takes no model: expected diarizer 'segmentation' or 'pyannote'"
            )
        from sed.speakers.given import OneSpeaker

        detector = make_detector(vad or "segmentation", threads, device)
        if vad == EVERY_FRAME:  # a profile would be one of silence, too
            return OneSpeaker(detector, min_duration_on=0.0)
        from sed.speakers.embedding import SpeakerEmbedding

        return OneSpeaker(detector, embedding=SpeakerEmbedding(threads=threads, device=device))
    if name == "pyannote":
        if vad is not None:
            raise OptionError(
                f"diarizer 'pyannote' cannot be combined with vad {vad!r}: its pipeline detects speech itself"
            )
        if device.startswith("cuda"):
            raise OptionError(
                f"diarizer 'pyannote' cannot be combined with device {device!r}: expected segmentation or none"
            )
        from sed.speakers.pyannote import PyannoteDiarizer

        return PyannoteDiarizer(model, speakers, min_speakers, max_speakers, threads)
    if vad in (None, "segmentation"):
        from sed.speakers.diarizer import SegmentationDiarizer

        return SegmentationDiarizer(
            speakers, min_speakers, max_speakers, threads, segmentation=model, device=device
        )
    if model is not None:
        raise OptionError(
            f"a segmentation model cannot be combined with vad {vad!r}: expected one or the other"
        )
    from sed.speakers.windows import VoiceActivityDiarizer, WindowOptions

    options = WindowOptions(min_duration_on=0.0) if vad == EVERY_FRAME else None
    detector = make_detector(vad, threads, device)
    return VoiceActivityDiarizer(
        detector, speakers, min_speakers, max_speakers, threads, options, device=device
    )


def make_detector(name: str, threads: int = 1, device: str = "auto") -> SpeechDetector:
    """Create a speech detector: ``segmentation``, ``webrtc``, ``silero`` or ``none``. Raises as `make_diarizer`.

    >>> type(make_detector("webrtc")).__name__
    'WebRtcDetector'
    """
    if name == "segmentation":
        return SegmentationDetector(threads=threads, device=device)
    if name == "webrtc":
        from sed.speech.webrtc import WebRtcDetector

        return WebRtcDetector()
    if name == "silero":
        from sed.speech.silero import SileroDetector

        return SileroDetector(threads=threads, device=device)
    if name == EVERY_FRAME:
        from sed.speech.every_frame import EveryFrame

        return EveryFrame()
    raise OptionError(f"vad {name!r}: expected one of {', '.join(VADS)}")
