"""Speech of a recipe: utterances in, prepared speech out, in memory or on disk as the recipe states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sed.corpora.audio import Utterance, load_speech
from sed.corpora.stored import StoredSpeech
from sed.errors import OptionError
from sed.training.data.clips import Speech

PLACES = ("memory", "disk")


def recipe_speech(h: Mapping[str, Any], utterances: Sequence[Utterance]) -> Speech:
    """The speech of `utterances`, prepared by the key ``speech`` (`SpeechOptions`).

    With the key ``audio``: disk it is read when used, and each process keeps at most ``audio_memory`` megabytes; the
    lengths are measured once and kept in ``speech_lengths.json`` in the folder of the manifests or of the output.
    """
    if (place := h.get("audio", "memory")) not in PLACES:
        raise OptionError(f"audio: found {place!r}, expected {' or '.join(PLACES)}")
    if place == "memory":
        return load_speech(utterances, h.get("speech"))
    folder = Path(h.get("manifests") or h["output_folder"])
    return StoredSpeech(
        utterances,
        h.get("speech"),
        folder / "speech_lengths.json",
        round(1e6 * h.get("audio_memory", 256)),
        max(int(h.get("workers") or 0), 2),
    )
