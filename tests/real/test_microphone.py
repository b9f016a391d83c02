"""A virtual microphone for PortAudio: a file that ALSA plays as its default device.

It delivers the samples of the file, so the output of `sed-live` can be compared with that of the offline path, byte by
byte.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sed import EmotionDiarizer, formats

ROOT = Path(__file__).resolve().parents[2]
ALSA = Path("/usr/share/alsa/alsa.conf")
pytestmark = [pytest.mark.real, pytest.mark.alone]


@pytest.fixture(scope="module")
def talk() -> np.ndarray:
    """8 s of a real meeting, int16."""
    wave, rate = soundfile.read(ROOT / "tests" / "data" / "ami_dev00.flac", dtype="int16", frames=8 * 16_000)
    assert rate == 16_000
    return wave


@pytest.fixture
def run(tmp_path, talk, not_here):
    """Run Python with a microphone that delivers `talk` and then silence."""
    try:
        import sounddevice  # noqa: F401
    except (ImportError, OSError) as error:
        not_here(f"no PortAudio ({error}): apt install libportaudio2 libasound2-plugins")
    if not ALSA.exists():
        not_here(f"no ALSA on this system: {ALSA} is missing")
    # PortAudio opens the device to probe it, and after its end the file would deliver garbage: hence the silence.
    np.concatenate([talk, np.zeros(120 * 16_000, np.int16)]).tofile(tmp_path / "microphone.raw")
    config = tmp_path / "asound.conf"
    config.write_text(
        f"<{ALSA}>\n"
        'pcm.filemic { type file slave.pcm "null" file "/dev/null" '
        f'infile "{tmp_path / "microphone.raw"}" format "raw" }}\n'
        'pcm.!default { type plug slave { pcm "filemic" format S16_LE channels 1 rate 16000 } }\n'
        "ctl.!default { type null }\n"
    )
    environment = {**os.environ, "ALSA_CONFIG_PATH": str(config), "OMP_NUM_THREADS": "1"}

    def python(*arguments):
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    return python


def rttm(result, path):
    formats.write(result, path)
    return path.read_bytes()


def test_the_device_is_listed(run):
    done = run("-m", "sed.cli.live", "--list-devices")
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if "default" in line.split()[1])
    assert row.split()[2] == "ALSA"
    assert row.split()[-3:] == ["16000", "Hz", "yes"]


CAPTURE = """
import sys, numpy as np
from sed.live import Microphone
from sed.live.blocks import BlockQueue
microphone, queue, blocks = Microphone(rate=16000), BlockQueue(16000), []
microphone.start(queue)
while sum(map(len, blocks)) < int(sys.argv[2]):
    blocks.append(queue.get(timeout=10))
queue.finish()
microphone.stop()
np.concatenate(blocks).tofile(sys.argv[1])
"""


def test_capture_is_bit_exact_with_a_short_queue(run, talk, tmp_path):
    done = run("-c", CAPTURE, tmp_path / "recorded.raw", len(talk))
    assert done.returncode == 0, done.stderr
    recorded = np.fromfile(tmp_path / "recorded.raw", np.int16)
    np.testing.assert_array_equal(recorded[: len(talk)], talk)


@pytest.mark.slow
def test_live_equals_offline_on_the_same_samples(run, talk, tmp_path):
    done = run("-m", "sed.cli.live", "--rate", 16_000, "--duration", 8, "-o", "rttm",
               "--record", tmp_path / "recorded.wav", "-o", tmp_path / "recorded.rttm")  # fmt: skip
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(soundfile.read(tmp_path / "recorded.wav", dtype="int16")[0], talk)
    samples = talk.astype(np.float32) / np.float32(32768)
    expected = EmotionDiarizer(latency=1.0)((samples, 16_000), uri="recorded")
    assert expected.segments
    assert (tmp_path / "recorded.rttm").read_bytes() == rttm(expected, tmp_path / "expected.rttm")
    lines = (tmp_path / "expected.rttm").read_text().splitlines()
    assert sorted(done.stdout.splitlines()) == sorted(lines)


@pytest.mark.slow
def test_another_rate_equals_offline_on_the_recording(run, tmp_path):
    done = run("-m", "sed.cli.live", "--rate", 44_100, "--channels", "mix", "--duration", 6, "--latency", 2,
               "--record", tmp_path / "recorded.flac", "-o", tmp_path / "recorded.rttm")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert soundfile.info(tmp_path / "recorded.flac").samplerate == 44_100
    expected = EmotionDiarizer(latency=2.0)(tmp_path / "recorded.flac")
    assert expected.duration == 6.0
    assert expected.segments
    assert (tmp_path / "recorded.rttm").read_bytes() == rttm(expected, tmp_path / "expected.rttm")


def test_a_device_that_does_not_exist(run):
    done = run("-m", "sed.cli.live", "--device", "studio")
    assert done.returncode == 2
    assert done.stderr.startswith("sed-live: no microphone has 'studio' in its name: expected one of ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_an_unsupported_rate(run, tmp_path):
    done = run("-m", "sed.cli.live", "--rate", 1_000, "--record", tmp_path / "a.wav")
    assert done.returncode == 1
    assert done.stderr.startswith("sed-live: cannot open the microphone default")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "a.wav").exists()


@pytest.mark.slow
def test_a_real_device_that_disappears(tmp_path, need_program, not_here):
    if not list(Path("/usr/lib").rglob("libasound_module_pcm_pulse.so")):
        not_here("no ALSA plugin for PulseAudio: apt install libasound2-plugins")
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "asound.conf").write_text(
        f"<{ALSA}>\npcm.!default {{ type pulse }}\nctl.!default {{ type null }}\n"
    )
    environment = {
        **os.environ,
        "ALSA_CONFIG_PATH": str(tmp_path / "asound.conf"),
        "HOME": str(tmp_path),
        "OMP_NUM_THREADS": "1",
        "PULSE_SERVER": f"unix:{tmp_path / 'run' / 'socket'}",
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
    }
    pulse = subprocess.Popen(
        [need_program("pulseaudio"), "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no",
         "-L", f"module-native-protocol-unix socket={tmp_path / 'run' / 'socket'} auth-anonymous=1",
         "-L", "module-null-sink"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: (tmp_path / "run" / "socket").exists())
        live = subprocess.Popen(
            [sys.executable, "-m", "sed.cli.live", "--record", tmp_path / "a.wav", "-o", tmp_path / "a.json"],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for(lambda: live.poll() is not None or (tmp_path / "a.wav").exists())
    finally:
        pulse.kill()
        pulse.wait()
    _, err = live.communicate(timeout=60)
    assert live.returncode == 1
    assert err.splitlines()[0] == "sed-live: the microphone default was lost"
    assert "Expression" not in err  # PortAudio's own messages
    assert "Traceback" not in err
    recorded = soundfile.info(tmp_path / "a.wav").duration
    assert recorded > 0
    assert formats.read(tmp_path / "a.json").duration == pytest.approx(recorded, abs=0.001)


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timeout"
        time.sleep(0.05)


@pytest.mark.slow
def test_the_demo(run, talk):
    done = run(ROOT / "demo" / "microphone.py", "6")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows
    assert all(0 <= float(start) < float(end) <= 7 for start, end, *_ in rows)
    assert {row[2] for row in rows} <= {"spk00", "spk01", "spk02", "spk03"}
