"""`Display`: shows the timeline on a terminal during a run, and restores the terminal at its end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sed.live.session import LiveSession
from sed.live.timeline import Timeline


class Display:
    """A context manager; `tick` redraws the screen at the terminal's current size.

    Warnings of the logger ``sed`` are shown on the screen. If the terminal disappears, the display stops silently and
    the run continues.
    """

    period = 0.125  # seconds between redraws

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
        self._handler = _MessageHandler(timeline)
        self._muted: list[tuple[logging.Handler, int]] = []
        self._gone = False

    def __enter__(self) -> Display:
        # Log handlers that print to the terminal would corrupt the screen.
        for handler in logging.getLogger().handlers:
            self._muted.append((handler, handler.level))
            handler.setLevel(logging.CRITICAL)
        logging.getLogger("sed").addHandler(self._handler)
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("sed").removeHandler(self._handler)
        for handler, level in self._muted:
            handler.setLevel(level)
        try:
            self._live.stop()
        except OSError:
            self._gone = True

    def tick(self, session: LiveSession) -> None:
        """Redraw the screen."""
        from sed.live.screen import Screen

        if self._gone:
            return
        screen = Screen(self._timeline.view(), session.status, ending=session.stopping, **self._fixed)
        try:
            self._live.update(screen, refresh=True)
        except OSError:
            self._gone = True


class _MessageHandler(logging.Handler):
    def __init__(self, timeline: Timeline) -> None:
        super().__init__(logging.WARNING)
        self._timeline = timeline

    def emit(self, record: logging.LogRecord) -> None:
        self._timeline.add_message(record.getMessage())
