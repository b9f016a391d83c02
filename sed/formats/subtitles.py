"""SRT and ASS (SubStation Alpha): captions for video players, coloured by emotion.

A segment's text is its emotion, behind its speaker; `sed.transcripts` writes words with the same functions. Both
formats can only be written: what they hold is meant for viewers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sed.formats.kind import Format, one_line
from sed.formats.webvtt import stamp
from sed.palette import colour, on_black
from sed.result import Diarization

_HEAD = """[Script Info]
ScriptType: v4.00+
WrapStyle: 0
ScaledBorderAndShadow: yes
PlayResX: 1280
PlayResY: 720

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, OutlineColour, BackColour, Bold, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
"""
_EVENTS = "\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
_JOINER = "\u2060"  # takes no space: what follows is no code or tag any more


@dataclass(frozen=True, slots=True)
class Caption:
    """One caption, from `start` to `end` in seconds: `text` of `speaker` with `emotion`."""

    start: float
    end: float
    speaker: str | None
    emotion: str | None
    text: str


def captions_of(diarization: Diarization) -> list[Caption]:
    """A caption for each segment, whose text is the emotion."""
    return [Caption(s.start, s.end, s.speaker, None, one_line(s.emotion)) for s in diarization]


def visible(caption: Caption) -> tuple[str, str]:
    """The text of a caption without empty lines, which would end it, and what is shown before it.

    >>> visible(Caption(0, 1, "ann", "sad", "Oh.\\n\\nWell."))
    ('ann (sad): ', 'Oh.\\nWell.')
    """
    text = "\n".join(line for line in caption.text.split("\n") if line.strip())
    named = [] if caption.speaker is None else [one_line(caption.speaker)]
    if caption.emotion is not None:
        named.append(f"({one_line(caption.emotion)})")
    return (f"{' '.join(named)}: " if named else ""), text


def span(caption: Caption) -> tuple[float, float]:
    """Its times in whole milliseconds; players ignore a caption without duration, so it has at least one."""
    start, end = round(caption.start * 1000), round(caption.end * 1000)
    return start / 1000, max(end, start + 1) / 1000


def srt(captions: Iterable[Caption], colours: Iterable[str | None]) -> str:
    """Captions with a font colour for each; `colours` are those emotions' names."""
    cues = []
    for count, (caption, emotion) in enumerate(zip(captions, colours, strict=True), 1):
        start, end = (stamp(time).replace(".", ",") for time in span(caption))
        named, text = visible(caption)
        shown = on_black(colour(emotion))
        content = re.sub(
            "<(?=[/A-Za-z])", f"<{_JOINER}", named + text
        )  # SRT cannot escape what looks like a tag
        cues.append(f'{count}\n{start} --> {end}\n<font color="{shown}">{content}</font>\n')
    return "\n".join(cues)


def ass(captions: Iterable[Caption], emotions: Iterable[str | None]) -> str:
    """Captions with a style for each emotion."""
    events: list[str] = []
    styles: dict[str | None, str] = {}
    taken: set[str] = set()
    for caption, emotion in zip(captions, emotions, strict=True):
        if emotion not in styles:
            styles[emotion] = _name(emotion or "unknown", taken)
            taken.add(styles[emotion])
        style = styles[emotion]
        start, end = map(_centiseconds, span(caption))
        named, text = visible(caption)
        speaker = "" if caption.speaker is None else one_line(caption.speaker).replace(",", ";")
        content = _escaped(named + text)
        if end <= start:
            end = start + 1
        events.append(f"Dialogue: 0,{_clock(start)},{_clock(end)},{style},{speaker},0,0,0,,{content}\n")
    lines = (
        f"Style: {style},Arial,42,{_bgr(emotion)},&H00000000,&H80000000,0,1,2,1,2,60,60,36,1\n"
        for emotion, style in styles.items()
    )
    return _HEAD + "".join(lines) + _EVENTS + "".join(events)


def _name(emotion: str, taken: Collection[str]) -> str:
    """The name of a style: commas separate the fields of a line."""
    name = one_line(emotion).replace(",", " ")
    while name in taken:
        name += "_"
    return name


def _escaped(text: str) -> str:
    r"""Text without the codes of ASS: braces enclose them, and ``\N`` is a line break."""
    text = text.replace("\\", "\\" + _JOINER).replace("{", "\\{").replace("}", "\\}")
    return text.replace("\n", "\\N")


def _bgr(emotion: str | None) -> str:
    shown = on_black(colour(emotion))
    return f"&H00{shown[5:7]}{shown[3:5]}{shown[1:3]}".upper()


def _centiseconds(seconds: float) -> int:
    return round(seconds * 100)


def _clock(hundredths: int) -> str:
    seconds, rest = divmod(hundredths, 100)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:02d}"


def _srt(diarization: Diarization) -> str:
    return srt(captions_of(diarization), [s.emotion for s in diarization])


def _ass(diarization: Diarization) -> str:
    return ass(captions_of(diarization), [s.emotion for s in diarization])


SRT = Format("srt", (".srt",), _srt)
ASS = Format("ass", (".ass",), _ass)
