"""Who speaks: embeddings, clustering, given turns, and the pyannote.audio backend."""

from sed.speakers.diarizer import DiarizationOptions, SegmentationDiarizer
from sed.speakers.factory import make_diarizer
from sed.speakers.given import OneSpeaker, ReferenceTurns
from sed.speakers.turns import SpeakerDiarizer, Turns
from sed.speakers.windows import VoiceActivityDiarizer

__all__ = [
    "DiarizationOptions",
    "OneSpeaker",
    "ReferenceTurns",
    "SegmentationDiarizer",
    "SpeakerDiarizer",
    "Turns",
    "VoiceActivityDiarizer",
    "make_diarizer",
]
