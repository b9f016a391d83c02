"""ffmpeg and ffprobe may hang, write endlessly or die: the caller stays in control, and no process is left.

The hanging programs are real processes that come before the real ones on the PATH.
"""

import gc
import http.client
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sed import EmotionDiarizer
from sed.audio import launching, open_audio, programs
from sed.audio.programs import Program, output_of
from sed.errors import AudioError

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux to end a program with its parent")


class StopError(Exception):
    """Raised by a caller that stops."""


@pytest.fixture
def recording(tmp_path, data, need_program):
    """A recording that needs ffmpeg."""
    path = tmp_path / "recording.m4a"
    command = [need_program("ffmpeg"), "-v", "error", "-i", data / "emodb_16_sad_1.flac", path]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def hang(tmp_path, monkeypatch):
    """A function that replaces a program by one that runs a command and then hangs; returns a function for its PIDs."""
    folder, log = tmp_path / "bin", tmp_path / "pids"
    folder.mkdir()
    log.touch()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def replace(name, command="true"):
        real = shutil.which(name)
        (folder / name).write_text(
            f'#!/bin/sh\n{command.format(real=real)}\nsleep 600 &\necho "$$ $!" >> {log}\nwait\n'
        )
        (folder / name).chmod(0o755)
        return lambda: [int(pid) for pid in log.read_text().split()]

    yield replace
    for pid in map(int, log.read_text().split()):
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)


def is_running(pid):
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def handles(pid, number):
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("SigCgt:")[2].split()[0], 16) >> (number - 1) & 1


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


@pytest.mark.slow
@linux
@pytest.mark.parametrize("name", ["ffprobe", "ffmpeg"])
def test_a_hanging_program_raises_one_sentence(recording, hang, monkeypatch, name):
    monkeypatch.setattr(programs, "STALL_TIMEOUT", 0.8)
    pids = hang(name)
    started = time.monotonic()
    message = f"{recording}: {name} made no progress for 0.8 s, expected audio that it can decode$"
    with pytest.raises(AudioError, match=message), open_audio(recording) as audio:
        list(audio)
    assert 0.8 <= time.monotonic() - started < 4
    assert len(pids()) == 2  # the script and its child
    wait_until(lambda: not any(map(is_running, pids())))


@pytest.mark.slow
def test_the_real_program_hangs_on_an_empty_pipe(tmp_path, need_program, monkeypatch):
    monkeypatch.setattr(programs, "STALL_TIMEOUT", 0.5)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(AudioError, match=r"^x: ffprobe made no progress for 0.5 s"):
        output_of([need_program("ffprobe"), "-v", "error", str(pipe)], "x")


@pytest.mark.slow
@linux
@pytest.mark.parametrize(
    "name, output, latency",
    [("ffprobe", "true", None), ("ffprobe", "true", 1.0), ("ffmpeg", "head -c 1400000 /dev/zero", None)],
)
def test_progress_is_called_while_a_program_hangs(recording, hang, name, output, latency):
    """The first block arrives, the second never does: progress is still called twice per second."""
    pids = hang(name, output)
    diarizer = EmotionDiarizer(diarizer="none", latency=latency)
    calls = [(time.monotonic(), 0.0, None)]

    def progress(done, duration):
        calls.append((time.monotonic(), done, duration))
        if len(calls) > 8:
            raise StopError

    with pytest.raises(StopError):
        diarizer(recording, progress=progress)
    gaps = [after[0] - before[0] for before, after in itertools.pairwise(calls) if after[1] == before[1]]
    assert len(gaps) > 5 and max(gaps[1:]) < 0.5  # the first gap includes the models
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)
    wait_until(lambda: not any(map(is_running, pids())))


def test_an_exception_in_the_callback_ends_the_program():
    def stop():
        raise StopError

    program = Program(["sleep", "600"], "x", stop)
    with pytest.raises(StopError):
        program.read(1)
    assert program.read(1) == b""
    assert program.finish()[0] == -signal.SIGKILL


@pytest.mark.slow
def test_a_program_without_references_is_ended():
    program = Program(["sleep", "600"], "x")
    process = program._process
    assert process.poll() is None
    del program
    gc.collect()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_output_and_messages_are_bounded_and_do_not_block_each_other():
    flood = (
        "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789 >&2; i=$((i+1)); done"
    )
    program = Program(["sh", "-c", f"{flood}; head -c 3000000 /dev/zero; {flood}; exit 3"], "x")
    time.sleep(0.3)
    assert program._output._buffered <= programs.MAX_BUFFERED + programs.CHUNK
    sizes = [len(program.read(size)) for size in (1, 1_000_000, 3_000_000)]
    assert sizes == [1, 1_000_000, 1_999_999]
    status, lines = program.finish()
    assert status == 3 and sum(len(line) + 1 for line in lines) in range(
        programs.MAX_MESSAGE_BYTES - 1, programs.MAX_MESSAGE_BYTES + 2
    )
    with pytest.raises(AudioError, match=r"^x: found a description of more than 1048576 bytes"):
        output_of(["head", "-c", "2000000", "/dev/zero"], "x")


