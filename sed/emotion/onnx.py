"""`OnnxTagger`: frame posteriors from an ONNX file, without torch.

The model maps ``waves (batch, samples)`` float32 at 16 kHz to ``posteriors (batch, frames, labels)`` and, optionally,
``dimensions (batch, frames, dimensions)``, such as arousal from 0 to 1. A model card in its metadata (property ``sed``,
JSON) contains the labels, the names of the dimensions, the frame rate and the window, so that files written by
``sed-export`` are self-contained.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from sed.emotion.bundled import bundled_path
from sed.emotion.tagger import MULTI_LABEL, check_waves, is_multi_label, is_window
from sed.errors import ModelError, OptionError, SedError
from sed.grid import FRAME_RATE, HOP, SAMPLE_RATE, frame_count
from sed.inference import new_session

CARD_PROPERTY = "sed"
DIMENSIONS = "dimensions"  # the second output of a model, and its key in the card


class OnnxTagger:
    """A `sed.emotion.tagger.Tagger` that runs an ONNX file with a model card.

    `path` is the file, `threads` the number of CPU threads, `device` as in `sed.inference`. The attribute `card` is the
    model card (name, licence, origin, ...). Raises `ModelError` if the file is missing, damaged, or not a tagger,
    `OptionError` if `threads` is less than 1, and as `sed.inference.open_model` does if the device cannot be used.

    >>> tagger = OnnxTagger.bundled()
    >>> tagger.labels
    ('neutral', 'happy', 'angry', 'sad')
    >>> tagger.posteriors(np.zeros((2, 16000), np.float32)).shape
    (2, 50, 4)
    """

    def __init__(self, path: str | Path, threads: int = 1, device: str = "auto") -> None:
        self.path = Path(path)
        if threads < 1:
            raise OptionError(f"a tagger with {threads} threads: expected at least 1")
        if not self.path.is_file():
            raise ModelError(f"no emotion model at {self.path}: expected an ONNX file")
        try:
            self._session = new_session(self.path, threads, device)
        except SedError:
            raise
        except Exception as error:  # onnxruntime's exception types have no common base class
            raise ModelError(f"{self.path} is not a model that onnxruntime can read: {error}") from error
        self.card = _read_card(self.path, self._session)
        self.labels: tuple[str, ...] = tuple(self.card["labels"])
        self.dimensions: tuple[str, ...] = tuple(self.card.get("dimensions", ()))
        """Names of the dimensions that the model estimates beside the posteriors; mostly none."""
        self.frame_rate: int = self.card["frame_rate"]
        self.window: int = self.card["window"]
        if is_multi_label(self):
            self.settings = {MULTI_LABEL: True}
        self.max_samples: int | None = self.card.get("longest", self.window)
        """Maximum length of the input in samples; None: unlimited."""

    @classmethod
    def bundled(cls, threads: int = 1, device: str = "auto") -> OnnxTagger:
        """The tagger in the package. Raises `ModelError` if its file is not there."""
        path = bundled_path()
        if not path.is_file():
            raise ModelError(
                f"this installation has no file {path}, expected the bundled emotion model (reinstall sed, or name"
                " another model)"
            )
        return cls(path, threads, device)

    def posteriors(self, waves: np.ndarray) -> np.ndarray:
        """Posteriors of ``(batch, samples)`` float32 audio, ``(batch, ceil(samples / 320), labels)`` float32.

        Raises `OptionError` on another shape, on no samples, and on more than `max_samples`.
        """
        return self._run(waves, ("posteriors", len(self.labels)))[0]

    def outputs(self, waves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `posteriors`, and the dimensions ``(batch, ceil(samples / 320), dimensions)`` float32, limited to 0 to 1.

        Only for a model with `dimensions`.
        """
        wanted = ("posteriors", len(self.labels)), (DIMENSIONS, len(self.dimensions))
        posteriors, dimensions = self._run(waves, *wanted)
        return posteriors, np.clip(dimensions, 0, 1)

    def _run(self, waves: np.ndarray, *wanted: tuple[str, int]) -> list[np.ndarray]:
        """The outputs `wanted`, pairs of name and number of columns, for ``(batch, samples)`` waves."""
        waves = np.ascontiguousarray(waves, np.float32)
        check_waves(waves, self.max_samples)
        frames = frame_count(waves.shape[1])
        results = [np.empty((len(waves), frames, columns), np.float32) for _, columns in wanted]
        # One at a time: int8 models scale activations over the whole batch, so that posteriors would depend on the
        # other waves. On a CPU a batch would be hardly faster.
        for row, wave in enumerate(waves):
            found = self._session.run([name for name, _ in wanted], {"waves": wave[None]})
            for result, rows in zip(results, found, strict=True):
                result[row : row + 1] = rows
        return results


def _read_card(path: Path, session: Any) -> dict[str, Any]:
    """The validated model card. Raises `ModelError` if the file is not a tagger or the card is damaged."""
    inputs = [node.name for node in session.get_inputs()]
    outputs = [node.name for node in session.get_outputs()]
    if inputs != ["waves"] or outputs not in (["posteriors"], ["posteriors", DIMENSIONS]):
        raise ModelError(
            f"{path} is not an emotion tagger: found inputs {inputs} and outputs {outputs},"
            f" expected 'waves' and 'posteriors' (then optionally {DIMENSIONS!r})"
        )
    text = session.get_modelmeta().custom_metadata_map.get(CARD_PROPERTY)
    if text is None:
        raise ModelError(f"{path} has no card: expected metadata {CARD_PROPERTY!r}, as sed-export writes")
    try:
        card = json.loads(text)
        labels, rate, window = card["labels"], card["frame_rate"], card["window"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"the card of {path} is damaged: {error!r}") from error
    if not (isinstance(labels, list) and len(labels) > 1 and all(isinstance(label, str) for label in labels)):
        raise ModelError(f"{path}: found labels {labels!r}, expected a list of at least two names")
    if len(set(labels)) < len(labels):
        raise ModelError(f"{path}: found labels {labels!r}, expected distinct ones")
    if rate != FRAME_RATE or not is_window(window):
        raise ModelError(
            f"{path}: found {rate!r} frames per second and a window of {window!r} samples, expected"
            f" {FRAME_RATE} frames and a positive multiple of {HOP} samples at {SAMPLE_RATE} Hz"
        )
    max_samples = card.get("longest", window)
    if max_samples is not None and not (isinstance(max_samples, int) and max_samples >= window):
        raise ModelError(
            f"{path}: found a maximum length of {max_samples!r} samples, expected at least the window of {window}"
        )
    _check_dimensions(path, card, session.get_outputs()[1:])
    return card


def _check_dimensions(path: Path, card: dict[str, Any], outputs: list[Any]) -> None:
    """Raise `ModelError` if the card's names do not match the output of dimensions, if there is one."""
    names = card.get(DIMENSIONS, [])
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ModelError(f"{path}: found dimensions {names!r} in its card, expected a list of names")
    if bool(names) != bool(outputs):
        found = f"the names {names!r} but no output" if names else f"an output {DIMENSIONS!r} but no names"
        raise ModelError(f"{path}: found {found} of dimensions, expected both or neither")
    columns = outputs[0].shape[-1] if outputs else len(names)
    if len(set(names)) < len(names) or (isinstance(columns, int) and columns != len(names)):
        raise ModelError(f"{path}: found dimensions {names!r}, expected {columns} distinct names")
