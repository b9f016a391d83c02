"""`sed-run` on the command line: outputs, exit statuses, errors, and batches with failures."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from sed import formats

JOURNAL = ".sed-journal.jsonl"


@pytest.mark.slow
def test_rttm_on_standard_output(run, angry):
    result = run(angry, "-o", "rttm")
    assert result.exit_code == 0 and result.stderr == ""
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines and all(line[:2] == ["SPEAKER", "emodb_15_angry_1"] and len(line) == 10 for line in lines)
    assert run(angry).stdout == result.stdout  # the default


@pytest.mark.slow
def test_same_bytes_twice_and_with_two_threads(run, data):
    first = run(data / "ami_trn00.flac", "-o", "json", "--posteriors").stdout
    assert run(data / "ami_trn00.flac", "-o", "json", "--posteriors").stdout == first
    assert run(data / "ami_trn00.flac", "-o", "json", "--posteriors", "--threads", "2").stdout == first


@pytest.mark.slow
def test_every_format_into_a_folder(run, angry, tmp_path):
    result = run(angry, "-o", ",".join(formats.names()), "-d", tmp_path / "new" / "out")
    assert result.exit_code == 0 and result.stdout == ""
    found = sorted(p.name for p in (tmp_path / "new" / "out").iterdir() if p.name != JOURNAL)
    assert found == sorted(f"emodb_15_angry_1{formats.suffix(name)}" for name in formats.names())


@pytest.mark.slow
def test_the_suffix_selects_the_format(run, angry, tmp_path):
    done = run(angry, "-o", f"{tmp_path / 'a.vtt'},{tmp_path / 'a.json'}")
    assert done.exit_code == 0
    assert (tmp_path / "a.vtt").read_text().startswith("WEBVTT")
    result = formats.read(tmp_path / "a.json")
    assert result.labels == ("neutral", "happy", "angry", "sad") and result.posteriors is None
    assert all(abs(sum(s.probabilities.values()) - 1) < 0.001 for s in result)


@pytest.mark.slow
def test_folders_keep_their_structure_and_json_lines_name_files(run, angry, data, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.flac").write_bytes(angry.read_bytes())
    (tmp_path / "in" / "b.flac").write_bytes((data / "emodb_15_sad_1.flac").read_bytes())
    (tmp_path / "in" / "notes.txt").write_text("ignored because of its suffix")
    result = run(tmp_path / "in", "-o", "rttm", "-d", tmp_path / "out")
    assert result.exit_code == 0
    assert (tmp_path / "out" / "deep" / "a.rttm").exists() and (tmp_path / "out" / "b.rttm").exists()
    rows = [json.loads(line) for line in run(tmp_path / "in", "--json-lines").stdout.splitlines()]
    assert [row["uri"] for row in rows] == ["b", "a"]
    assert all(row["segments"] for row in rows)


@pytest.mark.slow
def test_a_bad_file_does_not_stop_the_others(run, angry, tmp_path):
    (tmp_path / "bad.wav").write_text("no sound in here")
    result = run(tmp_path / "bad.wav", tmp_path / "none.wav", angry, "-d", tmp_path / "out")
    assert result.exit_code == 1
    bad, none, summary, *reasons = result.stderr.splitlines()
    assert bad == f"sed-run: {tmp_path}/bad.wav: found text, expected audio"
    assert none == f"sed-run: {tmp_path}/none.wav: no such file"
    assert summary.startswith("sed-run: 3 recordings: 1 done, 2 failed; 2.6 s of audio in 0:0")
    assert sorted(reasons) == [
        f"  1 x found text, expected audio: {tmp_path}/bad.wav",
        f"  1 x no such file: {tmp_path}/none.wav",
    ]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [JOURNAL, "emodb_15_angry_1.rttm"]
    assert run(tmp_path / "none.wav", angry, "-d", tmp_path / "out", "-q").stderr == none + "\n"


@pytest.mark.slow
def test_standard_input(angry):
    command = [sys.executable, "-m", "sed.cli.run", "-", "-o", "rttm"]
    result = subprocess.run(command, input=angry.read_bytes(), capture_output=True, check=True)
    assert result.stdout.startswith(b"SPEAKER stdin 1 ")
    assert result.stderr == b""


@pytest.mark.slow
def test_output_of_libraries_is_suppressed(data, tmp_path):
    """libmpg123 writes many notes to standard error, even about a valid MP3."""
    samples = np.tile(soundfile.read(data / "emodb_15_angry_1.flac", dtype="float32")[0], 2)
    good, bad = tmp_path / "good.mp3", tmp_path / "bad.mp3"
    soundfile.write(good, samples, 16000, format="MP3")
    bad.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    command = [sys.executable, "-m", "sed.cli.run", str(good), str(bad), str(tmp_path / "none.wav")]
    result = subprocess.run([*command, "-o", "rttm"], capture_output=True, text=True, check=False)
    assert result.returncode == 1 and {line.split()[1] for line in result.stdout.splitlines()} == {
        "good",
        "bad",
    }
    truncated, missing, summary, reason = result.stderr.splitlines()
    assert truncated.startswith(f"sed-run: {bad}: truncated; the 2.") and missing.endswith(
        "none.wav: no such file"
    )
    assert summary.startswith("sed-run: 3 recordings: 2 done, 1 failed") and "none.wav" in reason


@pytest.mark.slow
def test_the_reader_may_close_standard_output(angry):
    """`sed-run ... | head -0`: no traceback."""
    command = f"{sys.executable} -m sed.cli.run {angry} {angry.parent}/emodb_15_sad_1.flac | true"
    result = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert b"Traceback" not in result.stderr


@pytest.mark.slow
def test_split_channels_are_speakers(run, data, tmp_path):
    def read(name):
        return soundfile.read(data / name, dtype="float32")[0]

    left, right = read("emodb_15_angry_1.flac"), read("emodb_16_neutral_1.flac")
    both = np.zeros((len(left) + len(right), 2), np.float32)
    both[: len(left), 0] = left
    both[len(left) :, 1] = right
    soundfile.write(tmp_path / "call.wav", both, 16000)
    done = run(tmp_path / "call.wav", "--channels", "split", "-o", "json", "--posteriors")
    (tmp_path / "call.json").write_text(done.stdout)
    result = formats.read(tmp_path / "call.json")
    assert result.speaker_names == ("channel1", "channel2")
    middle = len(left) / 16000
    assert all((s.end <= middle + 0.3) == (s.speaker == "channel1") for s in result)
    assert result.posteriors.shape == (-(-len(both) // 320), 4)
    assert run(tmp_path / "call.wav", "--channels", "3").exit_code == 1


@pytest.mark.slow
def test_turns_can_be_given(run, data, tmp_path):
    result = run(data / "ami_trn00.flac", "--speech", data / "ami_trn00.rttm", "-o", "rttm")
    assert result.exit_code == 0
    (tmp_path / "out.rttm").write_text(result.stdout)
    found, given = formats.read(tmp_path / "out.rttm"), formats.read(data / "ami_trn00.rttm")
    assert set(found.speaker_names) == set(given.speaker_names)
    for name in given.speaker_names:
        assert found.speakers.label_duration(name) == pytest.approx(
            given.speakers.label_duration(name), abs=0.5
        )
    other = run(data / "emodb_15_sad_1.flac", data / "ami_trn00.flac", "--speech", data / "ami_trn00.rttm")
    assert other.exit_code == 2
    assert "expected turns for emodb_15_sad_1, found" in other.stderr


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 0.001, 1.0])
def test_silence_has_no_segments(run, tmp_path, seconds):
    soundfile.write(tmp_path / "x.wav", np.zeros(round(seconds * 16000)), 16000)
    result = run(tmp_path / "x.wav", "-o", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["segments"] == [] and json.loads(result.stdout)["duration"] == seconds


@pytest.mark.slow
def test_constant_and_clipped_audio(run, data, tmp_path):
    soundfile.write(tmp_path / "dc.wav", np.full(32000, 0.3), 16000)
    assert json.loads(run(tmp_path / "dc.wav", "-o", "json").stdout)["segments"] == []
    loud = np.clip(40 * soundfile.read(data / "emodb_15_angry_1.flac")[0], -1, 1)
    soundfile.write(tmp_path / "clipped.wav", loud, 16000)
    assert json.loads(run(tmp_path / "clipped.wav", "-o", "json").stdout)["segments"]


USAGE = [
    ([], "Missing argument 'AUDIO...'"),
    (["{a}", "-o", "xml"], "output 'xml': expected a path or one of rttm, json"),
    (["{a}", "-o", "x.doc"], "unknown suffix"),
    (["{a}", "-o", "rttm,json"], "2 formats on standard output: expected one, or a folder (-d)"),
    (["{a}", "{b}", "-o", "x.rttm"], "output x.rttm for 2 recordings: expected formats and a folder (-d)"),
    (["{a}", "{b}", "-o", "webvtt"], "2 recordings as webvtt on standard output: expected rttm or jsonl"),
    (["{a}", "-d", "{a}"], "is a file: expected a folder for -d"),
    (
        ["{a}", "--channels", "left"],
        "'left': expected mix, split or the number of a channel (1 is the first)",
    ),
    (["{a}", "--speakers", "0"], "0 is not in the range x>=1"),
    (["{a}", "--min-speakers", "3", "--max-speakers", "2"], "min"),
    (["{a}", "--diarizer", "magic"], "diarizer 'magic': expected one of segmentation, pyannote, none"),
    (["{a}", "--diarizer", "segmentation:none.onnx"], "none.onnx"),
    (["{a}", "--decoder", "magic"], "'magic' is not one of"),
    (["{a}", "--latency", "9"], "latency"),
    (["{a}", "--tagger", "none.onnx"], "none.onnx"),
    (["{a}", "--tagger", "{a}"], "expected"),
    (["{a}", "--speech", "none.rttm"], "none.rttm: cannot be read"),
    (["{d}/*.xyz"], "no file matches this pattern"),
    (["{a}", "-d", ""], "-d '': expected a folder"),
    ([""], "'': expected the name of a recording"),
]


@pytest.mark.slow
@pytest.mark.parametrize("arguments, text", USAGE)
def test_wrong_usage_exits_with_2(run, angry, data, tmp_path, arguments, text):
    names = {"a": angry, "b": data / "emodb_15_sad_1.flac", "d": tmp_path}
    result = run(*(a.format(**names) for a in arguments))
    assert result.exit_code == 2
    assert text in result.stderr and "Traceback" not in result.stderr


@pytest.mark.slow
def test_recordings_of_the_same_name_are_refused(run, angry, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.flac").write_bytes(angry.read_bytes())
    result = run(tmp_path / "x" / "a.flac", tmp_path / "y" / "a.flac", "-d", tmp_path / "out")
    assert result.exit_code == 2 and "have the same name" in result.stderr
    (tmp_path / "turns.rttm").write_text("SPEAKER a 1 0.5 1.5 <NA> <NA> Ann <NA> <NA>\n")
    for options in (["-o", "rttm"], ["--json-lines", "-d", "out"], ["--speech", "turns.rttm", "-d", "out"]):
        result = run(tmp_path, *(str(tmp_path / o) if o in ("out", "turns.rttm") else o for o in options))
        both = f"{tmp_path}/x/a.flac and {tmp_path}/y/a.flac are both named a in results"
        assert result.exit_code == 2 and both in result.stderr and not result.stdout
    assert run(tmp_path, "-d", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / "x" / "a.rttm").exists() and (tmp_path / "out" / "y" / "a.rttm").exists()


@pytest.mark.slow
def test_a_failed_write_leaves_no_temporary_file(run, angry, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    result = run(angry, "-d", tmp_path)
    assert result.exit_code == 1 and "No space left on device" in result.stderr
    assert os.listdir(tmp_path) == [JOURNAL]
    monkeypatch.undo()
    assert run(angry, "-d", tmp_path).exit_code == 0  # recorded as failed, so it is processed again
    assert sorted(os.listdir(tmp_path)) == [JOURNAL, "emodb_15_angry_1.rttm"]


def test_the_progress_bar():
    from sed.archive.work import Report
    from sed.cli.progress import ProgressBar

    bar = ProgressBar()
    bar._bar.console.file = out = io.StringIO()
    with bar:
        bar.start(3)
        bar.finished(Report(0, 3.0))
        bar.progress(1, 5.0, 10.0)
        bar.progress(2, 5.0, None)  # a stream of unknown duration
        bar.message("a message")
        task = bar._bar.tasks[0]
        assert (task.completed, task.total, task.description) == (1.5, 3, "1/3")
        bar.finished(Report(1, 10.0))
        assert task.completed == 2.0
    assert "sed-run: a message" in out.getvalue()


@pytest.mark.slow
def test_json_lines_beside_a_folder(run, angry, tmp_path):
    result = run(angry, "--json-lines", "-o", "csv", "-d", tmp_path / "out")
    assert [json.loads(line)["uri"] for line in result.stdout.splitlines()] == [angry.stem]
    assert [p.name for p in (tmp_path / "out").glob(f"{angry.stem}.*")] == [f"{angry.stem}.csv"]
    assert "2 formats on standard output" in run(angry, "--json-lines", "-o", "rttm").stderr


@pytest.mark.parametrize(
    "option, value, named",
    [
        ("--speakers", "2", "a number of speakers"),
        ("--channels", "split", "--channels split"),
        ("--vad", "webrtc", "--vad"),
        ("--diarizer", "none", "--diarizer"),
        ("--diarizer", "segmentation", "--diarizer"),  # the default, given explicitly
    ],
)
def test_given_turns_exclude_options_of_detection(run, data, tmp_path, option, value, named):
    given = ("--speech", data / "ami_dev00.rttm", "-d", tmp_path / "out")
    result = run(data / "ami_dev00.flac", *given, option, value)
    assert result.exit_code == 2 and f"--speech cannot be combined with {named}" in result.stderr
    assert not (tmp_path / "out").exists()
