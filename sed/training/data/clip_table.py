"""A small table of labelled clips: CSV in, utterances with their speech out.

Columns: ``path`` (or audformat's ``file``), relative to the table's folder, and ``emotion``; for clips that are part
of a recording also ``start`` and ``end`` in seconds (or audformat's times, ``0 days 00:00:01.5``). Optional:
``speaker``, ``split`` and the columns of `sed.corpora.ratings`.
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

_TOLERANCE = SAMPLE_RATE // 20  # samples by which a clip may end after its recording, for rounded times


def read_clips(table: str | Path) -> list[tuple[Utterance, np.ndarray]]:
    """The clips of `table` in its order, in the form of `sed.corpora.audio.load_speech`.

    Raises `FormatError` if the table is missing, empty, or lacks a column or a value, or if a clip is outside its
    recording or contains no speech; `AudioError` if audio cannot be read.
    """
    table = Path(table)
    rows = read_rows(table)
    if not rows:
        raise FormatError(f"{table}: found no rows, expected a header and one line per clip")
    speech = []
    for location, row in rows:
        name, emotion = row.get("path") or row.get("file"), row.get("emotion")
        if not name or not emotion:
            raise FormatError(
                f"{location}: found no {'emotion' if name else 'path'}, expected path and emotion"
            )
        path = table.parent / name
        wave = read_wave(path)
        start, end = (
            seconds(text, location) if (text := row.get(name)) and text != "NaT" else default
            for name, default in (("start", 0.0), ("end", len(wave) / SAMPLE_RATE))
        )
        first, last = seconds_to_samples(start), seconds_to_samples(end)
        if not 0 <= first < min(last, len(wave)) or last > len(wave) + _TOLERANCE:
            raise FormatError(
                f"{location}: found a clip from {start} to {end} s, expected a part of {len(wave) / SAMPLE_RATE:.2f} s"
            )
        clip = equalise_loudness(trim_silence(wave[first:last]))
        if not len(clip):
            raise FormatError(f"{location}: found only silence in {path}, expected speech")
        utterance = Utterance(
            row.get("corpus") or "adaptation",
            path,
            row.get("speaker") or "new",
            emotion,
            row.get("split") or "",
            read_ratings(row, location),
        )
        speech.append((utterance, np.round(clip * 32767).astype(np.int16)))
    return speech
