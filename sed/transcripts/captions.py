"""SRT and WebVTT: each cue is a sentence. Its text is kept without tags; times inside a cue time its words."""

from __future__ import annotations

import html
import itertools
import re
from pathlib import Path

from sed.errors import FormatError
from sed.formats.lenience import short
from sed.transcripts.model import Sentence, Transcript, Word

_STAMP = r"(?:(\d{1,5}):)?([0-5]?\d):([0-5]?\d)[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_STAMP}\s*-->\s*{_STAMP}(?:\s.*)?")
_INSIDE = re.compile(rf"<{_STAMP}>")
_TAG = re.compile(
    r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}"
)  # of HTML, as players take them, and of SubStation Alpha
_SRT = re.compile(rf"(?:\d+\s*\n)?\s*{_STAMP}\s*-->")
_HEAD = 200  # characters in which the first times are expected; blanks without end would take quadratic time
_BLOCKS = ("NOTE", "STYLE", "REGION")


def is_srt(text: str) -> bool:
    """Whether a text starts with the number and times of a caption."""
    return _SRT.match(text.lstrip()[:_HEAD]) is not None


def parse(text: str, path: Path) -> Transcript:
    """The transcript in captions. Raises `FormatError` on a line of times that is not one.

    >>> parse("1\\n00:00:01,000 --> 00:00:02,500\\n<i>Well,</i> yes.\\n", Path("a.srt")).sentences
    (Sentence(start=1.0, end=2.5, text='Well, yes.', words=(), by=Attribution(...)),)
    """
    webvtt = text.startswith("WEBVTT")
    sentences: list[Sentence] = []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        if webvtt and re.split(r"[ \t]", lines[at])[0] in _BLOCKS and not (at and lines[at - 1].strip()):
            while at < len(lines) and lines[at].strip():
                at += 1
        elif "-->" in lines[at]:
            first = at
            at += 1
            while at < len(lines) and lines[at].strip() and "-->" not in lines[at]:
                at += 1
            last = at
            if at < len(lines) and "-->" in lines[at] and lines[at - 1].strip().isdigit():
                last -= 1  # the number of the next caption, which no empty line precedes
            sentences.append(_cue(lines[first], lines[first + 1 : last], f"{path}, line {first + 1}", webvtt))
            continue
        at += 1
    return Transcript(None, tuple(s for s in sentences if s.text))


def _cue(times: str, payload: list[str], where: str, webvtt: bool) -> Sentence:
    if not (match := _TIMES.fullmatch(times)):
        raise FormatError(
            f"{where}: found {short(times)}, expected times such as 00:00:01.000 --> 00:00:02.500"
        )
    start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
    if end < start:
        raise FormatError(f"{where}: found {short(times)}, expected an end that is not before the start")
    content = "\n".join(payload)
    words: list[Word] = []
    if _INSIDE.search(content):
        parts = _INSIDE.split(content)
        edges = [start, *(_seconds(parts[n : n + 4]) for n in range(1, len(parts), 5)), end]
        texts = [_plain(part, webvtt).strip() for part in parts[::5]]
        for word, (low, high) in zip(texts, itertools.pairwise(edges), strict=True):
            if word:
                words.append(
                    Word(word, low, max(low, high), {"word": word, "start": low, "end": max(low, high)})
                )
    text = _plain(_INSIDE.sub("", content), webvtt).strip()
    return Sentence(start, end, text, tuple(words), {"start": start, "end": end, "text": text})


def _plain(text: str, webvtt: bool) -> str:
    text = _TAG.sub("", text)
    return html.unescape(text) if webvtt else text


def _seconds(fields: tuple[str | None, ...] | list[str]) -> float:
    hours, minutes, seconds, fraction = (field or "0" for field in fields)
    milliseconds = int(fraction.ljust(3, "0"))
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) + milliseconds / 1000
