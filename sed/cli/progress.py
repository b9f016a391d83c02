"""The progress bar of `sed-run`, on a terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class ProgressBar:
    """One bar over all recordings, by share of the current recording's audio; messages appear above it."""

    def __init__(self, recordings: int) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[speed]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._recordings = recordings
        self._task = self._bar.add_task("", total=recordings, speed="")

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def at(self, number: int) -> Callable[[float, float | None], None]:
        """The progress callback of recording `number` (from 0)."""
        task = self._bar.tasks[0]
        what = f"{number + 1}/{self._recordings}" if self._recordings > 1 else "listening"
        self._bar.update(self._task, completed=number, description=what)
        before = task.finished_time or task.elapsed or 0.0

        def update(done: float, duration: float | None) -> None:
            spent = (task.elapsed or 0.0) - before
            share = min(done / duration, 1.0) if duration else 0.0
            speed = f"{done / spent:.0f} x real time" if spent > 0.2 else ""
            self._bar.update(self._task, completed=number + share, speed=speed)

        return update

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)
