"""Selecting and opening microphones with a fake PortAudio, including every way in which it can fail."""

import builtins
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from sed.errors import DeviceError, MissingDependencyError, OptionError
from sed.live.blocks import BlockQueue
from sed.live.devices import find_device, list_devices
from sed.live.microphone import Microphone


class PortAudioError(Exception):
    pass


class FakeAudio(SimpleNamespace):
    """The part of the module sounddevice that `sed.live` uses; `stream` is the last InputStream created."""

    PortAudioError = PortAudioError

    def __init__(self, rows, default=-1, refuse=None):
        super().__init__(default=SimpleNamespace(device=[default, -1]), refuse=refuse, stream=None)
        self.rows = rows

    def query_hostapis(self):
        return [{"name": "ALSA", "default_input_device": 1 if len(self.rows) > 1 else -1}]

    def query_devices(self):
        return self.rows

    def InputStream(self, **settings):  # noqa: N802 - the name is sounddevice's
        if self.refuse:
            raise PortAudioError(self.refuse)
        self.stream = SimpleNamespace(settings=settings, start=lambda: None, close=lambda: None)
        return self.stream


def row(name, inputs, rate=48_000.0):
    return {"name": name, "hostapi": 0, "max_input_channels": inputs, "default_samplerate": rate}


ROWS = [row("HDA Intel: speakers", 0), row("USB Mic", 1, 44_100.0), row("USB Array", 4), row("pulse", 32)]


@pytest.fixture
def audio(monkeypatch):
    def install(rows=ROWS, **settings):
        fake = FakeAudio(rows, **settings)
        monkeypatch.setitem(sys.modules, "sounddevice", fake)
        return fake

    return install


def test_only_inputs_are_listed(audio):
    audio(default=2)
    devices = list_devices()
    assert [(d.number, d.name, d.channels, d.rate, d.default) for d in devices] == [
        (1, "USB Mic", 1, 44_100, False),
        (2, "USB Array", 4, 48_000, True),
        (3, "pulse", 32, 48_000, False),
    ]


def test_the_default_of_the_host_is_used_if_portaudio_has_none(audio):
    audio(default=-1)
    assert find_device().name == "USB Mic"


@pytest.mark.parametrize(
    ("choice", "name"), [("2", "USB Array"), (3, "pulse"), ("array", "USB Array"), ("PULSE", "pulse")]
)
def test_a_device_by_number_or_part_of_its_name(audio, choice, name):
    audio()
    assert find_device(choice).name == name


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("0", "no microphone has the number 0: expected one of 1 USB Mic, 2 USB Array, 3 pulse"),
        ("webcam", "no microphone has 'webcam' in its name: expected one of 1 USB Mic, 2 USB Array, 3 pulse"),
        (
            "usb",
            "several microphones have 'usb' in their names: expected the number of one of 1 USB Mic, 2 USB Array",
        ),
    ],
)
def test_a_choice_without_a_unique_match_is_reported(audio, choice, message):
    audio()
    with pytest.raises(OptionError) as error:
        find_device(choice)
    assert str(error.value) == message


def test_an_exact_name_is_preferred_to_a_part(audio):
    audio([row("Mic", 1), row("Mic 2", 1)])
    assert find_device("mic").number == 0


def test_no_microphone_at_all(audio):
    audio([row("speakers", 0)])
    with pytest.raises(DeviceError, match="no microphone found"):
        find_device()


def test_without_the_package(monkeypatch):
    real = builtins.__import__

    def fail(name, *rest):
        if name == "sounddevice":
            raise ImportError("No module named 'sounddevice'")
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(MissingDependencyError, match=r"pip install 'speech-emotion-diarization\[live\]'"):
        list_devices()


def test_without_portaudio(monkeypatch):
    real = builtins.__import__

    def fail(name, *rest):
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(MissingDependencyError, match="apt install libportaudio2"):
        list_devices()


def test_a_device_that_cannot_be_opened(audio):
    audio(refuse="Error opening InputStream: Device unavailable [PaErrorCode -9985]")
    with pytest.raises(DeviceError) as error:
        Microphone("array").start(BlockQueue(100))
    assert str(error.value) == (
        "cannot open the microphone USB Array (channels: 1, 48000 Hz): Device unavailable [PaErrorCode -9985]; "
        "expected a device that is free and that this user is allowed to open"
    )


