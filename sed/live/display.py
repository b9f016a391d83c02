"""`Display`: the timeline on a terminal while a run goes on; the terminal is as before when it ends."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sed.live.session import LiveSession
from sed.live.timeline import Timeline


class Display:
    """A context manager; `tick` draws the present picture, at the terminal's present size.

    Warnings of the logger ``sed`` appear in the picture meanwhile. When the terminal goes away, the display
    gives up quietly: the run goes on.
    """

    period = 0.125  # seconds from picture to picture

    def __init__(
        self,
        timeline: Timeline,
        labels: Sequence[str],
        title: str,
        latency: float,
        span: float,
        recording: str | None = None,
        console: Any = None,
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        self._timeline = timeline
        self._fixed: dict[str, Any] = {
            "labels": tuple(labels),
            "title": title,
            "latency": latency,
            "span": span,
            "recording": recording,
        }
        self._live = Live(
            console=console or Console(),
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._handler = _Messages(timeline)
        self._silenced: list[tuple[logging.Handler, int]] = []
        self._gone = False

    def __enter__(self) -> Display:
        # What is already set up to print to the terminal would spoil the picture.
        for handler in logging.getLogger().handlers:
            self._silenced.append((handler, handler.level))
            handler.setLevel(logging.CRITICAL)
        logging.getLogger("sed").addHandler(self._handler)
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("sed").removeHandler(self._handler)
        for handler, level in self._silenced:
            handler.setLevel(level)
        try:
            self._live.stop()
        except OSError:
            self._gone = True

    def tick(self, session: LiveSession) -> None:
        """Draw."""
        from sed.live.screen import Screen

        if self._gone:
            return
        picture = Screen(self._timeline.view(), session.status, ending=session.stopping, **self._fixed)
        try:
            self._live.update(picture, refresh=True)
        except OSError:
            self._gone = True


class _Messages(logging.Handler):
    def __init__(self, timeline: Timeline) -> None:
        super().__init__(logging.WARNING)
        self._timeline = timeline

    def emit(self, record: logging.LogRecord) -> None:
        self._timeline.say(record.getMessage())
