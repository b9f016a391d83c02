"""Manifests of ordinary conversation for ``hparams/emotion.yaml``: the speech of meetings and telephone calls.

    python -m benchmarks.tuning.ordinary_turns ../shared -o results/turns

In: recordings with reference speakers (RTTM). Out: ``meetings.csv`` and ``calls.csv`` with all their speech in pieces
of 1 to 9 seconds, overlaps and changes of speaker included, as windows of a conversation contain them. Splits are those
of `benchmarks.accuracy.ordinary`: the meetings' part train and the calls `hvb_00*` and `hvb_02*` are for training
(`train`), `development` is `valid`, all else `test`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sed.formats import read_all
from sed.result import Segment

COLUMNS = ("corpus", "path", "speaker", "language", "emotion", "duration", "split", "start", "stop")
SPLITS = {"train": "train", "development": "valid", "test": "test"}
TUNED_CALLS = ("hvb_00", "hvb_02")
GAP = 0.4  # seconds of pause that one piece may contain
SHORTEST, PIECE, LONGEST = 1.0, 6.0, 9.0  # seconds; longer speech is cut


def pieces(turns: Sequence[Segment]) -> Iterator[tuple[float, float]]:
    """Start and end of each piece of speech, of one person or of several at once or in turn."""
    parts: list[list[float]] = []
    for turn in sorted(turns, key=lambda turn: turn.start):
        if parts and turn.start - parts[-1][1] < GAP:
            parts[-1][1] = max(parts[-1][1], turn.end)
        else:
            parts.append([turn.start, turn.end])
    for start, end in parts:
        while end - start >= SHORTEST:
            stop = min(end, start + PIECE)
            stop = end if end - stop < SHORTEST and end - start < LONGEST else stop
            yield start, stop
            start = stop


def rows(corpus: str, annotation: Path, audio: Path | None, split: str) -> Iterator[list[str]]:
    """The rows of all recordings in `annotation`; their audio is `audio`, or ``<uri>.wav`` beside it."""
    for recording in read_all(annotation):
        path = (audio or annotation.with_name(f"{recording.uri}.wav")).resolve()
        for start, stop in pieces(list(recording)):
            times = [f"{stop - start:.3f}", split, f"{start:.3f}", f"{stop:.3f}"]
            yield [corpus, str(path), recording.uri, "en", "neutral", *times]


def write(path: Path, found: Iterable[list[str]]) -> None:
    """A manifest in CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *found])


def main() -> None:
    """Write both manifests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("results/turns"))
    arguments = parser.parse_args()
    conversations = arguments.shared / "conversations"
    write(
        arguments.output / "meetings.csv",
        (
            row
            for part, split in SPLITS.items()
            for row in rows("ami", conversations / f"debug.{part}.rttm", None, split)
        ),
    )
    write(
        arguments.output / "calls.csv",
        (
            row
            for path in sorted((conversations / "calls").glob("*.rttm"))
            for row in rows(
                "calls" if path.name.startswith("hvb") else "repairs",
                path,
                path.with_suffix(".opus"),
                "train" if path.name.startswith(TUNED_CALLS) else "test",
            )
        ),
    )


if __name__ == "__main__":
    main()
