"""`Projection`: a linear map after which embeddings of one speaker differ less across emotions, rooms and lines.

Trained by `benchmarks/tuning/speaker_projection.py` for the bundled embedding network, on CREMA-D (ODbL), EMO-DB and
Common Voice (CC0), and LibriSpeech (CC BY 4.0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sed.inference import MODELS

_FILE = MODELS / "speaker-projection.npz"


@dataclass(frozen=True, eq=False)
class Projection:
    """``(vector - mean) @ matrix``, scaled to length 1; `mean` is ``(d,)`` and `matrix` ``(d, d)`` float32.

    >>> project = Projection.bundled()
    >>> vector = np.ones(192, np.float32) / np.sqrt(np.float32(192))
    >>> round(float(np.linalg.norm(project(vector))), 4)
    1.0
    """

    mean: np.ndarray
    matrix: np.ndarray

    @classmethod
    def bundled(cls) -> Projection:
        """The projection for the bundled embedding network."""
        with np.load(_FILE) as arrays:
            return cls(arrays["mean"].astype(np.float32), arrays["matrix"].astype(np.float32))

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        """The projection of a unit embedding ``(d,)``, a unit vector ``(d,)``."""
        projected = (vector - self.mean) @ self.matrix
        return projected / max(float(np.linalg.norm(projected)), 1e-9)
