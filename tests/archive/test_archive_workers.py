"""Worker processes: results equal to a single process, dead workers, killed and interrupted runs."""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import time

import pytest
from archive_files import JOURNAL, contents, die_at_once, recorded

from sed.archive import processes
from sed.archive.dispatch import Dispatch
from sed.archive.inputs import find_inputs
from sed.archive.outputs import Outputs
from sed.archive.processes import run_processes
from sed.archive.work import Job, Order
from sed.errors import ModelError, WorkerError

QUICK = {"diarizer": "none", "vad": "webrtc"}  # the fastest models
QUICKLY = ("--diarizer", "none", "--vad", "webrtc")


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


def start_workers(paths, folder, count=1, settings=QUICK):
    """The reports of workers that process `paths`, and the queue."""
    recordings = find_inputs(map(str, paths))
    order = Order(settings, Outputs(("rttm",), (), str(folder)))
    queue = Dispatch(Job(number, recording) for number, recording in enumerate(recordings))
    return run_processes(order, queue, count, 1), queue


@pytest.mark.slow
def test_same_bytes_and_order_with_two_workers(make_clips, data, sed_run, tmp_path):
    clips = make_clips(tmp_path / "clips", 12)
    arguments = (data / "ami_trn00.flac", clips, "-o", "jsonl", "--posteriors")  # the long one first
    one, two = sed_run(*arguments), sed_run(*arguments, "--workers", "2", "--threads", "2")
    assert one.returncode == two.returncode == 0
    assert one.stdout == two.stdout
    uris = [json.loads(line)["uri"] for line in two.stdout.splitlines()]
    assert uris == ["ami_trn00", *(f"c{n:03d}" for n in range(12))]
    assert two.stderr.startswith("sed-run: 13 recordings: 13 done; 42.0 s of audio in 0:")
    assert len(two.stderr.splitlines()) == 1  # no progress bar in a pipe
    results = [sed_run(clips, "-o", "rttm,json", "-d", tmp_path / n, "--workers", n) for n in ("1", "2")]
    assert [result.returncode for result in results] == [0, 0]
    assert contents(tmp_path / "1") == contents(tmp_path / "2") and len(contents(tmp_path / "1")) == 24


@pytest.mark.slow
@pytest.mark.parametrize(
    "number, text",
    [(signal.SIGKILL, "killed, as the system does when memory runs out"), (signal.SIGSEGV, "signal SIGSEGV")],
)
def test_a_dead_worker_fails_only_its_recording(make_clips, tmp_path, number, text):
    """The recording is a pipe without a writer, so its worker is busy until it is killed."""
    clips = make_clips(tmp_path / "clips", 3)
    os.mkfifo(tmp_path / "stuck.wav")
    good = sorted(clips.iterdir())
    reports, _ = start_workers([good[0], tmp_path / "stuck.wav", *good[1:]], tmp_path / "out")
    first = next(reports)
    assert first.number == 0 and first.error is None
    pids = {child.pid for child in multiprocessing.active_children()}

    def kill_later():
        time.sleep(0.5)
        for pid in pids:
            os.kill(pid, number)

    killer = multiprocessing.get_context("fork").Process(target=kill_later)
    killer.start()
    rest = list(reports)
    killer.join()
    assert [(r.number, r.error is None) for r in rest] == [(1, False), (2, True), (3, True)]
    assert rest[0].error == f"{tmp_path}/stuck.wav: the worker died ({text})"
    assert len(contents(tmp_path / "out")) == 3
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_wrong_options_are_reported_as_with_one_worker(make_clips, tmp_path, sed_run):
    clips = make_clips(tmp_path / "clips", 2)
    reports, _ = start_workers([clips], tmp_path / "out", settings={"tagger": "none.onnx"})
    with pytest.raises(ModelError, match=r"no emotion model at none\.onnx"):
        next(reports)
    result = sed_run(clips, "-d", tmp_path / "out", "--workers", "2", "--tagger", "none.onnx")
    assert result.returncode == 2 and result.stderr.startswith("sed-run: no emotion model at none.onnx")
    assert not (tmp_path / "out").exists()
    result = sed_run("-", clips, "-d", tmp_path / "out", "--workers", "2")
    assert (
        result.returncode == 2 and "standard input cannot be combined with several workers" in result.stderr
    )
    result = sed_run(clips, "--fresh")
    assert result.returncode == 2 and "--fresh needs an output folder: expected -d" in result.stderr


