"""``sed-live`` as a program with an injected stream: its outputs, exit statuses and messages."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from sed import formats
from sed.cli.live import main
from sed.result import Segment
from sed.streaming.events import Event, Relabel

LABELS = ("neutral", "happy", "angry", "sad")


class HalfSeconds:
    """One final segment per half second, with two alternating speakers, who turn out to be one; then the rest."""

    labels, dimensions, settings = LABELS, (), {}

    def __init__(self) -> None:
        self.samples, self.number, self.relabelled = 0, 0, False
        self.current = dict.fromkeys(LABELS, 0.25)

    def push(self, samples):
        self.samples += len(samples)
        events = []
        while self.samples >= (self.number + 1) * 8000:
            events.append(self._event(self.number / 2 + 0.5, True))
            self.number += 1
        return (
            [*events, self._event(self.samples / 16_000, False)]
            if self.samples > self.number * 8000
            else events
        )

    def close(self):
        return [self._event(self.samples / 16_000, True)] if self.samples > self.number * 8000 else []

    def take_relabels(self):
        due, self.relabelled = self.number >= 3 and not self.relabelled, self.number >= 3
        return [Relabel("spk01", "spk00", 1.5)] if due else []

    def _event(self, end, final):
        emotion, time = LABELS[self.number % 4], self.samples / 16_000
        probabilities = dict.fromkeys(LABELS, 0.1) | {emotion: 0.7}
        segment = Segment(self.number / 2, end, f"spk{self.number % 2:02d}", emotion, 0.7, probabilities)
        return Event(self.number, segment, final, time, end if final else self.number / 2)


PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import sed.cli.live
from test_live import HalfSeconds
sed.cli.live._stream = lambda **settings: HalfSeconds()
sed.cli.live.main()
"""


@pytest.fixture
def call(monkeypatch):
    """Run the command in this process; returns its exit code, standard output and standard error."""
    monkeypatch.setattr("sed.cli.live._stream", lambda **settings: HalfSeconds())

    def run(*arguments):
        done = CliRunner().invoke(main, [str(a) for a in arguments])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.stdout, done.stderr

    return run


@pytest.fixture
def talk(tmp_path):
    """3.2 s of noise in a file, its samples int16."""
    wave = np.random.default_rng(5).integers(-9000, 9000, 51_200).astype(np.int16)
    soundfile.write(tmp_path / "talk.wav", wave, 16_000)
    return tmp_path / "talk.wav"


def start(*arguments, **settings):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def test_plain_lines_without_a_terminal(call, talk):
    code, out, err = call("--input", talk, "--fast")
    assert code == 0
    assert out.splitlines()[:2] == [
        "     0.00      0.50  spk00    neutral   0.70",
        "     0.50      1.00  spk01    happy     0.70",
    ]
    assert len(out.splitlines()) == 7
    assert "0:03.2 of audio, 7 segments" in err
    assert "spk01    happy 1.0 s, sad 0.5 s" in err


def test_one_segment_and_one_path_given_twice(call, talk, tmp_path):
    path = tmp_path / "a.rttm"
    code, _, err = call("--input", talk, "--fast", "--duration", "0.5", "-o", f"{path},{path}")
    assert code == 0 and len(formats.read(path)) == 1
    assert "0:00.5 of audio, 1 segment\n" in err and err.endswith(f"written: {path}\n")


def test_rttm_on_standard_output_can_be_read(call, talk, tmp_path):
    code, out, _ = call("--input", talk, "--fast", "-o", "rttm", "-q")
    assert code == 0
    (tmp_path / "out.rttm").write_text(out)
    found = formats.read(tmp_path / "out.rttm")
    assert found.uri == "talk"
    assert [s.end for s in found] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.2]


