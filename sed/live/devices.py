"""Input devices of PortAudio (package sounddevice): list them, and find one by number or name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sed.console import quiet_libraries
from sed.errors import DeviceError, MissingDependencyError, OptionError, install_hint


@dataclass(frozen=True)
class Device:
    """An input device: PortAudio's number, name, host API, input channels, default sample rate in Hz."""

    number: int
    name: str
    host: str
    channels: int
    rate: int
    default: bool


def list_devices() -> list[Device]:
    """All devices with input channels.

    Raises `MissingDependencyError` without sounddevice or PortAudio, `DeviceError` if PortAudio fails.
    """
    sounddevice = load_sounddevice()
    try:
        hosts = sounddevice.query_hostapis()
        found = sounddevice.query_devices()
        default = sounddevice.default.device[0]
    except sounddevice.PortAudioError as error:
        raise DeviceError(f"PortAudio cannot list the microphones: {reason(error)}") from error
    if default is None or default < 0:  # PortAudio reports a default only if the first host API has one
        default = next((h["default_input_device"] for h in hosts if h["default_input_device"] >= 0), -1)
    return [
        Device(
            number,
            row["name"],
            hosts[row["hostapi"]]["name"],
            row["max_input_channels"],
            round(row["default_samplerate"]),
            number == default,
        )
        for number, row in enumerate(found)
        if row["max_input_channels"] > 0
    ]


def find_device(choice: str | int | None = None) -> Device:
    """The input device with the number `choice`, or whose name contains it; None: the default one.

    Raises `DeviceError` if there is no microphone, `OptionError` if none or several match.
    """
    devices = list_devices()
    if not devices:
        raise DeviceError(
            "no microphone found: expected an input device that this user is allowed to open (is one plugged in?)"
        )
    if choice is None or choice == "":
        return next((d for d in devices if d.default), devices[0])
    available = ", ".join(f"{d.number} {d.name}" for d in devices)
    if str(choice).isdigit():
        if match := [d for d in devices if d.number == int(choice)]:
            return match[0]
        raise OptionError(f"no microphone has the number {choice}: expected one of {available}")
    wanted = str(choice).lower()
    matches = [d for d in devices if d.name.lower() == wanted]
    matches = matches or [d for d in devices if wanted in d.name.lower()]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise OptionError(f"no microphone has {choice!r} in its name: expected one of {available}")
    names = ", ".join(f"{d.number} {d.name}" for d in matches)
    raise OptionError(
        f"several microphones have {choice!r} in their names: expected the number of one of {names}"
    )


def load_sounddevice() -> Any:
    """Import sounddevice. Raises `MissingDependencyError` with what to install."""
    try:
        with quiet_libraries():
            import sounddevice
    except ImportError as error:
        raise MissingDependencyError(
            f"a microphone needs the package sounddevice: {install_hint('live')}"
        ) from error
    except OSError as error:
        raise MissingDependencyError(
            "a microphone needs the PortAudio library, which is not installed "
            "(Debian and Ubuntu: apt install libportaudio2)"
        ) from error
    return sounddevice


def reason(error: Exception) -> str:
    """PortAudio's error message without its prefixes."""
    text = str(error.args[0]) if error.args else str(error)
    return text.removeprefix("Error opening InputStream: ").removeprefix("Error starting stream: ").strip()