@pytest.mark.slow
def test_workers_that_fail_to_start_are_not_restarted_forever(make_clips, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_serve", die_at_once)
    reports, _ = start_workers([make_clips(tmp_path / "clips", 2)], tmp_path / "out", count=2)
    with pytest.raises(WorkerError, match=r"3 workers died while they loaded the models \(exit status 7\)"):
        next(reports)


@pytest.mark.slow
def test_failures_and_warnings_of_workers_are_reported(make_clips, sed_run, tmp_path):
    clips = make_clips(tmp_path / "clips", 3)
    cut = (clips / "c001.wav").read_bytes()
    (clips / "c001.wav").write_bytes(cut[:20000])
    (clips / "bad.wav").write_text("no sound")
    result = sed_run(clips, "-d", tmp_path / "out", "--workers", "2")
    assert result.returncode == 1
    lines = sorted(result.stderr.splitlines())
    assert f"sed-run: {clips}/bad.wav: found text, expected audio" in lines
    assert any("c001.wav: truncated, found 19956 of 32000 bytes" in line for line in lines)
    assert any(line.startswith("sed-run: 4 recordings: 3 done, 1 failed;") for line in lines)
    assert sorted(recorded(tmp_path / "out")) == ["c000", "c001", "c002"]
    (clips / "bad.wav").unlink()
    make_clips(clips, 4)  # c001 repaired, and one more: only these two are processed
    again = sed_run(clips, "-d", tmp_path / "out", "--workers", "2")
    assert again.returncode == 0
    assert again.stderr.splitlines()[0].startswith("sed-run: 4 recordings: 4 done;")


@pytest.mark.slow
def test_fresh_processes_everything_again(make_clips, sed_run, tmp_path):
    clips, out = make_clips(tmp_path / "clips", 2), tmp_path / "out"
    assert sed_run(clips, *QUICKLY, "-d", out).returncode == 0
    before = contents(out)
    result = sed_run(clips, *QUICKLY, "--decoder", "argmax", "-o", "json", "-d", out, "--fresh")
    assert result.returncode == 0 and result.stderr.startswith("sed-run: 2 recordings: 2 done;")
    assert sorted(contents(out)) == ["c000.json", "c000.rttm", "c001.json", "c001.rttm"]
    assert all(contents(out)[name] == data for name, data in before.items())


@pytest.mark.slow
def test_stop_on_error_starts_no_more_recordings(make_clips, sed_run, tmp_path):
    clips = make_clips(tmp_path / "clips", 6)
    (clips / "a.wav").write_text("no sound")
    result = sed_run(clips, *QUICKLY, "-d", tmp_path / "out", "--on-error", "stop")
    assert result.returncode == 1
    assert "sed-run: 7 recordings: 0 done, 1 failed, 6 left" in result.stderr.splitlines()
    skipped = sed_run(clips, *QUICKLY, "-d", tmp_path / "out")
    assert skipped.returncode == 1 and len(contents(tmp_path / "out")) == 6
    two = sed_run(clips, *QUICKLY, "-d", tmp_path / "two", "--on-error", "stop", "--workers", "2")
    assert two.returncode == 1 and len(contents(tmp_path / "two")) < 6


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


@pytest.mark.slow
def test_a_killed_and_resumed_run_processes_every_file_once(make_clips, command, sed_run, tmp_path):
    clips = make_clips(tmp_path / "clips", 40)
    out = tmp_path / "out"
    arguments = (clips, *QUICKLY, "-o", "rttm,json", "-d", out, "--workers", "2")
    run = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, start_new_session=True)
    until(lambda: (out / JOURNAL).exists() and (out / JOURNAL).read_bytes().count(b"\n") > 15)
    workers = children(run.pid)
    run.kill()
    run.wait()
    run.stderr.close()
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers), 20)  # no worker continues
    before = recorded(out)
    assert 15 <= len(before) < 40
    times = {name: (out / name).stat().st_mtime_ns for name in (f"{stem}.json" for stem in before)}
    (out / ".c039.rttm.1.part").write_text("half")
    result = sed_run(*arguments)
    assert result.returncode == 0
    line = f"sed-run: 40 recordings: {40 - len(before)} done, {len(before)} done before; "
    assert result.stderr.startswith(line)
    assert sorted(recorded(out)) == [f"c{n:03d}" for n in range(40)]  # each once
    assert all((out / name).stat().st_mtime_ns == then for name, then in times.items())
    assert sed_run(clips, *QUICKLY, "-o", "rttm,json", "-d", tmp_path / "whole").returncode == 0
    assert contents(out) == contents(tmp_path / "whole") and len(contents(out)) == 80
    third = sed_run(*arguments)
    assert third.returncode == 0 and "0 done, 40 done before" in third.stderr
    other = sed_run(*arguments, "--decoder", "argmax")
    assert other.returncode == 2 and "decoder: viterbi, now argmax" in other.stderr


