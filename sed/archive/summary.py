"""Summary of a run: recordings, hours of audio, real-time factor, failures by reason; bounded in size."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from sed.archive.inputs import Input
from sed.archive.work import Report
from sed.markup import clock

KINDS = 1000  # reasons that are counted separately
SHOWN = 10  # reasons listed in the text


@dataclass
class Failures:
    """Recordings that failed for one reason: their number, and the first of them."""

    count: int
    example: str


@dataclass
class Summary:
    """Counts of a run over `recordings`, `before` of which were done by earlier runs."""

    recordings: int
    before: int = 0
    done: int = 0
    failed: int = 0
    duration: float = 0.0  # seconds of audio
    reasons: dict[str, Failures] = field(default_factory=dict)
    interrupted: bool = False
    started: float = field(default_factory=time.monotonic)

    def add(self, recording: Input, report: Report) -> None:
        """Count a report."""
        if report.error is None:
            self.done += 1
            self.duration += report.duration
            return
        self.failed += 1
        for reason in report.reasons or (report.error.removeprefix(f"{recording.path}: "),):
            if reason not in self.reasons and len(self.reasons) >= KINDS:
                reason = "other reasons"
            if (known := self.reasons.get(reason)) is None:
                self.reasons[reason] = Failures(1, recording.path)
            else:
                known.count += 1

    @property
    def left(self) -> int:
        """Recordings that were not processed."""
        return self.recordings - self.before - self.done - self.failed

    def text(self, elapsed: float | None = None) -> str:
        """A line with the counts and one for each reason of failure; `elapsed` is in seconds (None: until now).

        >>> summary = Summary(4, before=1)
        >>> summary.add(Input("a.wav", "a.wav"), Report(0, 1800.0))
        >>> summary.add(Input("b.wav", "b.wav"), Report(1, error="b.wav: found text, expected audio"))
        >>> print(summary.text(72.0))
        4 recordings: 1 done, 1 done before, 1 failed, 1 left; 0.50 h of audio in 1:12, real-time factor 0.040
          1 x found text, expected audio: b.wav
        """
        elapsed = time.monotonic() - self.started if elapsed is None else elapsed
        counts = [f"{self.done} done"]
        counts += [
            f"{count} {what}"
            for count, what in (
                (self.before, "done before"),
                (self.failed, "failed"),
                (self.left, "left"),
            )
            if count
        ]
        noun = "recording" if self.recordings == 1 else "recordings"
        line = f"{self.recordings} {noun}: {', '.join(counts)}"
        if self.duration:
            factor = elapsed / self.duration
            line += f"; {length(self.duration)} of audio in {clock(elapsed)}, real-time factor {factor:.3f}"
        lines = [line]
        ranked = sorted(self.reasons.items(), key=lambda item: -item[1].count)
        for reason, failures in ranked[:SHOWN]:
            more = f" and {failures.count - 1} more" if failures.count > 1 else ""
            lines.append(f"  {failures.count} x {reason}: {failures.example}{more}")
        if len(ranked) > SHOWN:
            lines.append(f"  and {len(ranked) - SHOWN} further reasons")
        return "\n".join(lines)


def length(seconds: float) -> str:
    """A duration in hours; in minutes below 0.1 h, in seconds below a minute.

    >>> length(5400), length(90), length(36)
    ('1.50 h', '1.5 min', '36.0 s')
    """
    if seconds >= 360:
        return f"{seconds / 3600:.2f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"
