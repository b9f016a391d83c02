"""The emotion model in the package: its name for ``--tagger``, its file and its licence.

This is the only place that names the file. Its card, ``sed/models/emotion.md``, lies beside it.
"""

from __future__ import annotations

from pathlib import Path

from sed.inference import MODELS

NAME = "bundled"
FILE = "emotion.onnx"
LICENCE = "Apache-2.0"


def bundled_path() -> Path:
    """The ONNX file, which `sed.emotion.onnx.OnnxTagger` opens."""
    return MODELS / FILE


def is_bundled(tagger: object) -> bool:
    """Whether the value of ``--tagger`` or ``EmotionDiarizer(tagger=)`` means the model in the package (as None does).

    A file or folder of that name is meant by its path.

    >>> is_bundled(None), is_bundled("bundled"), is_bundled("./bundled"), is_bundled(Path("bundled"))
    (True, True, False, False)
    """
    return tagger is None or tagger == NAME