def test_several_outputs(call, talk, tmp_path):
    paths = [tmp_path / "a.rttm", tmp_path / "a.json", tmp_path / "a.csv"]
    code, out, err = call(
        "--input", talk, "--fast", "-o", f"{paths[0]},{paths[1]}", "-o", paths[2], "-o", "webvtt"
    )
    assert code == 0
    assert out.startswith("WEBVTT")
    for path in paths:
        assert len(formats.read(path)) == 7
        assert str(path) in err
    assert formats.read(paths[1]).duration == 3.2
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_name_with_spaces_and_undecodable_bytes(call, talk, tmp_path):
    """The results have the name of the recording, in the growing RTTM as in the finished files."""
    sound = tmp_path / "my caf\udce9.flac"
    paths = [tmp_path / "a b.rttm", tmp_path / "c.json"]
    code, _, err = call("--input", talk, "--fast", "--record", sound, "-o", paths[0], "-o", paths[1])
    assert code == 0, err
    assert sound.exists() and {formats.read(path).uri for path in paths} == {"my caf\udce9"}
    assert paths[0].read_text().startswith("SPEAKER my%20caf%E9 1 ")
    code, out, _ = call("--input", sound, "--fast", "-o", "rttm")
    assert code == 0 and out.startswith("SPEAKER my%20caf%E9 1 ")


def test_events_as_json_lines(call, talk):
    code, out, _ = call("--input", talk, "--fast", "--json-lines")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [r["segment"]["end"] for r in rows if r["final"]] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.2]
    assert any(not r["final"] for r in rows)
    assert set(rows[0]) == {"type", "id", "final", "time", "settled", "segment"}
    assert rows[0]["segment"]["probabilities"]["neutral"] == 0.7


def test_relabels_are_reported_only_if_requested(call, talk):
    plain, events = call("--input", talk, "--fast")[1], call("--input", talk, "--fast", "--json-lines")[1]
    code, out, _ = call("--input", talk, "--fast", "--relabel")
    assert code == 0
    new = [line for line in out.splitlines() if line not in plain.splitlines()]
    assert new == ["     1.50            spk01    is spk00"]
    assert "".join(line + "\n" for line in out.splitlines() if line not in new) == plain
    code, out, _ = call("--input", talk, "--fast", "--relabel", "--json-lines")
    new = [line for line in out.splitlines() if line not in events.splitlines()]
    assert [json.loads(line) for line in new] == [
        {"type": "relabel", "from": "spk01", "to": "spk00", "time": 1.5}
    ]
    rttm = [call("--input", talk, "--fast", "-o", "rttm", *more)[1] for more in ([], ["--relabel"])]
    assert rttm[0] == rttm[1] and "spk01" in rttm[0]


def test_the_recording_equals_the_processed_audio(call, talk, tmp_path):
    for name in ("a.wav", "b.flac"):
        assert call("--input", talk, "--fast", "--record", tmp_path / name, "--duration", "1.25")[0] == 0
        got = soundfile.read(tmp_path / name, dtype="int16")[0]
        np.testing.assert_array_equal(got, soundfile.read(talk, dtype="int16")[0][:20_000])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "nonsense"], "expected a path or one of"),
        (["-o", "rttm,json"], "2 formats on standard output: expected at most one, and paths for the others"),
        (["--record", "talk.wav", "--overwrite"], "--record talk.wav is the file that --input plays"),
        (["-o", "rttm", "--json-lines"], "rttm and events on standard output"),
        (["-o", "no/folder/a.rttm"], "expected the folder no/folder to exist"),
        (["--record", "a.ogg"], "expected a name that ends in .wav or .flac"),
        (["--device", "3"], "--input cannot be combined with --device"),
        (["--channels", "split"], "channels 'split': expected mix or a channel number"),
        (["--channels", "0"], "channels '0'"),
        (["--latency", "a while"], "not a valid float"),
        (["--duration", "0"], "not in the range"),
    ],
)
def test_usage_errors_are_reported_before_anything_starts(
    call, talk, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    code, out, err = call("--input", talk, *arguments)
    assert code == 2
    assert message in err
    assert out == ""
    assert [p.name for p in tmp_path.iterdir()] == ["talk.wav"]
    assert soundfile.info(talk).frames == 51_200


def test_fast_requires_a_file(call):
    assert call("--fast")[0] == 2


def test_an_existing_recording_is_kept(call, talk, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"precious")
    code, _, err = call("--input", talk, "--fast", "--record", tmp_path / "a.wav")
    assert (code, "the file exists" in err) == (2, True)
    assert (tmp_path / "a.wav").read_bytes() == b"precious"
    assert call("--input", talk, "--fast", "--record", tmp_path / "a.wav", "--overwrite")[0] == 0
    assert soundfile.info(tmp_path / "a.wav").frames == 51_200


def test_a_file_that_is_not_audio(call, tmp_path):
    (tmp_path / "a.wav").write_text("no audio " * 100)
    code, out, err = call("--input", tmp_path / "a.wav", "--fast", "-o", tmp_path / "a.rttm")
    assert (code, out) == (1, "")
    assert str(tmp_path / "a.wav") in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "a.rttm").exists()


