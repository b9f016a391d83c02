"""A small table of labelled clips: CSV in, utterances with their speech out.

Columns: ``path`` (or audformat's ``file``), relative to the table's folder, and ``emotion``; where a clip is a
part of a recording also ``start`` and ``end`` in seconds (or audformat's times, ``0 days 00:00:01.5``);
``speaker``, ``split`` and the columns of `sed.training.ratings` may follow.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from sed.errors import FormatError
from sed.grid import SAMPLE_RATE, seconds_to_samples
from sed.training.corpora import Utterance, read_wave
from sed.training.patterns import equalise_loudness, trim_silence
from sed.training.ratings import read_ratings


def read_clips(table: str | Path) -> list[tuple[Utterance, np.ndarray]]:
    """The clips of `table` in its order, as `sed.training.corpora.load_speech` gives them.

    Raises `FormatError` where the table is missing, empty, lacks a column or a value, or a clip lies outside
    its recording or holds no speech; `AudioError` where audio cannot be read.
    """
    table = Path(table)
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"cannot read the table of clips {table}: {error}") from error
    if not rows:
        raise FormatError(
            f"{table}: found no rows, expected a line for each clip below the names of the columns"
        )
    speech = []
    for number, row in enumerate(rows, 2):
        where = f"{table}, line {number}"
        name, emotion = row.get("path") or row.get("file"), row.get("emotion")
        if not name or not emotion:
            raise FormatError(f"{where}: found no {'emotion' if name else 'path'}, expected path and emotion")
        path = table.parent / name
        wave = read_wave(path)
        start, end = (
            _seconds(row.get("start"), where, 0.0),
            _seconds(row.get("end"), where, len(wave) / SAMPLE_RATE),
        )
        first, last = seconds_to_samples(start), seconds_to_samples(end)
        if not 0 <= first < last or first >= len(wave):
            raise FormatError(
                f"{where}: found a clip from {start} to {end} s, expected a part of {len(wave) / SAMPLE_RATE:.2f} s"
            )
        clip = equalise_loudness(trim_silence(wave[first:last]))
        if not len(clip):
            raise FormatError(f"{where}: found only silence in {path}, expected speech")
        utterance = Utterance(
            row.get("corpus") or "adaptation",
            path,
            row.get("speaker") or "new",
            emotion,
            row.get("split") or "",
            read_ratings(row, where),
        )
        speech.append((utterance, np.round(clip * 32767).astype(np.int16)))
    return speech


def _seconds(text: str | None, where: str, default: float) -> float:
    """Seconds in a cell: a number, or ``[N days ]HH:MM:SS[.fraction]``; `default` where it is empty."""
    if not text or text == "NaT":
        return default
    days, _, clock = text.rpartition(" days ")
    try:
        if ":" not in clock:
            return float(text)
        hours, minutes, seconds = clock.split(":")
        return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError as error:
        raise FormatError(f"{where}: found time {text!r}, expected seconds") from error
