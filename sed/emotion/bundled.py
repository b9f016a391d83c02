"""The emotion models in the package: their names for ``--tagger``, files, licences, and which is the default.

This is the only place that names their files. A model card, ``sed/models/<file>.md``, lies beside each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sed.inference import MODELS


@dataclass(frozen=True)
class Edition:
    """A bundled model: `name` as for ``--tagger``, `file` in ``sed/models``, `licence`, and one sentence about it."""

    name: str
    file: str
    licence: str
    commercial: bool
    about: str

    @property
    def path(self) -> Path:
        """The ONNX file, which `sed.emotion.onnx.OnnxTagger` opens."""
        return MODELS / self.file


DEFAULT = Edition(
    "default",
    "emotion-compact.onnx",
    "CC BY-NC-SA 4.0",
    commercial=False,
    about="the most accurate one, not for commercial use",
)
FREE = Edition(
    "free",
    "emotion-free.onnx",
    "ODbL 1.0, CC0, MIT, Apache-2.0",
    commercial=True,
    about="free for every use, with credit to CREMA-D",
)
EDITIONS = (DEFAULT, FREE)


def edition_of(tagger: object) -> Edition | None:
    """The edition that the value of ``--tagger`` or ``EmotionDiarizer(tagger=)`` names (None: the default edition);
    None if it is another model. A file or folder with the name of an edition is meant by its path, such as ``./free``.

    >>> edition_of(None).name, edition_of("free").name, edition_of("./free"), edition_of(Path("free"))
    ('default', 'free', None, None)
    """
    if tagger is None:
        return DEFAULT
    if not isinstance(tagger, str):
        return None
    return next((edition for edition in EDITIONS if edition.name == tagger), None)


def described_editions() -> str:
    """The editions in one line, for the help of commands.

    >>> print(described_editions())
    default (CC BY-NC-SA 4.0: ... not for commercial use), free (...: free for every use, ...)
    """
    return ", ".join(f"{edition.name} ({edition.licence}: {edition.about})" for edition in EDITIONS)
