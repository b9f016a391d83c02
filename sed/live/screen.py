"""The timeline as text: a `View` and a `Status` in, lines of coloured text for a terminal of any size out.

One row per speaker, one column per time step: decided time is solid in its emotion's colour and labelled with the
emotion if that fits; provisional time is stippled. Without colours, letters are used instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from sed.live.parts import Status
from sed.live.timeline import LEVELS_PER_SECOND, View
from sed.palette import colour, ink
from sed.result import Segment

_NAMES = 9  # columns of the speakers' names
_WAVE, _WAVE_ASCII = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
_QUIETEST = -60.0  # dB at the left end of the meter
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300)  # possible seconds between ticks of the time axis


@dataclass(frozen=True)
class Screen:
    """One screen of a live run; rich renders it at the console's current size.

    `title` is the name of the source, `recording` the path of the recording or None, `labels` are the emotions in
    order, `latency` and `span` are in seconds; `ending` is true while the backlog is being processed.
    """

    view: View
    status: Status
    labels: Sequence[str]
    title: str
    latency: float
    span: float = 30.0
    recording: str | None = None
    ending: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.height
        painter = _Painter(
            width, console.color_system is not None and not console.no_color, options.ascii_only
        )
        lines = list(self._lines(painter, height))[: max(1, height)]
        for line in lines:
            line.no_wrap, line.overflow = True, "crop"
            line.truncate(width)
        yield Text("\n").join(lines)

    def _lines(self, painter: _Painter, height: int) -> Iterator[Text]:
        head = [painter.spread(self._left(painter), self._right())]
        numbers = self._numbers()
        head.append(painter.spread(painter.meter(self.status, len(numbers)), numbers))
        messages = [Text(f" ! {message}", style="bold yellow") for message in self.view.messages]
        now = list(self._now(painter))
        room = height - len(head) - len(messages) - 2  # the sound's row and the axis
        now = now[: max(0, room - 3)]
        lanes = list(self._lanes(painter, max(1, room - len(now) - 1), len(now)))
        room -= len(lanes) + len(now)
        yield from head
        if room > 0:
            yield Text()
            room -= 1
        yield painter.sound(self)
        yield from lanes
        yield painter.axis(self)
        if room > 0:
            yield Text()
            room -= 1
        yield from now
        if room > 1:
            yield Text()
            yield from [painter.row(segment) for segment in self.view.recent[-(room - 1) :]]
        yield from messages

    def _left(self, painter: _Painter) -> Text:
        text = Text.assemble((" sed-live ", "reverse bold"), (f"  {self.title}", "bold"))
        if self.recording:
            text.append("  rec " if painter.ascii else "  ● ", "bold red").append(self.recording)
        return text

    def _right(self) -> Text:
        if self.ending:
            return Text.assemble((f"finishing {self.status.backlog:.0f} s (Ctrl-C: skip) ", "bold yellow"))
        return Text.assemble((f"{clock(self.status.captured)} ", "bold"))

    def _numbers(self) -> Text:
        status = self.status
        load = "  --" if math.isnan(status.load) else f"{status.load:4.0%}"
        text = Text(f"latency {self.latency:.1f} s")
        text.append(
            f"   delay {self.latency + status.backlog:4.1f} s", "bold yellow" if status.backlog > 1 else ""
        )
        text.append(f"   load {load}", "bold red" if status.load > 0.9 else "")
        if status.lost:
            text.append(f"   lost {status.lost:.1f} s", "bold red")
        return text.append(" ")

    def _lanes(self, painter: _Painter, room: int, extra: int) -> Iterator[Text]:
        bars = self.view.bars
        if not bars:
            yield Text(" no speech yet", style="dim")
            return
        latest = sorted(bars, key=lambda name: max((b.segment.end for b in bars[name]), default=-1.0))
        shown = set(latest[-room:]) if len(bars) <= room else set(latest[-max(1, room - 1) :])
        spaced = 2 * len(shown) + 6 <= room
        if spaced:
            yield Text()
        for name in bars:
            if name in shown:
                yield painter.lane(name, self)
                if spaced:
                    yield Text()
        if len(shown) < len(bars) and room > 1:
            yield Text(f" and {len(bars) - len(shown)} more", style="dim")

    def _now(self, painter: _Painter) -> Iterator[Text]:
        current = self.view.current
        if current is None:
            yield Text(" now       no speech", style="dim")
            present = dict.fromkeys(self.labels, 0.0)
        else:
            seconds = f"for {current.duration:.1f} s"
            yield (
                Text(" now       ")
                + Text(f"{current.speaker} {current.emotion} ", style="bold")
                + Text(seconds)
            )
            present = {**dict.fromkeys(self.labels, 0.0), **self.status.probabilities}
        for label, probability in present.items():
            yield painter.probability(label, probability, current is not None and current.emotion == label)


class _Painter:
    """Draws the parts of the screen for one width, with or without colours and non-ASCII characters."""

    def __init__(self, width: int, colours: bool, ascii_only: bool) -> None:
        self.width = width
        self.columns = max(8, width - _NAMES - 2)
        self.colours = colours
        self.ascii = ascii_only

    def spread(self, left: Text, right: Text) -> Text:
        """`left` and `right` at the two ends of a line; only the left one is truncated."""
        if len(left) + len(right) > self.width:
            left = left[: max(0, self.width - len(right) - 1)]
        return Text.assemble(left, " " * max(0, self.width - len(left) - len(right)), right)

    def meter(self, status: Status, taken: int) -> Text:
        """The level meter: filled up to the RMS, lighter up to the peak; `taken` columns are used otherwise."""
        cells = max(4, min(30, self.width // 4, self.width - taken - _NAMES - 12))
        full, mark = (self._share(x) * cells for x in (status.level, status.peak))
        text = Text(" level     ")
        for cell in range(cells):
            style = "green" if cell < 0.75 * cells else "yellow" if cell < 0.93 * cells else "red"
            if cell < full:
                text.append("#" if self.ascii else "█", style)
            elif cell < mark:
                text.append("-" if self.ascii else "▒", style)
            else:
                text.append("." if self.ascii else "░", "bright_black")
        clipped = status.peak > -0.05
        number = Text(" CLIPPED" if clipped else f" {status.level:4.0f} dB", "bold red" if clipped else "")
        return text + number if len(text) + len(number) <= self.width - taken else text

    def sound(self, screen: Screen) -> Text:
        """The envelope of the last seconds, with lost audio marked."""
        text = Text.assemble((f" {'sound':<{_NAMES}}", "dim"))
        wave = _WAVE_ASCII if self.ascii else _WAVE
        levels = screen.view.levels
        for start, end in self._cells(screen):
            if any(a < end and b > start for a, b in screen.view.lost):
                text.append("x" if self.ascii else "✕", "bold red")
                continue
            first, last = (math.floor(x * LEVELS_PER_SECOND + 1e-6) for x in (start, end))
            peak = max((levels.get(n, -90.0) for n in range(first, max(last, first + 1))), default=-90.0)
            text.append(wave[round(self._share(peak) * (len(wave) - 1))], "cyan")
        return text

    def lane(self, name: str, screen: Screen) -> Text:
        """One speaker's row."""
        cells: list[tuple[str, str]] = [(" ", "")] * self.columns
        span = list(self._cells(screen))
        left, step = span[0][0], span[0][1] - span[0][0]
        bars = screen.view.bars[name]
        for bar in sorted(bars, key=lambda b: b.final):
            segment = bar.segment
            first = math.floor((segment.start - left) / step + 1e-6)
            last = max(first + 1, math.ceil((segment.end - left) / step - 1e-6))
            decided = last if bar.final else math.floor((screen.view.settled - left) / step + 1e-6)
            for column in range(max(first, 0), min(last, self.columns)):
                cells[column] = self._cell(segment.emotion, column < decided)
            self._write_name(cells, segment.emotion or "?", first, min(last, decided, self.columns))
        text = Text.assemble((f" {name[: _NAMES - 1]:<{_NAMES}}", "bold"))
        for character, style in cells:
            text.append(character, style)
        return text

    def axis(self, screen: Screen) -> Text:
        """The time axis below the rows of the speakers."""
        span = list(self._cells(screen))
        left, step = span[0][0], span[0][1] - span[0][0]
        every = next((t for t in _TICKS if t / step >= 9), _TICKS[-1])
        row = [" "] * self.columns
        for mark in range(max(0, math.ceil(left / every)), math.floor(span[-1][1] / every) + 1):
            column, label = round((mark * every - left) / step), clock(mark * every)
            if column < 0 or column + len(label) + 1 > self.columns:
                continue
            row[column : column + len(label) + 1] = ("|" if self.ascii else "╵") + label
        return Text(" " * (_NAMES + 1) + "".join(row), style="dim")

    def probability(self, label: str, probability: float, chosen: bool) -> Text:
        """One label's bar."""
        cells = max(6, min(30, self.width // 4))
        filled = round(probability * cells)
        text = Text.assemble((f"   {label:<{_NAMES - 1}.{_NAMES - 1}}", "bold" if chosen else ""))
        text.append(("#" if self.ascii else "█") * filled, colour(label))
        text.append(("." if self.ascii else "░") * (cells - filled), "bright_black")
        return text.append(f" {probability:4.0%}", "bold" if chosen else "")

    def row(self, segment: Segment) -> Text:
        """A final segment as text."""
        text = Text(
            f" {segment.speaker or '?':<{_NAMES}}{clock(segment.start, 1):>9}  {clock(segment.end, 1):>9}  "
        )
        text.append(f" {segment.emotion or '?':<{_NAMES}}", self._solid(segment.emotion))
        return text.append("" if segment.confidence is None else f" {segment.confidence:4.0%}")

    def _cells(self, screen: Screen) -> Iterator[tuple[float, float]]:
        """Start and end of each column in seconds; column boundaries are fixed in time while the view scrolls."""
        step = screen.span / self.columns
        last = math.ceil(screen.status.captured / step)
        for column in range(last - self.columns, last):
            yield column * step, (column + 1) * step

    def _cell(self, emotion: str | None, decided: bool) -> tuple[str, str]:
        if not self.colours:
            letter = (emotion or "?")[0]
            return (letter.upper() if decided else letter.lower()), ""
        if decided:
            return " ", self._solid(emotion)
        return (":" if self.ascii else "▒"), colour(emotion)

    def _solid(self, emotion: str | None) -> str:
        return f"{ink(colour(emotion))} on {colour(emotion)}" if self.colours else ""

    def _write_name(self, cells: list[tuple[str, str]], emotion: str, first: int, last: int) -> None:
        start = max(first, 0) + 1
        if self.colours and last - start >= len(emotion):
            for place, character in enumerate(emotion, start):
                cells[place] = (character, cells[place][1])

    def _share(self, level: float) -> float:
        return min(1.0, max(0.0, 1 - level / _QUIETEST))


def clock(seconds: float, digits: int = 0) -> str:
    """Format `seconds` as ``m:ss`` or ``h:mm:ss``, with `digits` decimals.

    >>> clock(75.26), clock(75.26, 1), clock(3600)
    ('1:15', '1:15.2', '1:00:00')
    """
    scaled = math.floor(seconds * 10**digits + 1e-6)
    whole, fraction = divmod(scaled, 10**digits)
    minutes, rest = divmod(whole, 60)
    text = f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
    return f"{text}.{fraction:0{digits}d}" if digits else text
