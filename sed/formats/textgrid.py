"""Praat TextGrid (long form): one interval tier per speaker, whose labels are emotions; silence has empty labels.

A speaker with two emotions at once gets a second tier of the same name. Unknown names are ``<NA>``.
"""

from __future__ import annotations

import contextlib
import math
import re
from pathlib import Path

from sed.errors import FormatError
from sed.formats.kind import Format, make_segment, name, one_line, tiers_by_speaker
from sed.formats.lenience import FileWarnings, file_warnings
from sed.formats.spelling import LINE
from sed.result import Diarization, Segment


def _tier(segments: list[Segment], duration: float) -> list[tuple[float, float, str]]:
    """Intervals that tile ``[0, duration]``; `segments` do not overlap."""
    rows: list[tuple[float, float, str]] = []
    at = 0.0
    for s in segments:
        if s.start > at:
            rows.append((at, s.start, ""))
        rows.append((s.start, s.end, one_line(s.emotion)))
        at = s.end
    if at < duration or not rows:
        rows.append((at, duration, ""))
    return rows


def _dump(diarization: Diarization) -> str:
    duration = float(max([diarization.duration, *(s.end for s in diarization)]))
    if duration <= 0:
        raise FormatError(
            f"{diarization.uri} has a duration of 0 s, expected a longer recording for a TextGrid"
        )
    tiers = tiers_by_speaker(diarization) or [(None, [])]
    out = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {duration!r}"]
    out += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (speaker, segments) in enumerate(tiers, 1):
        rows = _tier(segments, duration)
        out += [
            f"    item [{number}]:",
            '        class = "IntervalTier"',
            f"        name = {_quote(one_line(speaker))}",
        ]
        out += ["        xmin = 0", f"        xmax = {duration!r}", f"        intervals: size = {len(rows)}"]
        for count, (start, end, label) in enumerate(rows, 1):
            out += [
                f"        intervals [{count}]:",
                f"            xmin = {float(start)!r}",
                f"            xmax = {float(end)!r}",
            ]
            out.append(f"            text = {_quote(label)}")
    return "\n".join(out) + "\n"


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


# Praat reads the long and the short form by the order of quoted strings, numbers and flags alone.
_TOKEN = re.compile(r'"(?:[^"]|"")*"|<\w+>|!.*|(?<![\w\[.])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w\].])')


_FILE_TYPES = ("ooTextFile", "ooTextFile short")  # the second is the short form of older versions of Praat


class _Tokens:
    """The tokens of a text; comments, from ``!`` to the end of the line, are skipped."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found = (match for match in _TOKEN.finditer(text) if match[0][0] != "!")
        self._at = 0

    @property
    def line(self) -> int:
        """The line of the latest token."""
        return 1 + self._text.count("\n", 0, self._at)

    def next(self) -> str:
        """The next token; raises `StopIteration` at the end."""
        match = next(self._found)
        self._at = match.start()
        return match[0]

    def string(self) -> str:
        """The next token, which must be a quoted text."""
        if not (token := self.next()).startswith('"'):
            raise ValueError(f"found {token}, expected a quoted text")
        return token[1:-1].replace('""', '"')

    def value(self) -> float:
        """The next token, which must be a number."""
        if (token := self.next())[0] in '"<' or not math.isfinite(found := float(token)):
            raise ValueError(f"found {token}, expected a number")
        return found


def _read(tokens: _Tokens, path: Path, warnings: FileWarnings) -> tuple[float, int, list[Segment]]:
    """The duration, the number of tiers, and the segments. Raises `StopIteration` and `ValueError`."""
    string, value = tokens.string, tokens.value
    segments: list[Segment] = []
    if string() not in _FILE_TYPES or string() != "TextGrid":
        raise ValueError("expected an ooTextFile with a TextGrid")
    _, duration, _, tiers = value(), value(), tokens.next(), int(value())
    for _ in range(tiers):
        kind, tier, _, _, count = string(), string(), value(), value(), int(value())
        for _ in range(count):
            if kind != "IntervalTier":
                value(), string()
                continue
            start, end, label = value(), value(), string().strip()
            if label:
                where = f"{path}, line {tokens.line}"
                who, what = name(tier, where, "name", LINE), name(label, where, "text", LINE)
                segments += filter(None, [make_segment(start, end, who, what, where, warnings)])
    return duration, tiers, segments


def _parse(text: str, path: Path) -> list[Diarization]:
    tokens = _Tokens(text)
    try:
        with file_warnings(path) as warnings:
            duration, tiers, segments = _read(tokens, path, warnings)
    except StopIteration:
        raise FormatError(f"{path}: the TextGrid is truncated") from None
    except FormatError:
        raise
    except ValueError as error:
        raise FormatError(f"{path}, line {tokens.line}: not a TextGrid ({error})") from None
    with contextlib.suppress(StopIteration):
        rest = tokens.next()
        raise FormatError(f"{path}, line {tokens.line}: found {rest[:40]} after the last of {tiers} tiers")
    return [Diarization(FORMAT.uri(path), duration, segments)]


def _sniff(text: str) -> bool:
    return re.match(r'\s*(?:File type\s*=\s*)?"ooTextFile', text) is not None


FORMAT = Format("textgrid", (".textgrid",), _dump, _parse, sniff=_sniff)
