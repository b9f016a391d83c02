"""Writes transcripts with speakers and emotions: WhisperX's JSON, WebVTT, SegLST, SRT and ASS.

JSON has the sentences of the transcript with everything that it held; ``speaker``, ``emotion`` and ``probabilities``
(and ``dimensions``) are added to each sentence and word, and ``word_segments`` to the file. The others have one entry
for each of `turns`, so that each has one speaker.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any

from sed.errors import FormatError, OptionError
from sed.files import save_bytes, to_bytes
from sed.formats import format_of
from sed.formats.json import to_text
from sed.formats.kind import UNKNOWN, one_line
from sed.formats.spelling import TEXT
from sed.formats.subtitles import Caption, ass, span, srt, visible
from sed.formats.webvtt import stamp
from sed.palette import colour, on_black
from sed.transcripts.model import Attribution, Sentence, Transcript, Word


def write(transcript: Transcript, path: str | PathLike[str], format: str | None = None) -> None:
    """Write a transcript of `add_words` to a file, atomically; the suffix picks the format if none is given.

    Raises `FormatError` if it cannot be written, and `OptionError` for a format that holds no words.
    """
    save_bytes(dumps(transcript, format or format_of(path)), path)


def dumps(transcript: Transcript, format: str) -> bytes:
    """The content of a file of that format, one of `FORMATS`; raises as `write` does."""
    if format not in FORMATS:
        raise OptionError(f"format {format!r} holds no words: expected one of {', '.join(FORMATS)}")
    try:
        return to_bytes(FORMATS[format](transcript))
    except OverflowError:
        raise FormatError(f"{transcript.uri}: found a time that is too large for {format}") from None


def _json(transcript: Transcript) -> str:
    segments = [_segment(sentence) for sentence in transcript.sentences]
    words = [word for segment in segments for word in segment.get("words", ())]
    body = ",\n".join("  " + to_text(segment) for segment in segments)
    rest = {"word_segments": words, **transcript.source}
    return f'{{"segments": [\n{body}\n], {to_text(rest)[1:]}\n'


def _segment(sentence: Sentence) -> dict[str, Any]:
    row = {key: value for key, value in _row(sentence).items() if key != "words"}
    return row | ({"words": [_row(word) for word in sentence.words]} if sentence.words else {})


def _row(item: Sentence | Word) -> dict[str, Any]:
    """The fields that the transcript had, then those of the attribution, which replace earlier ones."""
    key = "word" if isinstance(item, Word) else "text"
    row = {"start": item.start, "end": item.end, key: item.text} | dict(item.source)
    row = {key: value for key, value in row.items() if value is not None or key in item.source}
    for name in ("speaker", "emotion", "probabilities", "dimensions"):
        row.pop(name, None)
    return row | _known(item.by)


def _known(by: Attribution) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, text in (("speaker", by.speaker), ("emotion", by.emotion)):
        if text is not None:
            row[name] = TEXT.write(text)
    for name, values in (("probabilities", by.probabilities), ("dimensions", by.dimensions)):
        if values:
            row[name] = {TEXT.write(label): value for label, value in values.items()}
    return row


def _seglst(transcript: Transcript) -> str:
    rows = []
    for turn in transcript.turns:
        row: dict[str, Any] = {"session_id": TEXT.write(transcript.uri or ""), "speaker": UNKNOWN}
        row |= {"start_time": turn.start, "end_time": turn.end, "words": turn.text.strip()}
        rows.append(row | _known(turn.by))
    return "[" + ",".join("\n" + to_text(row) for row in rows) + "\n]\n"


def _webvtt(transcript: Transcript) -> str:
    """One cue per turn; the emotion is the class of its voice tag, and a style gives it its colour."""
    classes = {
        e: _class(e) for e in sorted({t.by.emotion for t in transcript.turns if t.by.emotion is not None})
    }
    styles = [f"::cue(.{name}) {{ color: {on_black(colour(emotion))} }}" for emotion, name in classes.items()]
    blocks = ["WEBVTT\n", *(["STYLE\n" + "\n".join(styles) + "\n"] if styles else [])]
    for turn, caption in zip(transcript.turns, _captions(transcript), strict=True):
        start, end = map(stamp, span(caption))
        text = html.escape(visible(caption)[1], quote=False)
        kind = "" if turn.by.emotion is None else f".{classes[turn.by.emotion]}"
        if turn.by.speaker is not None:
            text = f"<v{kind} {html.escape(one_line(turn.by.speaker), quote=False)}>{text}"
        elif kind:
            text = f"<c{kind}>{text}</c>"
        blocks.append(f"{start} --> {end}\n{text}\n")
    return "\n".join(blocks)


def _class(emotion: str) -> str:
    """The name of an emotion as a class, in which WebVTT allows neither blanks nor dots."""
    return re.sub(r"[^\w-]", "-", emotion)


def _captions(transcript: Transcript) -> Iterable[Caption]:
    return (Caption(t.start, t.end, t.by.speaker, t.by.emotion, t.text.strip()) for t in transcript.turns)


def _srt(transcript: Transcript) -> str:
    return srt(_captions(transcript), [turn.by.emotion for turn in transcript.turns])


def _ass(transcript: Transcript) -> str:
    return ass(_captions(transcript), [turn.by.emotion for turn in transcript.turns])


FORMATS: dict[str, Callable[[Transcript], str]] = {
    "json": _json,
    "webvtt": _webvtt,
    "seglst": _seglst,
    "srt": _srt,
    "ass": _ass,
}
"""The formats that hold words, by name; the names are those of `sed.formats`, which writes them without words."""
