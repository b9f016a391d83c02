"""The results in a folder as one table of DuckDB: Parquet files and JSON files of `sed-run -d` in, rows out.

The JSON of ``--words`` and ``--asr`` (WhisperX's) counts, too: its sentences are the segments, its file name is the
recording's name, and the end of its last sentence the duration.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from sed import formats
from sed.errors import FormatError, MissingDependencyError, install_hint
from sed.files import is_hidden
from sed.formats import json

logger = logging.getLogger("sed")

_KINDS = ("parquet", "json")  # the first that a recording has is read
_COLUMNS = 'file, recording, duration, labels, start, "end", speaker, emotion, confidence'
# One row per file with its labels and without times, so that recordings without speech count, and one per segment.
_TABLES = """
create table loaded (file varchar, recording varchar, duration double, labels varchar[], start double, "end" double,
    speaker varchar, emotion varchar, confidence double);
create table recordings (number integer, file varchar, recording varchar, day varchar, folder varchar, name varchar);
create view spoken as select r.*, start, "end", speaker, emotion, confidence from recordings r left join (
    from loaded where isfinite(start) and isfinite("end") and start >= 0 and "end" > start) using (file, recording)
"""
_PARQUET = (
    """select filename, recording, recording_duration, null, start, "end", speaker, emotion, confidence
    from read_parquet($files, union_by_name = true, filename = true, hive_partitioning = false)""",
    """select file_name, decode(value)->>'$.uri', (decode(value)->>'$.duration')::double,
    (decode(value)->'$.labels')::varchar[], null, null, null, null, null
    from parquet_kv_metadata($files) where key = 'sed'""",
)
_JSON = (
    f"""with files as (from read_json($files, format = 'unstructured', records = true, filename = true,
        hive_partitioning = false, maximum_object_size = 1_000_000_000, columns = {{format: 'varchar',
        version: 'integer', uri: 'varchar', duration: 'double', labels: 'varchar[]', word_segments: 'json',
        segments: 'struct(start double, "end" double, speaker varchar, emotion varchar, confidence double,
        probabilities map(varchar, double))[]'}})
    where case when format is null and word_segments is not null
            and len([s.emotion for s in segments if s.emotion is not null]) > 0 then true
        when format is null and word_segments is not null
        then error('found a transcript without emotions, expected a result')
        when format is distinct from 'sed' or uri is null or segments is null
        then error('expected an object with "format": "sed"')
        when version > {json.VERSION} then error('a newer sed wrote it') else true end)
    select filename, coalesce(uri, parse_filename(filename, true)),
        coalesce(duration, list_max([s."end" for s in segments])), labels, null, null, null, null, null
    from files union all
    select filename, coalesce(uri, parse_filename(filename, true)), duration, null, s.start, s."end", s.speaker,
        s.emotion, coalesce(s.confidence, s.probabilities[s.emotion])
    from files, unnest(segments) as each(s)""",
)


@dataclass(frozen=True)
class ResultFile:
    """A file of results; `folder` is relative to the archive ("." for itself), `stem` the name without suffix."""

    path: Path
    kind: str
    folder: str
    stem: str


def find_results(folder: Path) -> list[ResultFile]:
    """The Parquet files below `folder`, and the JSON files of recordings that have none; hidden files are skipped.

    Raises `FormatError` if there are none.
    """
    if not folder.is_dir():
        raise FormatError(f"{folder}: expected a folder that sed-run -d has written")
    top = Path(os.path.abspath(folder))
    found: dict[tuple[str, str], ResultFile] = {}
    for kind in _KINDS:
        suffix = formats.suffix(kind)
        for path in sorted(top.rglob(f"*{suffix}")):
            relative = path.relative_to(top)
            if is_hidden(relative) or not path.is_file() or formats.format_of(path) != kind:
                continue
            place = relative.parent.as_posix(), path.name.removesuffix(suffix)
            found.setdefault(place, ResultFile(path, kind, *place))
    if not found:
        raise FormatError(f"{folder}: found no results, expected Parquet or JSON files of sed-run -d")
    return list(found.values())


class Database:
    """DuckDB in memory with the table `loaded` and, after `add_recordings`, the view `spoken`.

    Nothing of DuckDB is downloaded. Raises `MissingDependencyError` if it is not installed.
    """

    def __init__(self) -> None:
        try:
            import duckdb
        except ImportError:
            raise MissingDependencyError(f"a report needs duckdb: {install_hint('report')}") from None
        self._error: Any = duckdb.Error
        self._connection = duckdb.connect(
            config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
        )
        self._connection.execute(_TABLES)

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def query(self, text: str, values: Any = None) -> list[Any]:
        """All rows of a query."""
        return self._connection.execute(text, values).fetchall()

    def load(self, files: Iterable[ResultFile]) -> list[str]:
        """Read `files` into the table `loaded`; returns one sentence for each that cannot be read."""
        by_kind: dict[str, list[ResultFile]] = {kind: [] for kind in _KINDS}
        for file in files:
            by_kind[file.kind].append(file)
        failures = self._load(by_kind["parquet"], _PARQUET) + self._load(by_kind["json"], _JSON)
        ((bad,),) = self.query(
            'select count(*) from loaded where (start is not null or "end" is not null) and not coalesce('
            'isfinite(start) and isfinite("end") and start >= 0 and "end" > start, false)'
        )
        if bad:
            logger.warning("%d segments without valid times are left out", bad)
        return failures

    def _load(self, files: Sequence[ResultFile], queries: Sequence[str]) -> list[str]:
        """All at once, which is fast; if that fails, one by one, which finds the file that is to blame."""
        if not files:
            return []
        self._connection.execute("begin")
        try:
            names = [_pattern(file.path) for file in files]
            for query in queries:
                self._connection.execute(f"insert into loaded ({_COLUMNS}) {query}", {"files": names})
            self._connection.execute("commit")
            return []
        except (self._error, UnicodeError) as error:
            self._connection.execute("rollback")
            if len(files) > 1:
                return [text for file in files for text in self._load([file], queries)]
            return [f"{files[0].path}: cannot be read as a result of sed-run ({str(error).splitlines()[0]})"]

    def add_recordings(
        self, files: list[str], recordings: list[str], days: list[str], folders: list[str], names: list[str]
    ) -> None:
        """Fill the table `recordings`: parallel lists with one value per recording."""
        self._connection.execute(
            "insert into recordings select unnest(?), unnest(?), unnest(?), unnest(?), unnest(?), unnest(?)",
            [list(range(len(files))), files, recordings, days, folders, names],
        )


def _pattern(path: Path) -> str:
    """The pattern that matches only `path`. Raises `UnicodeError` for a name that is not UTF-8."""
    name = path.as_posix()
    name.encode("utf-8")
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
