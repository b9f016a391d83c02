"""The package's exceptions: each states in one sentence what was found and what was expected.

Every exception that `sed` raises on bad input derives from `SedError`.
"""

from __future__ import annotations

DISTRIBUTION = "speech-emotion-diarization"
"""The name of this package for pip."""


def install_hint(extras: str) -> str:
    """The command that installs `extras` (comma-separated).

    >>> install_hint("live")
    "pip install 'speech-emotion-diarization[live]'"
    """
    return f"pip install '{DISTRIBUTION}[{extras}]'"


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))


class SedError(Exception):
    """Base class of all errors that `sed` raises on bad input; the message is one sentence on one line.

    `path` is the file concerned, `kind` its format; each is None if unknown.

    >>> error = FormatError("a.rttm: cannot be written (No space left on device)", path="a.rttm")
    >>> error.problem
    'cannot be written (No space left on device)'
    """

    path: str | None = None
    kind: str | None = None

    def __init__(self, *args: object, path: str | None = None, kind: str | None = None) -> None:
        super().__init__(*args)
        self.path, self.kind = path, kind

    @property
    def problem(self) -> str:
        """The message without the leading path."""
        return str(self) if self.path is None else str(self).removeprefix(_one_line(f"{self.path}: "))

    def __str__(self) -> str:
        return _one_line(super().__str__())  # file names and messages of libraries may contain line breaks


class AudioError(SedError, ValueError):
    """The audio cannot be used: not audio, truncated, empty, not finite, no such channel."""


class FormatError(SedError, ValueError):
    """An annotation file cannot be read, or a result cannot be written in a format."""


class ModelError(SedError, ValueError):
    """A model file is missing, damaged, or not of the expected kind."""


class OptionError(SedError, ValueError):
    """An option has an invalid value."""


class DeviceError(SedError, OSError):
    """A microphone cannot be opened or was disconnected, or a GPU cannot be used."""


class WorkerError(SedError, RuntimeError):
    """Worker processes or the workers of a cluster cannot be started, or the cluster cannot be reached."""


class MissingDependencyError(SedError, ImportError):
    """An optional package or program is not installed; the message states how to install it."""
