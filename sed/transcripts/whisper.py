"""The JSON of WhisperX, Whisper and faster-whisper, which differ in little.

``{"segments": [{"start", "end", "text", "words": [{"word", "start", "end", "score" or "probability"}]}], "language"}``;
faster-whisper's segments may be a list by themselves, and OpenAI's server has the words beside the segments. Whatever
else a file holds is kept. WhisperX does not time words that it cannot align, such as numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sed.errors import FormatError
from sed.formats.kind import number
from sed.formats.lenience import short
from sed.transcripts.model import Sentence, Transcript, Word

_SHAPE = 'an object with "segments", each with start, end and text, as Whisper and WhisperX write it'


def parse(text: str, path: Path) -> Transcript:
    """The transcript in a JSON text. Raises `FormatError`."""
    try:
        data = json.loads(text, parse_constant=lambda _: None)  # WhisperX writes NaN for unknown scores
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not JSON ({error})", path=str(path)) from None
    return from_data(data, path)


def from_data(data: Any, path: str | Path) -> Transcript:
    """The transcript in parsed JSON; `path` is for messages.

    >>> row = {"start": 0.5, "end": 1.25, "text": " Well.", "words": [{"word": " Well.", "start": 0.5, "end": 1.25}]}
    >>> from_data({"segments": [row], "language": "en"}, "call.json").sentences[0].words[0].text
    ' Well.'
    """
    if isinstance(data, list):
        data = {"segments": data}
    rows = data.get("segments") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise FormatError(f"{path}: found other JSON, expected {_SHAPE}", path=str(path))
    sentences = [_sentence(row, f"{path}, segment {count}") for count, row in enumerate(rows, 1)]
    rest = {key: value for key, value in data.items() if key not in ("segments", "word_segments")}
    loose = rest.pop("words", None)
    if loose and not any(sentence.words for sentence in sentences):
        sentences = _with_words(sentences, loose, path)
    return Transcript(None, tuple(sentences), source=rest)


def _sentence(row: Mapping[str, Any], where: str) -> Sentence:
    start, end = _times(row, where)
    text, words = row.get("text"), row.get("words") or []
    if not isinstance(text, str):
        raise FormatError(f"{where}: found text {short(text)}, expected {_SHAPE}")
    return Sentence(start, end, text, _words(words, where), row)


def _words(rows: Any, where: str) -> tuple[Word, ...]:
    if not isinstance(rows, list):
        raise FormatError(f"{where}: found words {short(rows)}, expected a list")
    words = []
    for count, row in enumerate(rows, 1):
        place = f"{where}, word {count}"
        if not isinstance(row, dict) or not isinstance(text := row.get("word"), str):
            raise FormatError(f"{place}: found {short(row)}, expected an object with word, start and end")
        timed = row.get("start") is not None and row.get("end") is not None
        start, end = _times(row, place) if timed else (None, None)
        words.append(Word(text, start, end, row))
    return tuple(words)


def _times(row: Mapping[str, Any], where: str) -> tuple[float, float]:
    start, end = number(row.get("start"), where, "start"), number(row.get("end"), where, "end")
    if not 0 <= start <= end:
        raise FormatError(f"{where}: found {start:g} to {end:g} s, expected times with 0 <= start <= end")
    return start, end


def _with_words(sentences: Sequence[Sentence], rows: Any, path: str | Path) -> list[Sentence]:
    """Sentences with the words of a list beside them, each in the last sentence that starts before its middle."""
    own: list[list[Word]] = [[] for _ in sentences]
    at = 0
    for word in _words(rows, str(path)):
        middle = None if word.start is None or word.end is None else (word.start + word.end) / 2
        while middle is not None and at + 1 < len(sentences) and sentences[at + 1].start <= middle:
            at += 1
        if own:
            own[at].append(word)
    return [
        Sentence(s.start, s.end, s.text, tuple(words), s.source)
        for s, words in zip(sentences, own, strict=True)
    ]
