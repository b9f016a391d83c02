"""What they feel: taggers (audio to frame posteriors) and decoders (posteriors to labels)."""

from __future__ import annotations

from pathlib import Path

from sed.emotion.tagger import Tagger
from sed.errors import ModelError


def load_tagger(name: str | Path | None = None, threads: int = 1) -> Tagger:
    """The tagger called `name`: None for the bundled one, or the path of an ONNX file with a card inside.

    Raises `ModelError` where there is no such model or it is not a tagger.

    >>> load_tagger().labels
    ('neutral', 'happy', 'angry', 'sad')
    """
    from sed.emotion.onnx import OnnxTagger

    if name is None:
        return OnnxTagger.bundled(threads)
    if Path(name).suffix == ".onnx":
        return OnnxTagger(name, threads)
    raise ModelError(f"tagger {str(name)!r}: expected an ONNX file (its name ends in .onnx)")
