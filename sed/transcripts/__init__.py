"""Transcripts of speech recognition: words and sentences, joined with the speakers and emotions of a `Diarization`.

`read_transcript` takes the JSON of WhisperX, Whisper and faster-whisper, SRT, WebVTT, NIST CTM and Kaldi's ctm;
`add_words` gives every word and sentence its speaker, emotion and probabilities; `write` saves them. Texts and times
stay those of the transcript.
"""

from sed.transcripts.joining import MAX_DISTANCE, add_words
from sed.transcripts.model import Sentence, Transcript, Word
from sed.transcripts.reading import read_transcript
from sed.transcripts.writing import FORMATS, dumps, write

__all__ = [
    "FORMATS",
    "MAX_DISTANCE",
    "Sentence",
    "Transcript",
    "Word",
    "add_words",
    "dumps",
    "read_transcript",
    "write",
]
