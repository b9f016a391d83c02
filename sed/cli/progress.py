"""The progress display of `sed-run`: a progress bar on a terminal, error messages only elsewhere.

Of a single recording the segments found so far are shown above the bar, until the result takes their place.

Both classes implement `sed.archive.run.Listener`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.text import Text

    from sed.archive.work import Report
    from sed.result import Segment
    from sed.streaming import Event

SPEED_PERIOD = 600.0  # seconds over which the speed is averaged, since recordings differ in length
SHOWN = 8  # provisional segments on the screen
REFRESH = 5  # times a second that the display is drawn


class Messages:
    """Prints error messages to standard error, and no progress."""

    def __enter__(self) -> Messages:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, recordings: int) -> None:
        """Ignored."""

    def progress(self, number: int, done: float, duration: float | None) -> None:
        """Ignored."""

    def provisional(self, number: int) -> None:
        """Not shown."""

    def finished(self, report: Report) -> None:
        """Ignored."""

    def paused(self) -> contextlib.AbstractContextManager[None]:
        """Nothing to remove."""
        return contextlib.nullcontext()

    def message(self, text: str) -> None:
        """Print a line."""
        click.echo(f"sed-run: {text}", err=True)


class ProgressBar:
    """One bar for all recordings, including the processed share of those in progress; messages appear above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        segments = self._segments = ProvisionalSegments()

        class Display(Progress):
            """The bar below the segments."""

            def get_renderables(self) -> Iterator[Any]:
                yield from segments.lines()
                yield from super().get_renderables()

        self._bar = Display(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[speed]}"),
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=REFRESH,
            redirect_stdout=False,  # rich would print results for standard output on the terminal
            speed_estimate_period=SPEED_PERIOD,
        )
        self._task: Any = None
        self._recordings = self._finished = 0
        self._audio = 0.0  # seconds, of finished recordings
        self._in_progress: dict[int, tuple[float, float]] = {}  # seconds processed, share

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def start(self, recordings: int) -> None:
        """Show an empty bar."""
        self._recordings = recordings
        self._task = self._bar.add_task("processing", total=recordings, speed="")
        self._show()

    def progress(self, number: int, done: float, duration: float | None) -> None:
        """Update the share of recording `number`."""
        self._in_progress[number] = (done, min(done / duration, 1.0) if duration else 0.0)
        self._show()

    def provisional(self, number: int) -> Callable[[Sequence[Event]], None] | None:
        """Of a single recording, a function that shows its segments."""
        return self._segments.update if self._recordings == 1 else None

    def finished(self, report: Report) -> None:
        """Count a finished recording."""
        self._segments.clear()
        self._in_progress.pop(report.number, None)
        self._finished += 1
        self._audio += report.duration
        self._show()

    def _show(self) -> None:
        elapsed = self._bar.tasks[0].elapsed or 0.0
        audio = self._audio + sum(done for done, _ in self._in_progress.values())
        self._bar.update(
            self._task,
            completed=self._finished + sum(share for _, share in self._in_progress.values()),
            description=f"{self._finished}/{self._recordings}" if self._recordings > 1 else "processing",
            speed=f"{audio / elapsed:.0f} x real time" if elapsed > 1 and audio else "",
        )

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Remove the display while results are written to standard output, which may be the same terminal."""
        self._segments.clear()
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(f"sed-run: {text}", highlight=False, markup=False, soft_wrap=True)


class ProvisionalSegments:
    """The latest segments of the recording that is being analysed, as lines of text for `rich`.

    >>> from sed.result import Segment
    >>> from sed.streaming import Event
    >>> shown = ProvisionalSegments()
    >>> shown.update([Event(0, Segment(0.5, 2.0, "spk00", "angry", 0.83), False, 4.0, 0.0)])
    >>> [line.plain for line in shown.lines()]
    ['found so far, may still change:', '     0:00.5     0:02.0  spk00     angry      83%']
    """

    def __init__(self) -> None:
        self._by_id: dict[int, Segment] = {}
        self._latest: list[Segment] = []

    def update(self, events: Sequence[Event]) -> None:
        """Apply `events`."""
        for event in events:
            if event.segment is None:
                self._by_id.pop(event.id, None)
            else:
                self._by_id[event.id] = event.segment
        self._latest = sorted(self._by_id.values())[-SHOWN:]

    def clear(self) -> None:
        """Forget all segments."""
        self._by_id.clear()
        self._latest = []

    def lines(self) -> Iterator[Text]:
        """A title and a line for each of the latest segments; nothing without any."""
        from rich.text import Text

        latest = self._latest
        if latest:
            yield Text("found so far, may still change:", "dim")
        for segment in latest:
            yield _line(segment)


def _line(segment: Segment) -> Text:
    from rich.text import Text

    from sed.formats.spelling import printable
    from sed.live.screen import clock
    from sed.palette import colour

    times = f"{clock(segment.start, 1):>11}{clock(segment.end, 1):>11}"
    text = Text(f"{times}  {printable(segment.speaker or '?'):<8}  ", "dim")
    text.append(f"{printable(segment.emotion or '?'):<9}", colour(segment.emotion))
    return text.append("" if segment.confidence is None else f"{segment.confidence:5.0%}", "dim")
