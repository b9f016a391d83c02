"""Outputs of a live run: lines during the run, whole files at its end.

`Lines` are listeners of a `LiveSession` that write a line as soon as a segment is final, or for every event. `Files`
writes all requested formats at the end, each one atomically.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from sed.errors import OptionError, SedError
from sed.result import Diarization, Segment
from sed.streaming.events import Event, Relabel
from sed.streaming.messages import event_message, relabel_message


class Lines:
    """Base class that writes nothing. Each line is flushed, so that readers see it immediately.

    `target` is a stream, or a path that is opened (and truncated) when the first line is written.
    """

    def __init__(self, target: TextIO | Path) -> None:
        self._target = target

    def event(self, event: Event) -> None:
        """Handle an event of the stream."""

    def final(self, segment: Segment) -> None:
        """Handle a final segment."""

    def relabel(self, relabel: Relabel) -> None:
        """Handle a speaker who has turned out to be another one."""

    def lost(self, start: float, end: float) -> None:
        """Handle a gap: the audio from `start` to `end` seconds was not processed."""

    def close(self) -> None:
        """Close the file, if this object opened one."""

    def stream(self) -> TextIO:
        """The stream to write to."""
        if isinstance(self._target, Path):
            self._target = self._target.open("w", encoding="utf-8", newline="\n")
            self.close = self._target.close  # type: ignore[method-assign]
        return self._target

    def _line(self, text: str) -> None:
        stream = self.stream()
        stream.write(text + "\n")
        stream.flush()


class PlainLines(Lines):
    """One line per final segment: start, end (seconds), speaker, emotion, confidence; and one per relabel."""

    def final(self, segment: Segment) -> None:
        """Write `segment`."""
        confidence = "" if segment.confidence is None else f"{segment.confidence:.2f}"
        speaker, emotion = segment.speaker or "?", segment.emotion or "?"
        self._line(
            f"{segment.start:9.2f} {segment.end:9.2f}  {speaker:<8} {emotion:<9} {confidence}".rstrip()
        )

    def relabel(self, relabel: Relabel) -> None:
        """Write a line: the time at which it is known, and both names."""
        self._line(f"{relabel.time:9.2f} {'':9}  {relabel.old:<8} is {relabel.new}")

    def lost(self, start: float, end: float) -> None:
        """Write a line for the gap."""
        self._line(f"{start:9.2f} {end:9.2f}  not processed")


class RttmLines(Lines):
    """One RTTM line per final segment; `uri` is the name of the recording."""

    def __init__(self, target: TextIO | Path, uri: str) -> None:
        super().__init__(target)
        self._uri = uri

    def final(self, segment: Segment) -> None:
        """Write `segment`."""
        from sed import formats

        stream = self.stream()
        formats.write(Diarization(self._uri, segment.end, [segment]), stream, "rttm")
        stream.flush()


class EventLines(Lines):
    """One JSON object per line: events as in the server's protocol (``type`` ``segment`` and ``relabel``), and gaps
    (``lost``)."""

    def event(self, event: Event) -> None:
        """Write `event`."""
        self._line(json.dumps(event_message(event), ensure_ascii=False))

    def relabel(self, relabel: Relabel) -> None:
        """Write `relabel`."""
        self._line(json.dumps(relabel_message(relabel), ensure_ascii=False))

    def lost(self, start: float, end: float) -> None:
        """Write a line for the gap."""
        self._line(json.dumps({"type": "lost", "start": start, "end": end}))


class Files:
    """The outputs of a run: `paths` with their formats, and at most one format (or events) on `stdout`.

    RTTM files are written during the run; at the end, every path is replaced by the complete, sorted file.
    """

    def __init__(
        self, paths: Sequence[tuple[Path, str]], kind: str | None, events: bool, stdout: TextIO
    ) -> None:
        self.paths, self.kind, self.events, self.stdout = tuple(paths), kind, events, stdout
        self.written: list[Path] = []
        self._lines: list[Lines] = []

    @property
    def to_stdout(self) -> bool:
        """Whether standard output is used."""
        return self.events or self.kind is not None

    def check(self, uri: str) -> None:
        """Check before the run that everything can be written. Raises `OptionError`."""
        from sed import formats

        trial = Diarization(
            uri, 1.0, [Segment(0.0, 1.0, "spk00", "neutral", 0.5, {"neutral": 0.5})], ("neutral",)
        )
        for kind in {kind for _, kind in self.paths} | ({self.kind} if self.kind else set()):
            try:
                formats.dumps(trial, kind)
            except SedError as error:
                raise OptionError(str(error)) from error
        for path, _ in self.paths:
            if not path.parent.is_dir():
                raise OptionError(f"output {path}: expected the folder {path.parent} to exist")
            if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
                raise OptionError(f"output {path}: expected a writable file")

    def listeners(self, uri: str, plain: bool) -> list[Lines]:
        """Listeners that write lines during the run; `plain`: plain text on standard output if it is not used."""
        self._lines = [RttmLines(path, uri) for path, kind in self.paths if kind == "rttm"]
        if self.events:
            self._lines.append(EventLines(self.stdout))
        elif self.kind == "rttm":
            self._lines.append(RttmLines(self.stdout, uri))
        elif plain and self.kind is None:
            self._lines.append(PlainLines(self.stdout))
        return self._lines

    def write(self, result: Diarization) -> list[str]:
        """Write all files; returns a message for each that failed, after writing the others."""
        from sed import formats

        failures = []
        for lines in self._lines:
            lines.close()
        for path, kind in self.paths:
            try:
                formats.write(result, path, kind)
                self.written.append(path)
            except (SedError, OSError) as error:
                failures.append(f"output {path} failed: {error}")
        if self.kind not in (None, "rttm"):
            formats.write(result, self.stdout, self.kind)
            self.stdout.flush()
        return failures
