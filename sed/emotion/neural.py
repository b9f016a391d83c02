"""`TorchTagger`: frame posteriors from a torch model, on a CPU or a GPU.

In: a `sed.networks.base.FrameTagger`, which maps ``(B, T)`` waves to ``(B, ceil(T / 320), labels)`` logits.
Out: a `sed.emotion.tagger.Tagger`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from sed.emotion.tagger import MULTI_LABEL, check_waves, is_multi_label, is_window
from sed.errors import ModelError, OptionError
from sed.grid import FRAME_RATE, HOP, frame_count
from sed.networks.base import FrameTagger
from sed.networks.dimensions import with_dimensions
from sed.result import DIMENSIONS

PRECISIONS = ("auto", "fp32", "fp16", "bf16")
_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


class TorchTagger:
    """A `sed.emotion.tagger.Tagger` that runs `model`; the softmax is over `labels`, a subset of the model's.
    With ``multi_label`` in the card, posteriors are the sigmoid of each label.

    `window` is in samples; `card` describes the origin of the model. `device` is ``auto`` (a GPU if there is one),
    ``cpu``, ``cuda``, ``cuda:1``, ...; `precision` is ``auto`` (bf16 on a GPU that supports it, else fp16; fp32 on a
    CPU), ``fp32``, ``fp16`` or ``bf16``. On a CPU, waves are processed one at a time with `threads` threads: batches
    would not be faster, and results do not depend on the other waves. A model that only estimates dimensions has no
    `labels`. `head` (`sed.networks.dimensions`) adds arousal,
    valence and dominance.

    Raises `OptionError` on an unknown device or precision, and `ModelError` if `labels`, `window` or `head` do not fit
    the model.
    """

    frame_rate: int = FRAME_RATE

    def __init__(
        self,
        model: FrameTagger,
        labels: Sequence[str],
        window: int,
        card: dict[str, Any] | None = None,
        threads: int = 1,
        device: str = "auto",
        precision: str = "auto",
        head: nn.Linear | None = None,
    ) -> None:
        if threads < 1:
            raise OptionError(f"a tagger with {threads} threads: expected at least 1")
        self.labels: tuple[str, ...] = tuple(labels)
        self.card = dict(card or {})
        self.device = _device(device)
        self.precision = _precision(precision, self.device)
        self.max_samples: int | None = model.max_samples
        """Maximum length of the input in samples; None: unlimited."""
        if self.card.get("label_names"):
            self.settings = {"label_names": self.card["label_names"]}
        if is_multi_label(self):
            self.settings = {MULTI_LABEL: True}
        distinct = set(self.labels)
        only_dimensions = bool(model.dimensions) and not self.labels
        if not (only_dimensions or 2 <= len(self.labels) == len(distinct)) or distinct - set(model.labels):
            raise ModelError(
                f"found labels {list(self.labels)}, expected two or more distinct ones of {list(model.labels)}"
            )
        if not is_window(window) or (self.max_samples and window > self.max_samples):
            raise ModelError(
                f"found a window of {window!r} samples, expected a positive multiple of {HOP}"
                + (f" up to {self.max_samples}" if self.max_samples else "")
            )
        self.window = window
        self.batch = 1 if self.device.type == "cpu" else 16
        self._threads = threads
        model.prepare_for_inference()
        self.dimensions: tuple[str, ...] = model.dimensions if head is None else DIMENSIONS
        """Names of the dimensions that the model estimates beside the posteriors; mostly none."""
        if head is not None:
            model.classifier = with_dimensions(model.classifier, head)
        for module in list(model.modules()):
            if parametrize.is_parametrized(module):
                for name in list(module.parametrizations.keys()):  # type: ignore[union-attr,operator]
                    parametrize.remove_parametrizations(module, name)
        self._model = model.eval().requires_grad_(False).to(self.device)
        self._columns = [model.labels.index(label) for label in self.labels]

    def posteriors(self, waves: np.ndarray) -> np.ndarray:
        """Posteriors of ``(batch, samples)`` float32 audio, ``(batch, ceil(samples / 320), labels)`` float32.

        Raises `OptionError` on another shape, on no samples, and on more than `max_samples`, and `ModelError` if the
        model returns NaN.
        """
        return self._run(waves)[0]

    def outputs(self, waves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `posteriors`, and the dimensions ``(batch, ceil(samples / 320), dimensions)`` float32, limited to 0 to 1.

        Only for a model with `dimensions`.
        """
        posteriors, dimensions = self._run(waves)
        return posteriors, np.clip(dimensions, 0, 1)

    def _run(self, waves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posteriors and dimensions (without columns if there is no head) of ``(batch, samples)`` waves."""
        waves = np.array(
            waves, np.float32, order="C"
        )  # a copy, because torch does not accept read-only arrays
        check_waves(waves, self.max_samples)
        shape = len(waves), frame_count(waves.shape[1])
        result = np.empty((*shape, len(self.labels)), np.float32)
        dimensions = np.empty((*shape, len(self.dimensions)), np.float32)
        with self._inference_settings():
            for start in range(0, len(waves), self.batch):
                batch = torch.from_numpy(waves[start : start + self.batch]).to(self.device)
                outputs = self._model(batch).float()
                logits = outputs[:, :, self._columns]
                posteriors = torch.sigmoid(logits) if is_multi_label(self) else torch.softmax(logits, 2)
                result[start : start + self.batch] = posteriors.cpu().numpy()
                if self.dimensions:
                    values = outputs[:, :, -len(self.dimensions) :]
                    dimensions[start : start + self.batch] = values.cpu().numpy()
        if not np.isfinite(result).all() and np.isfinite(waves).all():
            raise ModelError(
                "the model returned NaN posteriors: its weights are damaged"
                + (", or too large for fp16 (use fp32 or bf16)" if self.precision == "fp16" else "")
            )
        return result, dimensions

    @contextmanager
    def _inference_settings(self) -> Iterator[None]:
        """No gradients, the threads and precision of this tagger, and deterministic results on a GPU."""
        threads = torch.get_num_threads()
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self.precision != "fp32":
                stack.enter_context(torch.autocast(self.device.type, _TYPES[self.precision]))
            if self.device.type == "cuda":
                tf32 = self.precision != "fp32"  # convolutions with a mantissa of 10 bits
                stack.enter_context(
                    torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=tf32)
                )
            try:
                torch.set_num_threads(self._threads)
                yield
            finally:
                torch.set_num_threads(threads)


@dataclass(frozen=True)
class Network:
    """A model of another library, read from its files: what `TorchTagger` and training start from.

    `labels` are in the order of the tagger's, `window` is in samples.
    """

    model: FrameTagger
    labels: Sequence[str]
    window: int
    card: dict[str, Any]

    def tagger(self, **options: Any) -> TorchTagger:
        """The tagger; `options` are those of `TorchTagger`. The model cannot be trained any more."""
        return TorchTagger(self.model, self.labels, self.window, self.card, **options)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(
            f"device {name!r}: expected auto, cpu or a GPU that torch finds ({error})"
        ) from error
    return device


def _precision(name: str, device: torch.device) -> str:
    if name not in PRECISIONS:
        raise OptionError(f"precision {name!r}: expected one of {', '.join(PRECISIONS)}")
    if name != "auto":
        return name
    if device.type == "cpu":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
