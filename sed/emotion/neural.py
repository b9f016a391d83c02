"""`TorchTagger`: frame posteriors from a torch model, on a processor or a GPU.

In: a model that maps ``(B, T)`` waves to ``(B, ceil(T / 320), labels)`` logits, as `sed.training` makes them.
Out: a `sed.emotion.tagger.Tagger`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn.utils import parametrize

from sed.emotion.tagger import is_window
from sed.errors import ModelError, OptionError
from sed.grid import FRAME_RATE, HOP, frame_count, samples_to_seconds
from sed.networks.base import FrameTagger

PRECISIONS = ("auto", "fp32", "fp16", "bf16")
_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


class TorchTagger:
    """A `sed.emotion.tagger.Tagger` around `model`, of whose emotions `labels` compete, in that order.

    `window` is in samples; `card` says where the model comes from. `device` is ``auto`` (a GPU if there is
    one), ``cpu``, ``cuda``, ``cuda:1``, ...; `precision` ``auto`` (bf16 on a GPU that has it, else fp16; fp32
    on a processor), ``fp32``, ``fp16`` or ``bf16``. On a processor pieces are heard one at a time with
    `threads` threads: together they would be no faster, and this way no piece can change another's result.

    Raises `OptionError` on a device or precision that there is not, `ModelError` where labels or window do
    not fit the model.
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
    ) -> None:
        if threads < 1:
            raise OptionError(f"a tagger with {threads} threads: expected at least 1")
        self.labels: tuple[str, ...] = tuple(labels)
        self.card = dict(card or {})
        self.device = _device(device)
        self.precision = _precision(precision, self.device)
        self.max_samples: int | None = model.max_samples
        """The longest input in samples; None: unlimited."""
        different = set(self.labels)
        if not 2 <= len(self.labels) == len(different) or different - set(model.labels):
            raise ModelError(
                f"found labels {list(self.labels)}, expected two or more different ones of {list(model.labels)}"
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
        for module in list(model.modules()):
            if parametrize.is_parametrized(module):
                for name in list(module.parametrizations.keys()):  # type: ignore[union-attr,operator]
                    parametrize.remove_parametrizations(module, name)
        self._model = model.eval().requires_grad_(False).to(self.device)
        self._columns = [model.labels.index(label) for label in self.labels]

    def posteriors(self, waves: np.ndarray) -> np.ndarray:
        """Posteriors of ``(batch, samples)`` float32 audio, ``(batch, ceil(samples / 320), labels)`` float32.

        Raises `OptionError` on another shape, on no samples, and on more than `max_samples`, `ModelError` where the
        model says something that is no number.
        """
        waves = np.array(waves, np.float32, order="C")  # a copy: torch takes no read-only arrays
        if waves.ndim != 2 or waves.shape[1] == 0:
            raise OptionError(f"waves of shape {waves.shape}: expected (batch, samples) with samples > 0")
        if self.max_samples and waves.shape[1] > self.max_samples:
            raise OptionError(
                f"{samples_to_seconds(waves.shape[1])} s of audio at once: expected at most"
                f" {samples_to_seconds(self.max_samples)} s; give longer audio in windows"
            )
        result = np.empty((len(waves), frame_count(waves.shape[1]), len(self.labels)), np.float32)
        with self._ready():
            for start in range(0, len(waves), self.batch):
                piece = torch.from_numpy(waves[start : start + self.batch]).to(self.device)
                logits = self._model(piece)[:, :, self._columns].float()
                result[start : start + self.batch] = torch.softmax(logits, 2).cpu().numpy()
        if not np.isfinite(result).all() and np.isfinite(waves).all():
            raise ModelError(
                "found posteriors that are no numbers, expected some: the tagger's weights are damaged"
                + (", or too large for fp16 (fp32 and bf16 hold more)" if self.precision == "fp16" else "")
            )
        return result

    @contextmanager
    def _ready(self) -> Iterator[None]:
        """No gradients, this tagger's threads and precision, and on a GPU the same result every time."""
        before = torch.get_num_threads()
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self.precision != "fp32":
                stack.enter_context(torch.autocast(self.device.type, _TYPES[self.precision]))
            if self.device.type == "cuda":
                short = self.precision != "fp32"  # a mantissa of 10 bits in convolutions
                stack.enter_context(
                    torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=short)
                )
            try:
                torch.set_num_threads(self._threads)
                yield
            finally:
                torch.set_num_threads(before)


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
