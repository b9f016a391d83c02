"""Installed speech recognisers: ``faster-whisper[:model]`` in, a function from audio to a `Transcript` out.

`sed` has no recogniser of its own. The engine gets the audio of `sed.audio`: its times are those of the results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from sed.errors import MissingDependencyError, ModelError, OptionError, install_hint
from sed.transcripts.model import Transcript
from sed.transcripts.whisper import from_data

Engine = Callable[[np.ndarray, str], Transcript]
"""Takes the whole recording, ``(n,)`` float32 at 16 kHz, and its name."""

NAME = "faster-whisper"
DEFAULT_MODEL = "small"


def check_engine(name: str) -> None:
    """Raise `OptionError` for an unknown engine, and `MissingDependencyError` if it is not installed."""
    engine, colon, model = name.partition(":")
    if engine != NAME or (colon and not model):
        raise OptionError(
            f"recogniser {name!r}: expected {NAME} or {NAME}:MODEL (a size, folder or hub name)"
        )
    try:
        import faster_whisper  # noqa: F401
    except ImportError:
        raise MissingDependencyError(f"--asr {NAME} needs faster-whisper: {install_hint('asr')}") from None


def load_engine(name: str, threads: int = 1) -> Engine:
    """The recogniser ``faster-whisper`` or ``faster-whisper:MODEL`` with its model (default: `DEFAULT_MODEL`).

    MODEL is a size such as ``tiny`` or a hub name, which faster-whisper downloads once, or a folder. Raises as
    `check_engine` does, and `ModelError` if the model cannot be loaded.
    """
    check_engine(name)
    from faster_whisper import WhisperModel

    chosen = name.partition(":")[2] or DEFAULT_MODEL
    try:
        model = WhisperModel(chosen, device="auto", cpu_threads=threads)
    except Exception as error:
        raise ModelError(f"{chosen}: faster-whisper cannot load this model ({error})", path=chosen) from error

    def recognise(samples: np.ndarray, uri: str) -> Transcript:
        segments, info = model.transcribe(samples, word_timestamps=True)
        return transcript_of(segments, info.language, uri)

    return recognise


def transcript_of(segments: Any, language: str | None, uri: str) -> Transcript:
    """The transcript of faster-whisper's segments (dataclasses)."""
    rows = [asdict(segment) for segment in segments]
    return from_data({"segments": rows, "language": language}, uri)
