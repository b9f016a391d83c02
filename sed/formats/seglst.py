"""SegLST, meeteval's JSON list with one object per segment, and the emotion as an additional key.

``words`` is empty, since `sed` does not transcribe. An unknown speaker is ``<NA>``, as in RTTM.
"""

from __future__ import annotations

from pathlib import Path

from sed.errors import FormatError
from sed.formats.json import load, plain_segment, to_text
from sed.formats.kind import UNKNOWN, Format, collect, segment_of
from sed.formats.lenience import file_warnings
from sed.formats.spelling import TEXT
from sed.result import Diarization, Segment


def _dump(diarization: Diarization) -> str:
    rows = []
    for segment in diarization:
        row = plain_segment(segment)
        times = {"start_time": row.pop("start"), "end_time": row.pop("end")}
        speaker = row.pop("speaker", UNKNOWN)
        rows.append(
            {"session_id": TEXT.write(diarization.uri), "speaker": speaker, **times, "words": "", **row}
        )
    return "[" + ",".join("\n" + to_text(row) for row in rows) + "\n]\n"


def _parse(text: str, path: Path) -> list[Diarization]:
    data = load(text, str(path))
    if not isinstance(data, list):
        raise FormatError(f"{path}: found a JSON {type(data).__name__}, expected SegLST's list of segments")
    rows: dict[str, list[Segment]] = {}
    with file_warnings(path) as warnings:
        for count, row in enumerate(data, 1):
            where = f"{path}, segment {count}"
            if not isinstance(row, dict) or "session_id" not in row:
                raise FormatError(
                    f"{where}: expected an object with session_id, speaker, start_time and end_time"
                )
            given = {"start": row.get("start_time"), "end": row.get("end_time")}
            own = rows.setdefault(TEXT.read(str(row["session_id"])), [])
            segment = segment_of(
                {**{k: v for k, v in row.items() if k not in given}, **given}, where, warnings
            )
            own += [segment] if segment else []
    return collect(rows)


FORMAT = Format("seglst", (".seglst.json", ".seglst"), _dump, _parse)
