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


class SedError(Exception):
    """Base of every error that `sed` raises on purpose; its text is one sentence for a person, on one line."""

    def __str__(self) -> str:
        return " ".join(
            super().__str__().split("\n")
        )  # names of files and messages of libraries may have more


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
