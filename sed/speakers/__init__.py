"""Speaker diarization: speech and speaker embeddings are clustered, or the turns come from a reference."""

from sed.speakers.diarizer import DiarizationOptions, SegmentationDiarizer
from sed.speakers.factory import make_diarizer
from sed.speakers.given import OneSpeaker, ReferenceTurns
from sed.speakers.linking import link_speakers
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
    "link_speakers",
    "make_diarizer",
]
