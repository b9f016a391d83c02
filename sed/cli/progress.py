"""What `sed-run` shows while it works: a progress bar on a terminal, elsewhere nothing but the messages.

Both are a `sed.archive.run.Listener`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sed.archive.work import Report

MEMORY = 600.0  # seconds over which the time left is estimated: recordings differ in length


class Messages:
    """Messages on standard error, nothing else."""

    def __enter__(self) -> Messages:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, recordings: int) -> None:
        """Nothing."""

    def heard(self, number: int, done: float, duration: float | None) -> None:
        """Nothing."""

    def finished(self, report: Report) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Print a line."""
        click.echo(f"sed-run: {text}", err=True)


class ProgressBar:
    """One bar over all recordings, those under way by the share of their audio; messages appear above it."""

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
            speed_estimate_period=MEMORY,
        )
        self._task: Any = None
        self._recordings = self._finished = 0
        self._audio = 0.0  # seconds, of those that are finished
        self._under_way: dict[int, tuple[float, float]] = {}  # seconds heard, share

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, recordings: int) -> None:
        """Show an empty bar."""
        self._recordings = recordings
        self._task = self._bar.add_task("listening", total=recordings, speed="")
        self._show()

    def heard(self, number: int, done: float, duration: float | None) -> None:
        """Move the bar by the share of recording `number`."""
        self._under_way[number] = (done, min(done / duration, 1.0) if duration else 0.0)
        self._show()

    def finished(self, report: Report) -> None:
        """A recording is through."""
        self._under_way.pop(report.number, None)
        self._finished += 1
        self._audio += report.duration
        self._show()

    def _show(self) -> None:
        elapsed = self._bar.tasks[0].elapsed or 0.0
        audio = self._audio + sum(done for done, _ in self._under_way.values())
        self._bar.update(
            self._task,
            completed=self._finished + sum(share for _, share in self._under_way.values()),
            description=f"{self._finished}/{self._recordings}" if self._recordings > 1 else "listening",
            speed=f"{audio / elapsed:.0f} x real time" if elapsed > 1 and audio else "",
        )

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(f"sed-run: {text}", highlight=False, markup=False, soft_wrap=True)
