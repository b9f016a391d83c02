"""Reads a whole recording for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from sed.audio import open_audio


def read_all(source: Any, channels: str | int = "mix") -> np.ndarray:
    """All samples of `source` at 16 kHz, ``(n,)`` or ``(n, channels)``."""
    with open_audio(source, channels) as audio:
        blocks = list(audio)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