@pytest.mark.slow
def test_a_program_outlives_the_thread_that_started_it():
    found = []
    thread = threading.Thread(target=lambda: found.append(Program(["sh", "-c", "sleep 0.5; echo done"], "x")))
    thread.start()
    thread.join()
    assert found[0].read(100) == b"done\n"


def test_a_program_that_cannot_be_started_raises_one_sentence():
    with pytest.raises(
        AudioError, match=r"^x: the program nothing cannot be started \(it is not installed\)$"
    ):
        Program(["nothing"], "x")


@pytest.mark.slow
@linux
def test_the_memory_of_a_program_is_bounded():
    allocate = "x = bytearray({}); print(len(x))"
    for size, expected in ((launching.MEMORY_LIMIT // 2, 0), (launching.MEMORY_LIMIT + 1, 1)):
        assert output_of([sys.executable, "-S", "-c", allocate.format(size)], "x")[1] == expected


@linux
def test_programs_run_at_the_priority_of_the_calling_thread():
    """The server's thread for files has a lower priority than live streams, and so have the programs it starts."""
    found = []

    def call():
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 7)
        program = Program(["sleep", "600"], "x")
        found.append(os.getpriority(os.PRIO_PROCESS, program._process.pid))
        program.close()

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert found == [7]


CHILD = """
import os, sys, threading
from sed.audio import open_audio
if sys.argv[2] == "fork" and os.fork():
    os.wait()
    sys.exit()
reading = threading.Thread(target=lambda: list(open_audio(sys.argv[1])))
reading.start()
reading.join()
"""


@linux
@pytest.mark.parametrize("how", ["thread", "fork"])
def test_a_program_ends_when_its_parent_is_killed(recording, hang, how):
    pids = hang("ffprobe", "")
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(recording), how])
    wait_until(lambda: len(pids()) == 2)
    script = pids()[0]
    parent = int(Path(f"/proc/{script}/stat").read_text().rpartition(")")[2].split()[1])
    assert (parent == child.pid) == (how == "thread")
    os.kill(parent, signal.SIGKILL)
    child.wait(5)
    wait_until(lambda: not is_running(script), 2.0)


@pytest.mark.slow
@linux
@pytest.mark.parametrize(
    "name, number, more",
    [("ffprobe", signal.SIGTERM, ["--workers", "2"]), ("ffmpeg", signal.SIGINT, [])],
)
def test_signals_end_sed_run_while_a_program_hangs(recording, hang, name, more, number):
    pids = hang(name)
    run = subprocess.Popen(
        [sys.executable, "-m", "sed.cli.run", recording, *more], stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: len(pids()) == 2, 20)
    run.send_signal(number)
    started = time.monotonic()
    assert run.wait(8) == 1 and "interrupted" in run.stderr.read()
    assert time.monotonic() - started < 3
    wait_until(lambda: not any(map(is_running, pids())), 2)


@pytest.mark.slow
@linux
def test_signals_end_sed_live_while_a_program_hangs(recording, hang):
    pids = hang("ffmpeg")
    command = [sys.executable, "-m", "sed.cli.live", "--input", recording, "--fast"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_until(lambda: len(pids()) == 2 and handles(run.pid, signal.SIGTERM), 20)
    run.send_signal(signal.SIGTERM)
    assert run.wait(5) == 0
    wait_until(lambda: not any(map(is_running, pids())), 2)


def serve():
    command = [sys.executable, "-m", "sed.cli.serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    url = next(word for line in server.stdout for word in line.split() if word.startswith("http://"))
    return server, url


@pytest.mark.slow
@linux
def test_signals_end_sed_serve_while_a_program_hangs(recording, hang):
    pytest.importorskip("uvicorn")
    pids = hang("ffprobe")
    server, url = serve()
    client = http.client.HTTPConnection(url.split("/")[2])
    client.request("POST", "/diarize?name=recording", recording.read_bytes())
    wait_until(lambda: len(pids()) == 2, 20)
    started = time.monotonic()
    server.send_signal(signal.SIGTERM)
    server.wait(10)
    assert time.monotonic() - started < 6
    wait_until(lambda: not any(map(is_running, pids())), 2)


@pytest.mark.slow
@linux
def test_a_client_that_disconnects_ends_the_program(recording, hang):
    pytest.importorskip("uvicorn")
    pids = hang("ffprobe")
    server, url = serve()
    try:
        client = http.client.HTTPConnection(url.split("/")[2])
        client.request("POST", "/diarize?name=recording", recording.read_bytes())
        wait_until(lambda: len(pids()) == 2, 20)
        client.close()
        wait_until(lambda: not any(map(is_running, pids())), 2)
    finally:
        server.kill()
        server.wait()
