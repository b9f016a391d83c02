"""A small table of labelled clips: CSV in, utterances with their speech out.

Columns: ``path`` (or audformat's ``file``), relative to the table's folder, and ``emotion``; where a clip is a
part of a recording also ``start`` and ``end`` in seconds (or audformat's times, ``0 days 00:00:01.5``);
``speaker``, ``split`` and the columns of `sed.corpora.ratings` may follow.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sed.corpora.audio import Utterance, read_wave
from sed.corpora.levels import equalise_loudness, trim_silence
from sed.corpora.ratings import read_ratings
from sed.errors import FormatError
from sed.formats.csv import read_rows, seconds
from sed.grid import SAMPLE_RATE, seconds_to_samples

_ROUNDING = SAMPLE_RATE // 20  # samples that the end of a clip may lie behind that of its recording


def read_clips(table: str | Path) -> list[tuple[Utterance, np.ndarray]]:
    """The clips of `table` in its order, as `sed.corpora.audio.load_speech` gives them.

    Raises `FormatError` where the table is missing, empty, lacks a column or a value, or a clip lies outside
    its recording or holds no speech; `AudioError` where audio cannot be read.
    """
    table = Path(table)
    rows = read_rows(table)
    if not rows:
        raise FormatError(
            f"{table}: found no rows, expected a line for each clip below the names of the columns"
        )
    speech = []
    for where, row in rows:
        name, emotion = row.get("path") or row.get("file"), row.get("emotion")
        if not name or not emotion:
            raise FormatError(f"{where}: found no {'emotion' if name else 'path'}, expected path and emotion")
        path = table.parent / name
        wave = read_wave(path)
        start, end = (
            seconds(text, where) if (text := row.get(name)) and text != "NaT" else default
            for name, default in (("start", 0.0), ("end", len(wave) / SAMPLE_RATE))
        )
        first, last = seconds_to_samples(start), seconds_to_samples(end)
        if not 0 <= first < min(last, len(wave)) or last > len(wave) + _ROUNDING:
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
