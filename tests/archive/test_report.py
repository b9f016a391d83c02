"""`sed-report`: sums checked by hand, links, hostile names, damaged files, and nothing overwritten that is a result."""

import csv
import json
import re

import pytest
from click.testing import CliRunner

from sed import formats
from sed.cli.report import main
from sed.result import Diarization, Segment

LABELS = ("neutral", "happy", "angry", "sad")
HOSTILE = "</script><img src=x onerror=alert(1)>"


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def save(path, segments, duration=100.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    formats.write(Diarization(formats.uri_of(path), duration, segments, LABELS), path)


def page_data(path):
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.S)
    return json.loads(text)


@pytest.fixture
def archive(tmp_path):
    out = tmp_path / "out"
    one = [
        Segment(0, 6, "ann", "neutral", 0.9),
        Segment(6, 9, "ann", "angry", 0.8),
        Segment(9, 12, "bob", "sad", 0.6),
    ]
    save(out / "billing" / "2024-12-02-a[1].parquet", one)
    save(out / "billing" / "2024-12-02-a[1].json", one)  # the same recording again
    save(out / "billing" / "2024-12-02-a[1].html", one)
    save(out / "billing" / "20241202T0900.json", [Segment(10, 19, "ann", "angry", 0.95)])
    save(out / "repair" / "silent.parquet", [])
    return out


def test_sums_are_those_by_hand(archive, tmp_path):
    done = run(archive, "--csv", tmp_path / "t.csv")
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert [(r["day"], r["folder"], r["speaker"], r["recordings"]) for r in rows] == [
        ("2024-12-02", "billing", "ann", "2"),
        ("2024-12-02", "billing", "bob", "1"),
        ("undated", "repair", "", "1"),
    ]
    ann, bob, silent = rows
    assert float(ann["speech_minutes"]) == pytest.approx((6 + 3 + 9) / 60, abs=1e-4)
    assert float(ann["angry_minutes"]) == pytest.approx((3 + 9) / 60, abs=1e-4)
    assert float(ann["angry_share"]) == pytest.approx(12 / 18, abs=1e-4)
    assert (bob["sad_share"], bob["happy_minutes"], silent["speech_minutes"]) == (
        "1.0000",
        "0.0000",
        "0.0000",
    )
    data = page_data(archive / "report.html")
    assert (data["recordings"], data["duration"], data["labels"]) == (3, 300.0, list(LABELS))
    assert data["days"] == [["2024-12-02", 2, [6, 0, 12, 3]], ["undated", 1, [0, 0, 0, 0]]]
    assert data["speakers"] == [["ann", 2, [6, 0, 12, 0]], ["bob", 1, [0, 0, 0, 3]]]


def test_moments_are_the_most_probable_and_link_to_pages_that_exist(archive):
    assert run(archive, "--moments", 2).exit_code == 0
    first, second = page_data(archive / "report.html")["moments"]
    assert (first["probability"], first["link"]) == (0.95, None)
    assert (second["probability"], second["link"]) == (0.8, "billing/2024-12-02-a%5B1%5D.html#t=6.000")


def test_hostile_names_do_not_inject(tmp_path):
    save(tmp_path / "a.parquet", [Segment(0, 1, HOSTILE, HOSTILE, 0.9)])
    assert run(tmp_path).exit_code == 0
    assert "<img" not in (tmp_path / "report.html").read_text()
    assert page_data(tmp_path / "report.html")["speakers"][0][0] == HOSTILE


def test_a_folder_without_results_is_one_sentence(tmp_path):
    done = run(tmp_path)
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert "found no results, expected Parquet or JSON" in done.stderr and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name, content", [("bad.parquet", b"PAR1 cut"), ("bad.json", b"{"), ("odd.json", b'{"a": 1}')]
)
def test_a_damaged_file_costs_only_itself(archive, name, content):
    (archive / name).write_bytes(content)
    done = run(archive, "-q")
    assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1 and name in done.stderr
    data = page_data(archive / "report.html")
    assert (data["recordings"], data["failures"]) == (3, 1)


def test_pages_of_recordings_are_not_overwritten(archive):
    own = archive / "billing" / "2024-12-02-a[1].html"
    before = own.read_bytes()
    done = run(archive, "-o", own)
    assert done.exit_code == 2 and "expected another file" in done.stderr and own.read_bytes() == before
