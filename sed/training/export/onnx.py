"""From a trained tagger to one ONNX file: posteriors of the labels in use, calibrated, with a card inside.

Comes in: a tagger of any kind in `sed.networks.store.KINDS`. Goes out: an ONNX file for
`sed.emotion.onnx.OnnxTagger`, in fp32, or with int8 weights in the matrix products (most of the file).
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sed.emotion.onnx import CARD_PROPERTY, OnnxTagger
from sed.errors import ModelError
from sed.grid import FRAME_RATE, HOP
from sed.networks.base import FrameTagger
from sed.training.export.calibration import Calibration, calibration_in
from sed.training.export.quantise import quantise

OPSET = 20  # the first with Gelu as one operator
WINDOW = 5 * FRAME_RATE * HOP  # samples, where the card names none
TOLERANCE = 1e-3  # of a float32 posterior; beyond it the graph does something else (seen: 2e-6 at most)
_MOST_BYTES = 2**31 - 2**20  # what protobuf takes, less room for the graph


class PosteriorTagger(nn.Module):
    """A copy of `model` with only `labels` competing, and its logits calibrated: waves to posteriors."""

    def __init__(
        self, model: FrameTagger, labels: Sequence[str], calibration: Calibration | None = None
    ) -> None:
        super().__init__()
        calibration = calibration or Calibration()
        self.model = copy.deepcopy(model).eval()
        self.model.prepare_for_inference()
        rows = [model.labels.index(label) for label in labels]
        learnt = self.model.classifier
        classifier = nn.Linear(learnt.in_features, len(labels))
        with torch.no_grad():
            classifier.weight.copy_(learnt.weight[rows] / calibration.temperature)
            classifier.bias.copy_(learnt.bias[rows] / calibration.temperature)
            if calibration.offsets:
                classifier.bias.add_(torch.tensor(calibration.offsets))
        self.model.classifier = classifier

    def forward(self, waves: Tensor) -> Tensor:
        """``(B, T)`` to ``(B, ceil(T / 320), labels)``."""
        return torch.softmax(self.model(waves), dim=2)


def export_onnx(
    model: FrameTagger,
    path: str | Path,
    labels: Sequence[str],
    card: Mapping[str, Any] | None = None,
    calibration: Calibration | None = None,
    int8: bool = False,
    pieces: Sequence[np.ndarray] = (),
) -> OnnxTagger:
    """Write `model` as ONNX to `path`, whole or not at all, and open it.

    `labels` compete, in that order; `card` adds to the card inside the file (name, licence, window in
    samples, ...). With `int8` the weights of the matrix products have 8 bits, and, where `pieces` of audio ``(T,)``
    show how large values are, those of convolutions
    over bands and frames, and a `CompactTagger`'s over frames. Raises `ModelError` where the model cannot be written
    as one ONNX file that takes audio of any length and says the same.
    """
    path, max_samples = Path(path), model.max_samples
    full = {
        "window": min(WINDOW, max_samples or WINDOW),
        **(card or {}),
        "labels": list(labels),
        "frame_rate": FRAME_RATE,
        "longest": max_samples,
        **asdict(calibration or Calibration()),
        "weights": "float32",
    }
    if max_samples and full["window"] > max_samples:
        raise ModelError(
            f"found a window of {full['window']} samples, expected at most the model's {max_samples}"
        )
    original = PosteriorTagger(model, labels, calibration).eval()
    program = _convert(original)
    with _beside(path) as folder:
        part = folder / "model.onnx"
        program.save(str(part), external_data=False)
        del program
        write_card(part, full)
        _compare(original, OnnxTagger(part), max_samples)
        if int8:
            source, part = part, part.with_name("int8.onnx")
            quantise(source, part, pieces, model.int8_convolutions)
            write_card(part, {**full, "weights": "int8"})
        os.replace(part, path)
    return OnnxTagger(path)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A new folder beside `path` for what is not ready yet; `ModelError` where nothing can be written there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            yield Path(folder)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written ({error.strerror or error})") from None


def _convert(model: PosteriorTagger) -> Any:
    """The model as torch's exporter writes it, for any batch and length; `ModelError` where it cannot."""
    import onnxscript  # noqa: F401  # the exporter would miss it later, and in its own words

    size = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    if size > _MOST_BYTES:
        raise ModelError(
            f"found {size / 1e9:.1f} GB of weights, expected at most {_MOST_BYTES / 1e9:.1f}: one ONNX file"
            " holds no more"
        )
    # Nothing special about these lengths: the exporter may not fix what an example happens to be.
    example = torch.zeros(2, 7 * HOP + 17)
    try:
        with _quiet(), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            # The fused attention lays out its result in memory in another way than what the exporter puts in
            # its place, and views of it are then refused.
            program: Any = torch.onnx.export(
                model,
                (example,),
                input_names=["waves"],
                output_names=["posteriors"],
                dynamic_shapes={"waves": {0: torch.export.Dim("batch"), 1: torch.export.Dim("samples")}},
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        cause = str(error.__cause__ or error).strip().splitlines()[0]
        raise ModelError(f"torch's exporter cannot write this tagger as ONNX: {cause}") from error
    sizes = [str(size) for size in program.model.graph.inputs[0].shape]
    if any(size.isdigit() for size in sizes):
        raise ModelError(
            f"found a graph for waves of {' x '.join(sizes)} only, expected one for any batch and length"
        )
    return program


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says about itself: torchvision that is not there, its own old calls."""
    log = logging.getLogger("torch.onnx._internal.exporter")
    before = log.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(before)


def write_card(path: Path, card: Mapping[str, Any]) -> None:
    """Put `card` into the ONNX file at `path`, in the place of the one it has."""
    import onnx

    graph = onnx.load(path)
    del graph.metadata_props[:]
    onnx.helper.set_model_props(graph, {CARD_PROPERTY: json.dumps(card)})
    graph.doc_string = ""
    onnx.save(graph, path)


def _compare(original: PosteriorTagger, tagger: OnnxTagger, max_samples: int | None) -> None:
    """`ModelError` where the file says something else than the model, on noise of some lengths."""
    try:
        difference = _difference(original, tagger, trial_waves(max_samples))
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise ModelError(f"the exported graph does not run: {error}") from error
    if not difference <= TOLERANCE:
        raise ModelError(
            f"found posteriors of the exported graph that differ by {difference:.2g} from the model's, expected"
            f" at most {TOLERANCE}"
        )


def trial_waves(max_samples: int | None) -> list[np.ndarray]:
    """Noise ``(T,)`` of several lengths up to `max_samples` samples, from a seed."""
    rng = np.random.default_rng(0)
    return [
        rng.standard_normal(min(samples, max_samples or samples)).astype(np.float32) * 0.1
        for samples in (1, 4321, 80_000)
    ]


def largest_difference(model: Any, tagger: OnnxTagger, waves: Sequence[np.ndarray]) -> float:
    """Largest difference of a posterior between the exported file and `model`, over `waves` ``(T,)``."""
    original = PosteriorTagger(model, tagger.labels, calibration_in(tagger.card)).eval()
    return _difference(original, tagger, waves)


def _difference(original: PosteriorTagger, tagger: OnnxTagger, waves: Sequence[np.ndarray]) -> float:
    found = [0.0]
    for wave in waves:
        with torch.inference_mode():
            expected = original(torch.from_numpy(wave)[None]).numpy()
        found.append(float(np.abs(expected - tagger.posteriors(wave[None])).max()))
    return float(np.max(found))  # nan where one is, which Python's own max may pass over


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
