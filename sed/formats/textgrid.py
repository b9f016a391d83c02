"""Praat TextGrid (long form): an interval tier a speaker, whose labels are emotions; silence has empty labels.

A speaker who shows two emotions at once gets a second tier of the same name. What is not known is ``<NA>``.
"""

from __future__ import annotations

import contextlib
import math
import re
from pathlib import Path

from sed.errors import FormatError
from sed.formats.kind import Format, lanes, make_segment, name, one_line
from sed.formats.lenience import Remarks, remarks
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
        raise FormatError(f"{diarization.uri} lasts 0 s: a TextGrid expects a recording longer than that")
    tiers = lanes(diarization) or [(None, [])]
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


# Praat reads long and short forms alike: what counts is the order of quoted strings, numbers and flags.
_TOKEN = re.compile(r'"(?:[^"]|"")*"|<\w+>|!.*|(?<![\w\[.])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w\].])')


_FILE_TYPES = ("ooTextFile", "ooTextFile short")  # the second is what older Praats call the short form


class _Tokens:
    """What counts in a text, in turn; comments, from a ``!`` on, do not."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found = (match for match in _TOKEN.finditer(text) if match[0][0] != "!")
        self._at = 0

    @property
    def line(self) -> int:
        """The line of the latest."""
        return 1 + self._text.count("\n", 0, self._at)

    def next(self) -> str:
        """The next one; raises `StopIteration` at the end."""
        match = next(self._found)
        self._at = match.start()
        return match[0]

    def string(self) -> str:
        """The next one, which has to be a quoted text."""
        if not (token := self.next()).startswith('"'):
            raise ValueError(f"found {token}, expected a quoted text")
        return token[1:-1].replace('""', '"')

    def value(self) -> float:
        """The next one, which has to be a number."""
        if (token := self.next())[0] in '"<' or not math.isfinite(found := float(token)):
            raise ValueError(f"found {token}, expected a number")
        return found


def _read(tokens: _Tokens, path: Path, notes: Remarks) -> tuple[float, int, list[Segment]]:
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
                segments += filter(None, [make_segment(start, end, who, what, where, notes)])
    return duration, tiers, segments


def _parse(text: str, path: Path) -> list[Diarization]:
    tokens = _Tokens(text)
    try:
        with remarks(path) as notes:
            duration, tiers, segments = _read(tokens, path, notes)
    except StopIteration:
        raise FormatError(f"{path}: the TextGrid breaks off") from None
    except FormatError:
        raise
    except ValueError as error:
        raise FormatError(f"{path}, line {tokens.line}: not a TextGrid ({error})") from None
    with contextlib.suppress(StopIteration):
        rest = tokens.next()
        raise FormatError(f"{path}, line {tokens.line}: found {rest[:40]} behind the last of {tiers} tiers")
    return [Diarization(FORMAT.uri(path), duration, segments)]


def _looks(text: str) -> bool:
    return re.match(r'\s*(?:File type\s*=\s*)?"ooTextFile', text) is not None


FORMAT = Format("textgrid", (".textgrid",), _dump, _parse, looks=_looks)
