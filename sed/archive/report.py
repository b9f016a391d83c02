"""What an archive of results contains, in sums: `sed-report`. A folder of Parquet or JSON results in, a `Report` out.

DuckDB reads the files and adds up; it is imported on first use (extra ``report``). Seconds are those of segments, so
time in which two speakers overlap counts for both.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sed.archive.resultfiles import Database, ResultFile
from sed.errors import FormatError
from sed.files import to_bytes
from sed.formats.html import audio_link, page
from sed.formats.spelling import TEXT
from sed.palette import COLOURS, colour, ink

NEUTRAL = "neutral"
UNDATED = "undated"
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)(?=\d{4}(?!\d)|\d{6}(?!\d)|(?!\d))")


@dataclass(frozen=True)
class Group:
    """Sums over what has the same `key`: number of recordings, and seconds of speech by emotion (None: not named)."""

    key: tuple[str | None, ...]
    recordings: int
    seconds: dict[str | None, float]

    @property
    def speech(self) -> float:
        """Seconds of speech."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Moment:
    """A segment of an emotion other than neutral; `page` is the HTML file of its recording, None if there is none."""

    day: str
    recording: str
    start: float
    end: float
    speaker: str | None
    emotion: str
    probability: float
    page: Path | None


@dataclass
class Report:
    """The sums of an archive; `duration` is in seconds, keys of `table` are day, folder and speaker."""

    recordings: int
    duration: float
    emotions: tuple[str | None, ...]
    table: list[Group]
    days: list[Group]
    folders: list[Group]
    speakers: list[Group]
    moments: list[Moment]
    failures: list[str] = field(default_factory=list)


def day_of(path: str) -> str:
    """The date in a recording's name, or else in that of the nearest folder that has one; "undated" without any.

    >>> day_of("billing/20241202T0915-ann"), day_of("2024-12-02/ann"), day_of("2024-13-02/0017")
    ('2024-12-02', '2024-12-02', 'undated')
    """
    for part in reversed(path.split("/")):
        for year, _, month, day in _DATE.findall(part):
            try:
                return datetime.date(int(year), int(month), int(day)).isoformat()
            except ValueError:  # digits that are no date
                continue
    return UNDATED


def summarise(files: Iterable[ResultFile], moments: int = 20) -> Report:
    """The sums of the recordings in `files` (see `find_results`), with at most `moments` moments.

    A file that cannot be read costs only itself and is in `failures`. Raises `FormatError` if none can be read, and
    `MissingDependencyError` without DuckDB.
    """
    with Database() as database:
        failures = database.load(files := list(files))
        places = {str(file.path): file for file in files}
        rows = database.query("select file, recording, max(duration) from loaded group by all order by all")
        if not rows:
            raise FormatError(failures[0] if failures else "found no recording, expected results")
        names = [(places[path].folder, recording) for path, recording, _ in rows]
        joined = ["/".join((*([folder] if folder != "." else []), name)) for folder, name in names]
        database.add_recordings(
            [path for path, _, _ in rows],
            [recording for _, recording, _ in rows],
            [day_of(name) for name in joined],
            [folder for folder, _ in names],
            joined,
        )
        return Report(
            len(rows),
            sum(duration or 0.0 for _, _, duration in rows),
            _emotions(database),
            _groups(database, ("day", "folder", "speaker")),
            _groups(database, ("day",)),
            _groups(database, ("folder",)),
            _groups(database, ("speaker",), "where start is not null"),
            _moments(database, places, moments),
            failures,
        )


def _emotions(database: Database) -> tuple[str | None, ...]:
    """The labels of all files and the emotions of all segments: those with a colour, the others, and last None."""
    query = (
        "select unnest(labels) from loaded union select distinct emotion from spoken where start is not null"
    )
    found = {name for (name,) in database.query(query)}
    order = [*COLOURS, *sorted(name for name in found if name is not None and name not in COLOURS), None]
    return tuple(name for name in order if name in found)


def _groups(database: Database, keys: tuple[str, ...], where: str = "") -> list[Group]:
    columns = ", ".join(keys)
    order = ", ".join(f"{key} nulls last" for key in keys)
    counts = database.query(
        f"select {columns}, count(distinct number) from spoken {where} group by {columns} order by {order}"
    )
    groups = {tuple(row[:-1]): Group(tuple(row[:-1]), row[-1], {}) for row in counts}
    for *key, emotion, seconds in database.query(
        f'select {columns}, emotion, sum("end" - start) from spoken where start is not null '
        f"group by {columns}, emotion order by {order}, emotion"
    ):
        groups[tuple(key)].seconds[emotion] = seconds
    return list(groups.values())


def _moments(database: Database, places: dict[str, ResultFile], count: int) -> list[Moment]:
    """The most probable; of those with the same percentage the longest."""
    rows = database.query(
        'select file, recording, day, name, start, "end", speaker, emotion, confidence from spoken '
        f"where emotion <> '{NEUTRAL}' and confidence is not null and isfinite(confidence) "
        'order by round(confidence, 2) desc, "end" - start desc, name, start limit ?',
        [count],
    )
    found = []
    for file, recording, day, name, start, end, speaker, emotion, probability in rows:
        place = places[file]
        own = place.path.with_name(place.stem + ".html")
        linked = own if TEXT.write(place.stem) == recording and own.is_file() else None
        found.append(Moment(day, name, start, end, speaker, emotion, probability, linked))
    return found


def to_csv(report: Report) -> bytes:
    """The table with one row per day, folder and speaker: recordings, minutes, and minutes and share per emotion."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ["unnamed" if name is None else name for name in report.emotions]
    head = [f"{name}_{what}" for name in names for what in ("minutes", "share")]
    writer.writerow(["day", "folder", "speaker", "recordings", "speech_minutes", *head])
    for group in report.table:
        row: list[Any] = [*("" if part is None else part for part in group.key), group.recordings]
        row.append(f"{group.speech / 60:.4f}")
        for name in report.emotions:
            seconds = group.seconds.get(name, 0.0)
            row += [f"{seconds / 60:.4f}", f"{seconds / group.speech:.4f}" if group.speech else ""]
        writer.writerow(row)
    return to_bytes(text.getvalue())


def to_html(report: Report, title: str, path: Path) -> bytes:
    """One self-contained page, whose links are relative to `path`, where it is to be stored."""
    paints = [colour(name) for name in report.emotions]
    title = TEXT.write(title)
    data = {
        "title": title,
        "recordings": report.recordings,
        "duration": report.duration,
        "labels": report.emotions,
        "colours": paints,
        "inks": [ink(paint) for paint in paints],
        "neutral": NEUTRAL,
        "days": _rows(report, report.days),
        "folders": _rows(report, report.folders),
        "speakers": _rows(report, report.speakers),
        "failures": len(report.failures),
        "moments": [
            {
                "day": m.day,
                "recording": m.recording,
                "start": round(m.start, 3),
                "end": round(m.end, 3),
                "speaker": m.speaker,
                "label": report.emotions.index(m.emotion),
                "probability": round(m.probability, 3),
                "link": None if m.page is None else f"{audio_link(m.page, path)}#t={m.start:.3f}",
            }
            for m in report.moments
        ],
    }
    return to_bytes(page(f"{title} - speech emotion report", ("report.js",), data))


def _rows(report: Report, groups: list[Group]) -> list[list[Any]]:
    return [
        [g.key[0], g.recordings, [round(g.seconds.get(name, 0.0), 3) for name in report.emotions]]
        for g in groups
    ]