@pytest.mark.parametrize("channels", [0, 5, "split", "left"])
def test_channels_that_do_not_exist(audio, channels):
    audio()
    with pytest.raises(OptionError, match="expected"):
        Microphone("array", channels=channels)


def callback(fake, data, overflow=False):
    fake.stream.settings["callback"](data, len(data), None, SimpleNamespace(input_overflow=overflow))


@pytest.mark.parametrize(
    ("channels", "opened", "expected"),
    [(1, 1, [100, -5]), (3, 3, [300, -7]), ("mix", 4, [250, -6])],
)
def test_channel_choice_and_mix(audio, channels, opened, expected):
    fake, queue = audio(), BlockQueue(100)
    microphone = Microphone("array", channels=channels)
    microphone.start(queue)
    data = np.array([[100, 200, 300, 400], [-5, -6, -7, -6]], np.int16)[:, :opened]
    callback(fake, data)
    assert fake.stream.settings["channels"] == opened
    assert fake.stream.settings["samplerate"] == 48_000
    block = queue.get(timeout=1)
    assert block.dtype == np.int16
    assert block.tolist() == expected
    data[:] = 0  # PortAudio reuses its buffer
    assert block.tolist() == expected


def test_audio_that_portaudio_lost_is_reported(audio, caplog):
    fake = audio()
    microphone = Microphone("array")
    microphone.start(BlockQueue(100))
    for overflow in (False, True, False):
        callback(fake, np.zeros((1, 1), np.int16), overflow)
        microphone.check()
    assert [r.getMessage() for r in caplog.records] == [
        "USB Array: the device's buffer overflowed, so some audio is missing"
    ]


def test_a_virtual_device_is_opened_with_two_channels(audio):
    fake = audio()
    Microphone("pulse", channels="mix").start(BlockQueue(100))
    assert fake.stream.settings["channels"] == 2


def test_the_device_ends_the_stream(audio):
    fake = audio()
    microphone = Microphone("array")
    microphone.start(BlockQueue(100))
    microphone.check()
    fake.stream.settings["finished_callback"]()
    with pytest.raises(DeviceError, match="the microphone USB Array was lost"):
        microphone.check()


def test_closing_is_not_reported_as_a_lost_device(audio):
    fake = audio()
    microphone = Microphone("array")
    microphone.start(BlockQueue(100))
    finished = fake.stream.settings["finished_callback"]
    microphone.stop()
    finished()
    microphone.check()


def test_a_device_that_stops_delivering_blocks(audio, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    fake = audio()
    microphone = Microphone("array")
    microphone.start(BlockQueue(10**6))
    callback(fake, np.zeros((2400, 1), np.int16))
    for _ in range(25):
        now[0] += 0.19
        microphone.check()
    now[0] += 0.5
    with pytest.raises(DeviceError, match="has delivered nothing for 5 s"):
        microphone.check()


def test_a_suspended_program_does_not_report_a_lost_device(audio, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    fake = audio()
    microphone = Microphone("array")
    microphone.start(BlockQueue(10**6))
    callback(fake, np.zeros((2400, 1), np.int16))
    now[0] += 3600
    microphone.check()


@pytest.mark.slow
def test_closing_a_dead_device_does_not_hang(audio):
    fake = audio()
    microphone = Microphone("array")
    microphone.start(BlockQueue(100))
    never = threading.Event()
    fake.stream.close = never.wait
    started = time.monotonic()
    microphone.stop()
    never.set()
    assert time.monotonic() - started < 3.0


def test_blocks_for_other_programs(audio):
    fake = audio()
    with Microphone("array") as microphone:
        for _ in range(3):
            callback(fake, np.full((4800, 1), 8192, np.int16))
        blocks = microphone.blocks()
        samples = np.concatenate([next(blocks) for _ in range(3)])
    assert samples.dtype == np.float32
    assert len(samples) >= 3200
    assert samples[1600:3200] == pytest.approx(0.25, abs=0.01)