class FakeAudio(SimpleNamespace):
    """A sounddevice with one microphone, which delivers 2 s and is then lost, or cannot be opened."""

    class PortAudioError(Exception):
        pass

    def query_hostapis(self):
        return [{"name": "ALSA", "default_input_device": 0}]

    def query_devices(self):
        row = {"name": "USB Mic", "hostapi": 0, "max_input_channels": 1, "default_samplerate": 16_000.0}
        return [] if self.how == "none" else [row]

    def InputStream(self, callback, finished_callback, **settings):  # noqa: N802
        if self.how == "fails":
            raise self.PortAudioError("Error opening InputStream: Device unavailable [PaErrorCode -9985]")

        def play():
            for _ in range(40):
                callback(np.full((800, 1), 99, np.int16), 800, None, SimpleNamespace(input_overflow=False))
            finished_callback()

        return SimpleNamespace(start=play, close=lambda: None)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("none", "sed-live: no microphone found: expected an input device that this user is allowed to open"),
        ("fails", "sed-live: cannot open the microphone USB Mic"),
    ],
)
def test_without_a_microphone_existing_results_are_kept(call, tmp_path, monkeypatch, how, message):
    monkeypatch.setitem(
        sys.modules, "sounddevice", FakeAudio(how=how, default=SimpleNamespace(device=[-1, -1]))
    )
    (tmp_path / "a.rttm").write_text("old")
    code, out, err = call("--record", tmp_path / "a.wav", "-o", tmp_path / "a.rttm")
    assert (code, out) == (1, "")
    assert err.splitlines()[0].startswith(message)
    assert (tmp_path / "a.rttm").read_text() == "old"
    assert not (tmp_path / "a.wav").exists()


def test_a_lost_microphone_keeps_the_results(call, tmp_path, monkeypatch):
    monkeypatch.setitem(
        sys.modules, "sounddevice", FakeAudio(how="lost", default=SimpleNamespace(device=[0, -1]))
    )
    code, _, err = call("--record", tmp_path / "a.wav", "-o", tmp_path / "a.rttm")
    assert code == 1
    assert err.splitlines()[0] == "sed-live: the microphone USB Mic was lost"
    assert soundfile.info(tmp_path / "a.wav").frames == 32_000
    assert [s.end for s in formats.read(tmp_path / "a.rttm")] == [0.5, 1.0, 1.5, 2.0]


