"""`sed-report`: sums checked by hand, links, hostile names, damaged files, and nothing overwritten that is a result."""

import csv
import json
import re

import pytest
from click.testing import CliRunner

from sed import formats, transcripts
from sed.cli.report import main
from sed.result import Diarization, Segment
from sed.transcripts import Sentence, Transcript, Word
from sed.transcripts.model import Attribution

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


def worded(uri, sentences):
    """The JSON that `sed-run --words` writes: sentences of (start, end, speaker, emotion, probability)."""
    rows = [
        Sentence(
            start,
            end,
            "so",
            (Word("so", start, end),),
            by=Attribution(who, what, {what: p, "neutral": 1 - p}),
        )
        for start, end, who, what, p in sentences
    ]
    return transcripts.dumps(Transcript(uri=uri, sentences=tuple(rows)), "json")


def test_results_with_words_count(tmp_path):
    (tmp_path / "2024-12-02-a.b.json").write_bytes(
        worded("2024-12-02-a.b", [(1, 3, "ann", "angry", 0.75), (4, 4.5, "bob", "sad", 0.5)])
    )
    save(tmp_path / "2024-12-02-c.json", [Segment(0, 6, "ann", "neutral", 0.9)])
    assert run(tmp_path).exit_code == 0
    data = page_data(tmp_path / "report.html")
    assert (data["recordings"], data["duration"]) == (2, 104.5)
    assert data["speakers"] == [["ann", 2, [6, 0, 2, 0]], ["bob", 1, [0, 0, 0, 0.5]]]
    assert "2024-12-02-a.b" in json.dumps(data["moments"]) and "0.75" in json.dumps(data["moments"])


def test_transcripts_without_emotions_are_named(archive):
    rows = [{"start": 1, "end": 2, "text": "so", "words": []}]
    (archive / "w.json").write_text(json.dumps({"segments": rows, "word_segments": []}))
    done = run(archive)
    assert done.exit_code == 1 and page_data(archive / "report.html")["recordings"] == 3
    assert "w.json: cannot be read as a result of sed-run (" in done.stderr
    assert "found a transcript without emotions, expected a result)" in done.stderr
