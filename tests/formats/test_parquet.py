"""Parquet: results are read back, and a folder of them is one table for pandas and DuckDB."""

import io

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed import formats
from sed.errors import FormatError, MissingDependencyError
from sed.result import Diarization, Segment

LABELS = ("neutral", "happy", "angry", "sad")
CALL = Diarization(
    "call 1",
    9.5,
    [
        Segment(0.02, 2.0, "ann", "sad", 0.5, {"neutral": 0.25, "happy": 0.125, "angry": 0.125, "sad": 0.5}),
        Segment(1.0, 1.02, None, None),
        Segment(2.0, 8.0, "Zoë <NA>", "angry", 0.75, dict.fromkeys(LABELS, 0.25)),
    ],
    LABELS,
)


def test_everything_except_posteriors_is_read_back(tmp_path):
    path = tmp_path / "call.parquet"
    formats.write(Diarization(**{**vars(CALL), "posteriors": np.zeros((3, 4), np.float32)}), path)
    found = formats.read(path)
    assert found == CALL
    assert [dict(s.probabilities) for s in found] == [dict(s.probabilities) for s in CALL]
    formats.write(CALL, tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_silence_keeps_its_name_and_duration(tmp_path):
    silence = Diarization("silence", 3.0, [], LABELS)
    formats.write(silence, tmp_path / "x.parquet")
    assert formats.read(tmp_path / "x.parquet") == silence
    assert pyarrow.parquet.read_table(tmp_path / "x.parquet").num_rows == 0


def test_columns(tmp_path):
    formats.write(CALL, tmp_path / "x.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet")
    assert table.column_names == [
        *("recording", "recording_duration", "start", "end", "speaker", "emotion", "confidence"),
        *("p_neutral", "p_happy", "p_angry", "p_sad"),
    ]
    assert table.column("p_sad").to_pylist() == [0.5, None, 0.25]
    assert table.column("speaker").to_pylist() == ["ann", None, "Zoë <NA>"]


def test_concatenated_files_are_read_as_several_recordings(tmp_path):
    other = Diarization("other", 4.0, [Segment(1, 2, "b", "happy", 1.0)], LABELS)
    tables = []
    for number, result in enumerate((CALL, other)):
        formats.write(result, tmp_path / f"{number}.parquet")
        tables.append(pyarrow.parquet.read_table(tmp_path / f"{number}.parquet"))
    concatenated = pyarrow.concat_tables(tables)  # keeps the metadata of the first
    pyarrow.parquet.write_table(concatenated, tmp_path / "all.parquet")
    assert formats.read_all(tmp_path / "all.parquet") == [CALL, other]
    pyarrow.parquet.write_table(concatenated.replace_schema_metadata(), tmp_path / "bare.parquet")
    assert formats.read_all(tmp_path / "bare.parquet") == [CALL, other]


def test_pandas_and_duckdb_read_a_folder_as_one_table(tmp_path):
    import duckdb
    import pandas

    silence = Diarization("c", 3.0, [], LABELS)
    for folder, result in (("agent=anna", CALL), ("agent=bob", silence), ("agent=bob", CALL)):
        (tmp_path / folder).mkdir(exist_ok=True)
        formats.write(result, tmp_path / folder / f"{result.uri}.parquet")
    (tmp_path / ".sed-journal.jsonl").write_text("{}\n")
    frame = pandas.read_parquet(tmp_path)
    assert sorted(frame["agent"].astype(str)) == ["anna"] * 3 + ["bob"] * 3
    query = f"select agent, sum(\"end\" - start) from '{tmp_path}/**/*.parquet' where emotion = 'angry' group by all"
    assert sorted(duckdb.sql(query).fetchall()) == [("anna", 6.0), ("bob", 6.0)]


def test_streams_must_be_binary(tmp_path):
    out = io.BytesIO()
    formats.write(CALL, out, "parquet")
    out.seek(0)
    assert formats.read(out, "parquet") == CALL
    with pytest.raises(FormatError, match="parquet is binary"):
        formats.write(CALL, io.StringIO(), "parquet")
    with pytest.raises(FormatError, match="parquet is binary"):
        formats.read(io.StringIO("x"), "parquet")


@pytest.mark.parametrize(
    "columns, text",
    [
        ({"start": [0.0], "end": [1.0]}, "found no column recording, expected recording, start and end"),
        ({"recording": [None], "start": [0.0], "end": [1.0]}, "row 1: found recording None"),
        ({"recording": ["a"], "start": [2.0], "end": [1.0]}, r"row 1: segment from 2.0 to 1.0 s"),
        ({"recording": ["a"], "start": ["x"], "end": [1.0]}, r"row 1: found start 'x', expected a number"),
    ],
)
def test_invalid_tables_of_other_programs(tmp_path, columns, text):
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "x.parquet")
    with pytest.raises(FormatError, match=text):
        formats.read_all(tmp_path / "x.parquet")


def test_invalid_files_and_a_missing_pyarrow(tmp_path, monkeypatch):
    import sys

    path = tmp_path / "x.parquet"
    for content in (b"", b"hello", b"PAR1" * 10):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=r"x\.parquet: not Parquet"):
            formats.read(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'speech-emotion-diarization\[table\]'"):
        formats.write(CALL, path)
    assert path.read_bytes() == b"PAR1" * 10


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(data):
    content = bytearray(formats.dumps(CALL, "parquet"))
    for _ in range(data.draw(st.integers(1, 3))):
        first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        content[first : min(last, first + 3)] = data.draw(st.binary(max_size=4))
    try:
        formats.read_all(io.BytesIO(bytes(content)), "parquet")
    except FormatError as error:
        assert str(error)
