"""The package's exceptions: each says in one sentence what was found and what was expected.

Everything `sed` raises on bad input derives from `SedError`, so one `except` at the border is enough.
"""

from __future__ import annotations

DISTRIBUTION = "speech-emotion-diarization"
"""The name by which pip knows this package."""


def install_hint(extras: str) -> str:
    """How to install `extras`, several with commas.

    >>> install_hint("live")
    "pip install 'speech-emotion-diarization[live]'"
    """
    return f"pip install '{DISTRIBUTION}[{extras}]'"


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))


class SedError(Exception):
    """Base of every error that `sed` raises on purpose; its text is one sentence for a person, on one line.

    `path` is the file that it is about, `kind` the format; each is None where it is not known.

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
        """The sentence without the path in front of it."""
        return str(self) if self.path is None else str(self).removeprefix(_one_line(f"{self.path}: "))

    def __str__(self) -> str:
        return _one_line(super().__str__())  # names of files and messages of libraries may have more


class AudioError(SedError, ValueError):
    """The audio cannot be used: not audio, truncated, empty, not finite, no such channel."""


class FormatError(SedError, ValueError):
    """An annotation file cannot be read, or a result cannot be written in a format."""


class ModelError(SedError, ValueError):
    """A model file is missing, damaged, or not of the expected kind."""


class OptionError(SedError, ValueError):
    """An option has a value that makes no sense."""


class DeviceError(SedError, OSError):
    """A microphone cannot be opened, or was lost."""


class WorkerError(SedError, RuntimeError):
    """Worker processes or the workers of a cluster cannot be started, or the cluster cannot be reached."""


class MissingDependencyError(SedError, ImportError):
    """An optional package or program is needed and not installed; the text says how to install it."""
