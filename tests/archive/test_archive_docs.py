"""The DuckDB example in docs/command_line.md works on the output of `sed-run -o parquet`."""

import re
from datetime import datetime
from pathlib import Path

import pytest

from sed import formats
from sed.result import Diarization, Segment

ROOT = Path(__file__).resolve().parents[2]


def example_code():
    text = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import duckdb\n.*?)```\n", text, re.S)
    return code


@pytest.fixture
def weeks(tmp_path, monkeypatch):
    """Calls about two topics in two weeks, with the seconds of anger by topic and date."""
    angry = {
        "billing": {"2026-11-02": 90, "2026-11-08": 30, "2026-11-09": 60},
        "repair": {"2026-11-03": 600, "2026-11-11": 0},
    }
    for topic, calls in angry.items():
        for date, seconds in calls.items():
            segments = [Segment(0, 700, "channel1", "angry"), Segment(700, 950, "channel2", None)]
            if seconds:
                segments.append(Segment(1000, 1000 + seconds, "channel2", "angry", 0.9))
            (tmp_path / "out" / topic).mkdir(parents=True, exist_ok=True)
            formats.write(
                Diarization(f"{date}-0915", 2000.0, segments),
                tmp_path / "out" / topic / f"{date}-0915.parquet",
            )
    (tmp_path / "out" / ".sed-journal.jsonl").write_text("{}\n")
    monkeypatch.chdir(tmp_path)


def test_minutes_of_angry_callers_per_topic_and_week(weeks):
    code = example_code()
    assert len([line for line in code.splitlines() if line]) == 5
    names = {}
    exec(code.replace("print(", "found = (", 1), names)
    assert names["found"].fetchall() == [
        ("billing", datetime(2026, 11, 2), 2.0),
        ("billing", datetime(2026, 11, 9), 1.0),
        ("repair", datetime(2026, 11, 2), 10.0),
    ]


@pytest.mark.slow
def test_the_example_reads_the_output_of_sed_run(data, sed_run, tmp_path, monkeypatch):
    folder = tmp_path / "calls" / "billing"
    folder.mkdir(parents=True)
    (folder / "2026-11-02-0915.flac").write_bytes((data / "emodb_15_angry_1.flac").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert sed_run("calls/", "-o", "parquet", "-d", "out/").returncode == 0
    (path,) = (tmp_path / "out").rglob("*.parquet")
    assert path == tmp_path / "out" / "billing" / "2026-11-02-0915.parquet"
    result = formats.read(path)
    names = {}
    without_filter = (
        example_code()
        .replace(""".filter("emotion = 'angry'")""", "")
        .replace("channel2", "spk00")
        .replace("print(", "found = (", 1)
    )
    exec(without_filter, names)
    ((topic, week, minutes),) = names["found"].fetchall()
    assert (topic, week) == ("billing", datetime(2026, 11, 2))
    assert minutes == pytest.approx(sum(s.duration for s in result) / 60) and len(result) > 0
