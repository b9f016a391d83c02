"""`sed-run` on a terminal: segments above the progress bar while a recording is analysed, and the same result."""

import os
import pty
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from sed.cli.progress import SHOWN

pytestmark = pytest.mark.slow
TITLE = b"found so far, may still change:"


def on_terminal(*arguments):
    """Standard output, all of standard error (a terminal), and when the first segments and the end came in seconds."""
    primary, secondary = pty.openpty()
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "sed.cli.run", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=secondary,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
    )
    os.close(secondary)
    shown, first = b"", None
    while True:
        try:
            data = os.read(primary, 65_536)
        except OSError:  # the other end is closed
            data = b""
        if not data:
            break
        shown += data
        if first is None and TITLE in shown:
            first = time.monotonic() - started
    os.close(primary)
    output = process.stdout.read()
    assert process.wait(30) == 0
    return output, shown, first, time.monotonic() - started


def plain(*arguments):
    done = subprocess.run([sys.executable, "-m", "sed.cli.run", *map(str, arguments)], capture_output=True)
    assert done.returncode == 0 and done.stderr == b""
    return done.stdout


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Two minutes of conversation."""
    samples, rate = soundfile.read("demo/conversation.flac", dtype="int16")
    path = tmp_path_factory.mktemp("terminal") / "talk.flac"
    soundfile.write(path, np.tile(samples, 3)[: 120 * rate], rate)
    return path


def test_segments_are_shown_while_a_recording_is_analysed_and_then_removed(recording):
    output, shown, first, whole = on_terminal(recording)
    assert output == plain(recording) and output.count(b"SPEAKER talk") > 40
    assert first < 0.8 * whole
    last = shown.rpartition(TITLE)[2]
    assert b"spk00" in last and b"neutral" in last and b"0:0" in shown
    assert last.count(b"\x1b[1A\x1b[2K") > SHOWN  # all lines are erased at the end


def test_standard_output_has_the_result_also_when_the_bar_is_shown(data):
    output, shown, first, _ = on_terminal(data / "emodb_15_angry_1.flac")
    assert output.startswith(b"SPEAKER emodb_15_angry_1 1 ") and b"SPEAKER" not in shown
    assert first is None  # over before anything is found


def test_quiet_shows_nothing_and_several_recordings_only_the_bar(recording, data, tmp_path):
    _, shown, first, _ = on_terminal(recording, "-q")
    assert shown == b"" and first is None
    _, shown, first, _ = on_terminal(recording, data / "emodb_15_angry_1.flac", "-d", tmp_path)
    assert b"processing" in shown or b"1/2" in shown
    assert first is None