def test_the_list_of_devices(call, monkeypatch):
    monkeypatch.setitem(
        sys.modules, "sounddevice", FakeAudio(how="", default=SimpleNamespace(device=[0, -1]))
    )
    code, out, _ = call("--list-devices")
    assert code == 0
    assert out.splitlines()[0].split() == ["number", "name", "system", "channels", "rate", "default"]
    assert out.splitlines()[1].split() == ["0", "USB", "Mic", "ALSA", "1", "16000", "Hz", "yes"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_stop_it_cleanly(tmp_path, name):
    soundfile.write(tmp_path / "long.wav", np.full(16_000 * 60, 500, np.int16), 16_000)
    process = start("--input", tmp_path / "long.wav", "--record", tmp_path / "a.wav", "-o", tmp_path / "a.rttm",
                    "-o", "rttm")  # fmt: skip
    first = process.stdout.readline()
    assert first.startswith("SPEAKER a 1 0.000 0.500 neutral")
    process.send_signal(getattr(signal, name))
    rest, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in err
    written = formats.read(tmp_path / "a.rttm")
    assert len(written) == 1 + len(rest.splitlines())
    assert written.segments[-1].end == pytest.approx(soundfile.info(tmp_path / "a.wav").duration, abs=0.001)


@pytest.mark.slow
def test_nohup_keeps_it_running(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.full(16_000 * 60, 500, np.int16), 16_000)
    process = start("--input", tmp_path / "long.wav", "-o", "rttm",
                    preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))  # fmt: skip
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    assert process.stdout.readline().startswith("SPEAKER long 1 0.500")
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.slow
def test_after_a_kill_final_segments_and_a_valid_recording_remain(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.full(16_000 * 60, 500, np.int16), 16_000)
    process = start(
        "--input", tmp_path / "long.wav", "--record", tmp_path / "a.wav", "-o", tmp_path / "a.rttm"
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if (tmp_path / "a.rttm").exists() and (tmp_path / "a.rttm").read_text().count("\n") >= 2:
            break
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert [s.end for s in formats.read(tmp_path / "a.rttm")][:2] == [0.5, 1.0]
    assert soundfile.info(tmp_path / "a.wav").duration >= 1.0


@pytest.mark.slow
def test_a_closed_pipe_stops_it_and_the_files_are_written(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.full(16_000 * 60, 500, np.int16), 16_000)
    process = start("--input", tmp_path / "long.wav", "-o", "rttm", "-o", tmp_path / "a.json")
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1
    assert "standard output was closed by its reader" in err
    assert "Traceback" not in err
    assert len(formats.read(tmp_path / "a.json")) >= 1


@pytest.mark.slow
def test_a_pipe_that_is_closed_from_the_start(tmp_path, talk):
    process = start("--input", talk, "--fast", "-o", "json", "-o", tmp_path / "a.csv")
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1
    assert "standard output was closed by its reader" in err
    assert "Traceback" not in err
    assert len(formats.read(tmp_path / "a.csv")) == 7


HOME = "\x1b[H"  # the start of every redraw


def set_size(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def in_terminal(arguments, steps):
    """Run it in a terminal of 80 x 24; returns its exit code and its output before and after each step.

    A step is a condition, a function of the output since the last step, and an action, a function of the terminal
    and the process.
    """
    primary, secondary = pty.openpty()
    set_size(secondary, 24, 80)
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        env={**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        start_new_session=True,
    )
    os.close(secondary)
    os.set_blocking(primary, False)
    outputs, end, ended = [b""], time.monotonic() + 60, False
    while not ended:
        assert time.monotonic() < end, f"timeout; output of the terminal: {outputs[-1][-2000:]!r}"
        ended = process.poll() is not None
        try:
            while data := os.read(primary, 65_536):
                outputs[-1] += data
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:  # the other end is closed
            pass
        if steps and steps[0][0](outputs[-1].decode("utf-8", "replace")):
            steps.pop(0)[1](primary, process)
            outputs.append(b"")
    os.close(primary)
    return process.returncode, [part.decode("utf-8", "replace") for part in outputs]


@pytest.mark.slow
def test_the_timeline_in_a_terminal(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.full(16_000 * 60, 500, np.int16), 16_000)
    steps = [
        (lambda out: "spk01" in out and out.count(HOME) > 4, lambda terminal, _: set_size(terminal, 15, 60)),
        (lambda out: out.count(HOME) > 4, lambda _, process: process.send_signal(signal.SIGINT)),
    ]
    code, (large, small, last) = in_terminal(["--input", tmp_path / "long.wav"], steps)
    whole = large + small + last
    assert code == 0
    assert whole.count("\x1b[?1049h") == whole.count("\x1b[?1049l") == 1  # the terminal is restored
    screen = large.split(HOME)[-2]
    assert "sed-live" in screen
    assert "latency 1.0 s" in screen
    assert screen.count("\n") == 23
    assert small.split(HOME)[-2].count("\n") == 14
    assert "of audio" in last.split("\x1b[?1049l")[1]
    assert "Traceback" not in whole


def test_help_imports_no_heavy_packages():
    check = (
        "import sys\nfrom click.testing import CliRunner\nfrom sed.cli.live import main\n"
        "done = CliRunner().invoke(main, ['--help'])\nassert done.exit_code == 0, done.output\n"
        "heavy = {'numpy', 'rich', 'soundfile', 'sounddevice', 'onnxruntime', 'pyannote.core', 'sed.live'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
