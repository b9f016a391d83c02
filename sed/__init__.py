"""Speech emotion diarization: who speaks when, and with which emotion.

>>> from sed import EmotionDiarizer
>>> result = EmotionDiarizer(speakers=3)("demo/conversation.flac")
>>> result.speaker_names
('spk00', 'spk01', 'spk02')
>>> result.labels
('neutral', 'happy', 'angry', 'sad')

Public names are imported on first use, so that ``import sed`` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sed.emotion.decoding import DecoderOptions
    from sed.emotion.tagger import Tagger
    from sed.errors import SedError
    from sed.formats import read, write
    from sed.pipeline import EmotionDiarizer
    from sed.result import Diarization, Segment
    from sed.streaming import Event, StreamingDiarizer

_MODULE_OF = {
    "DecoderOptions": "sed.emotion.decoding",
    "Diarization": "sed.result",
    "EmotionDiarizer": "sed.pipeline",
    "Event": "sed.streaming",
    "SedError": "sed.errors",
    "Segment": "sed.result",
    "StreamingDiarizer": "sed.streaming",
    "Tagger": "sed.emotion.tagger",
    "read": "sed.formats",
    "write": "sed.formats",
}

__all__ = [
    "DecoderOptions",
    "Diarization",
    "EmotionDiarizer",
    "Event",
    "SedError",
    "Segment",
    "StreamingDiarizer",
    "Tagger",
    "read",
    "write",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'sed' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
