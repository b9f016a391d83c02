"""Where a live run's segments go: lines while it runs, whole files at its end.

`Lines` are listeners of a `LiveSession` that write text as soon as a segment is final (or, for events, at any
news). `Files` writes every wanted format at the end, each at once or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from sed.errors import OptionError, SedError
from sed.result import Diarization, Segment
from sed.streaming.events import Event


class Lines:
    """Base: writes nothing. Each line is flushed, so that what reads along sees it at once.

    `target` is a stream, or a path that is opened (and emptied) by the first line.
    """

    def __init__(self, target: TextIO | Path) -> None:
        self._target = target

    def event(self, event: Event) -> None:
        """News of the stream."""

    def final(self, segment: Segment) -> None:
        """A final segment."""

    def lost(self, start: float, end: float) -> None:
        """From `start` to `end` seconds nothing was analysed."""

    def close(self) -> None:
        """Close what was opened here."""

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
    """A final segment a line: start, end (seconds), speaker, emotion, confidence."""

    def final(self, segment: Segment) -> None:
        """Write it."""
        confidence = "" if segment.confidence is None else f"{segment.confidence:.2f}"
        who, what = segment.speaker or "?", segment.emotion or "?"
        self._line(f"{segment.start:9.2f} {segment.end:9.2f}  {who:<8} {what:<9} {confidence}".rstrip())

    def lost(self, start: float, end: float) -> None:
        """Say so."""
        self._line(f"{start:9.2f} {end:9.2f}  not analysed")


class RttmLines(Lines):
    """A final segment a line, in RTTM; `uri` names the recording."""

    def __init__(self, target: TextIO | Path, uri: str) -> None:
        super().__init__(target)
        self._uri = uri

    def final(self, segment: Segment) -> None:
        """Write it."""
        from sed import formats

        stream = self.stream()
        formats.write(Diarization(self._uri, segment.end, [segment]), stream, "rttm")
        stream.flush()


class EventLines(Lines):
    """A JSON object a line, as in the server's protocol: ``type`` is ``segment`` or ``lost``."""

    def event(self, event: Event) -> None:
        """Write it."""
        row = {
            "type": "segment",
            "id": event.id,
            "final": event.final,
            "time": event.time,
            "settled": event.settled,
            "segment": None if event.segment is None else event.segment.to_dict(),
        }
        self._line(json.dumps(row, ensure_ascii=False))

    def lost(self, start: float, end: float) -> None:
        """Say so."""
        self._line(json.dumps({"type": "lost", "start": start, "end": end}))


class Files:
    """What is wanted of a run: `paths` with their formats, and at most one format (or events) on `stdout`.

    RTTM grows while the run goes on; at the end every path is replaced by the complete, ordered file.
    """

    def __init__(
        self, paths: Sequence[tuple[Path, str]], kind: str | None, events: bool, stdout: TextIO
    ) -> None:
        self.paths, self.kind, self.events, self.stdout = tuple(paths), kind, events, stdout
        self.written: list[Path] = []
        self._lines: list[Lines] = []

    @property
    def to_stdout(self) -> bool:
        """Whether standard output is taken."""
        return self.events or self.kind is not None

    def check(self, uri: str) -> None:
        """Find out before the run, not after it, that something cannot be written; raises `OptionError`."""
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
                raise OptionError(f"output {path}: expected a file that may be written")

    def listeners(self, uri: str, plain: bool) -> list[Lines]:
        """Those that write lines during the run; `plain`: text on standard output if it is not taken."""
        self._lines = [RttmLines(path, uri) for path, kind in self.paths if kind == "rttm"]
        if self.events:
            self._lines.append(EventLines(self.stdout))
        elif self.kind == "rttm":
            self._lines.append(RttmLines(self.stdout, uri))
        elif plain and self.kind is None:
            self._lines.append(PlainLines(self.stdout))
        return self._lines

    def write(self, result: Diarization) -> list[str]:
        """Write everything; returns a sentence for each that failed, and goes on with the others."""
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
