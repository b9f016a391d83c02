"""Ways to find speakers by name, as the command line and `EmotionDiarizer` give them."""

from __future__ import annotations

from pathlib import Path

from sed.errors import OptionError
from sed.speakers.bounds import speaker_bounds
from sed.speakers.turns import SpeakerDiarizer
from sed.speech.activity import SegmentationDetector, SpeechDetector

DIARIZERS = ("segmentation", "pyannote", "none")
DETECTORS = ("segmentation", "webrtc", "silero")
EVERY_FRAME = "none"
"""The name of no detection: every frame is speech."""
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
) -> SpeakerDiarizer:
    """The diarizer of a name.

    name: ``segmentation`` (segmentation-3.0 and CAM++, bundled), ``pyannote`` (a pipeline of pyannote.audio)
        or ``none`` (everything spoken is one speaker's). A model may follow behind a colon, as in
        ``pyannote:pyannote/speaker-diarization-community-1`` or ``pyannote:/models/segmentation``.
    vad: ``segmentation`` (also for None), ``webrtc`` or ``silero``: what detects speech; ``none``: every frame is
        speech. With ``segmentation`` as the diarizer, the latter three find speakers by short windows of voice,
        without overlap.
    speakers, min_speakers, max_speakers: how many people speak, exactly or within bounds.
    threads: processor threads.
    model: for ``pyannote`` a pipeline or segmentation model, by folder or name; for ``segmentation`` the path of
        another segmentation ONNX file. None for the bundled ones.

    Raises `OptionError` on unknown names and numbers or combinations that make no sense,
    `MissingDependencyError` where an extra is needed, and `ModelError` on unusable models.

    >>> type(make_diarizer("none", vad="webrtc")).__name__
    'OneSpeaker'
    """
    name, colon, behind = name.partition(":")
    if colon and (model is not None or not behind):
        raise OptionError(
            f"diarizer '{name}:{behind}': expected the name or folder of one model behind the colon"
        )
    model = behind or model
    if name not in DIARIZERS:
        raise OptionError(f"diarizer {name!r}: expected one of {', '.join(DIARIZERS)}")
    if vad is not None and vad not in VADS:
        raise OptionError(f"vad {vad!r}: expected one of {', '.join(VADS)}")
    if threads < 1:
        raise OptionError(f"{threads} threads: expected 1 or more")
    low, _ = speaker_bounds(speakers, min_speakers, max_speakers)
    if name == "none":
        if low > 1:
            raise OptionError(f"diarizer 'none' finds one speaker: expected no more, asked for {low}")
        if model is not None:
            raise OptionError("diarizer 'none' takes no model: expected one with segmentation or pyannote")
        from sed.speakers.given import OneSpeaker

        detector = make_detector(vad or "segmentation", threads)
        return OneSpeaker(detector, shortest=0.0) if vad == EVERY_FRAME else OneSpeaker(detector)
    if name == "pyannote":
        if vad is not None:
            raise OptionError(
                f"vad {vad!r} with diarizer 'pyannote': expected no vad, its pipeline has its own"
            )
        from sed.speakers.pyannote import PyannoteDiarizer

        return PyannoteDiarizer(model, speakers, min_speakers, max_speakers, threads)
    if vad in (None, "segmentation"):
        from sed.speakers.diarizer import SegmentationDiarizer

        return SegmentationDiarizer(speakers, min_speakers, max_speakers, threads, segmentation=model)
    if model is not None:
        raise OptionError(f"a segmentation model with vad {vad!r}: expected one or the other")
    from sed.speakers.windows import VoiceActivityDiarizer, WindowOptions

    options = WindowOptions(shortest=0.0) if vad == EVERY_FRAME else None
    detector = make_detector(vad, threads)
    return VoiceActivityDiarizer(detector, speakers, min_speakers, max_speakers, threads, options)


def make_detector(name: str, threads: int = 1) -> SpeechDetector:
    """The speech detector of a name: ``segmentation``, ``webrtc``, ``silero`` or ``none``. Raises as `make_diarizer`.

    >>> type(make_detector("webrtc")).__name__
    'WebRtcDetector'
    """
    if name == "segmentation":
        return SegmentationDetector(threads=threads)
    if name == "webrtc":
        from sed.speech.webrtc import WebRtcDetector

        return WebRtcDetector()
    if name == "silero":
        from sed.speech.silero import SileroDetector

        return SileroDetector(threads=threads)
    if name == EVERY_FRAME:
        from sed.speech.every_frame import EveryFrame

        return EveryFrame()
    raise OptionError(f"vad {name!r}: expected one of {', '.join(VADS)}")
