"""Reads a transcript: its kind is recognised by its content, since every tool names these files differently."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

from sed.errors import FormatError
from sed.files import load_text
from sed.formats.kind import stem
from sed.formats.spelling import match
from sed.transcripts import captions, ctm, whisper
from sed.transcripts.model import Transcript

KINDS = "WhisperX's, Whisper's or faster-whisper's JSON, SRT, WebVTT or CTM"
_VTT = re.compile(r"WEBVTT(?![^ \t\n])")


def read_transcript(path: str | PathLike[str], uri: str | None = None) -> Transcript:
    """The transcript of the recording `uri` in a file; a file with one recording need not name it.

    Raises `FormatError` if the file cannot be read, is of no known kind or is invalid (the message names the position),
    has several recordings and not `uri`, or has no word.
    """
    path = Path(path)
    found = parse_transcripts(load_text(path), path)
    if len(found) == 1:
        return found[0]
    by_name = {stem(t.uri or ""): t for t in found}
    for name, other in match(by_name, [uri or ""]).items():
        by_name[name] = by_name[other]
    if uri not in by_name:
        listed = ", ".join(list(by_name)[:5]) + (", ..." if len(by_name) > 5 else "")
        raise FormatError(
            f"{path}: found {len(by_name)} recordings ({listed}), expected {uri or 'one'}", path=str(path)
        )
    return by_name[uri]


def parse_transcripts(text: str, path: Path) -> list[Transcript]:
    """The transcript of each recording in `text`, the content of `path`; at least one."""
    if text.lstrip()[:1] in ("{", "["):
        return [whisper.parse(text, path)]
    if _VTT.match(text):
        return [captions.parse(text, path)]
    if captions.is_srt(text):
        return [captions.parse(text, path)]
    if ctm.is_ctm(text):
        return ctm.parse(text, path)
    raise FormatError(f"{path}: found no transcript, expected {KINDS}", path=str(path))