@pytest.mark.slow
def test_a_terminal_shows_one_progress_bar_with_the_remaining_time(make_clips, command, tmp_path):
    clips = make_clips(tmp_path / "clips", 6)
    (clips / "bad.wav").write_text("no sound")
    ours, theirs = os.openpty()
    arguments = (clips, *QUICKLY, "-d", tmp_path / "out", "--workers", "2")
    run = subprocess.Popen(command(*arguments), stderr=theirs, env={**os.environ, "COLUMNS": "200"})
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 65536):
            shown += data
    except OSError:  # Linux: the other end is closed
        pass
    os.close(ours)
    assert run.wait() == 1
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())  # without colours
    assert re.search(r"[1-7]/7 .* \d+% (\d:\d\d:\d\d|-:--:--)", text)
    assert "sed-run: 7 recordings: 6 done, 1 failed;" in text
    assert text.count(f"sed-run: {clips}/bad.wav: found text, expected audio") == 1


@pytest.mark.slow
def test_ctrl_c_ends_cleanly(make_clips, command, sed_run, tmp_path):
    clips = make_clips(tmp_path / "clips", 40)
    out = tmp_path / "out"
    run = subprocess.Popen(
        command(clips, *QUICKLY, "-d", out, "--workers", "2"),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until(lambda: (out / JOURNAL).exists() and (out / JOURNAL).read_bytes().count(b"\n") > 5)
    os.killpg(run.pid, signal.SIGINT)  # to the whole process group, as a terminal does
    _, stderr = run.communicate(timeout=60)
    assert run.returncode == 1 and "Traceback" not in stderr
    assert stderr.startswith(
        "sed-run: interrupted; run the same command again to resume\nsed-run: 40 recordings: "
    )
    assert not list(out.glob(".*.part"))
    assert sed_run(clips, *QUICKLY, "-d", out).returncode == 0
    assert sorted(recorded(out)) == [f"c{n:03d}" for n in range(40)]


@pytest.mark.slow
def test_termination_ends_cleanly_and_leaves_no_temporary_file(command, tmp_path):
    run = subprocess.Popen(
        command("-"),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    until(lambda: list(tmp_path.glob("sed-*")))  # it waits for a recording on standard input
    run.terminate()
    _, stderr = run.communicate(timeout=60)
    assert run.returncode == 1 and stderr.startswith(
        b"sed-run: interrupted\nsed-run: 1 recording: 0 done, 1 left"
    )
    assert not list(tmp_path.glob("sed-*"))


@pytest.mark.slow
def test_given_turns_after_the_end_are_reported(make_clips, sed_run, tmp_path):
    (clip,) = make_clips(tmp_path / "clips", 1).iterdir()
    line = "SPEAKER a 1 {} 0.5 <NA> <NA> Ann <NA> <NA>\n"
    (tmp_path / "t.rttm").write_text("".join(map(line.format, (0.25, 50, 60))))
    for options in ([], ["--latency", "1"]):
        result = sed_run(clip, "--speech", tmp_path / "t.rttm", *options)
        assert result.returncode == 0 and result.stdout.count("Ann") == 1
        text = f"{clip}: 2 of 3 given turns start after its end at 1.00 s and are ignored"
        assert result.stderr == f"sed-run: {text}\n"
