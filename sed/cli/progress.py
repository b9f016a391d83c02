"""The progress display of `sed-run`: a progress bar on a terminal, error messages only elsewhere.

Both classes implement `sed.archive.run.Listener`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sed.archive.work import Report

SPEED_PERIOD = 600.0  # seconds over which the speed is averaged, since recordings differ in length


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

    def finished(self, report: Report) -> None:
        """Ignored."""

    def message(self, text: str) -> None:
        """Print a line."""
        click.echo(f"sed-run: {text}", err=True)


class ProgressBar:
    """One bar for all recordings, including the processed share of those in progress; messages appear above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[speed]}"),
            console=Console(stderr=True),
            transient=True,
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

    def finished(self, report: Report) -> None:
        """Count a finished recording."""
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

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(f"sed-run: {text}", highlight=False, markup=False, soft_wrap=True)
