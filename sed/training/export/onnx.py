"""Export of a trained tagger to one ONNX file: calibrated posteriors of the main labels, with a card inside.

With a head of `sed.training.objectives.dimensions`, arousal, valence and dominance are a second output, mapped from the
scale of manifests (-1 to 1) to 0 to 1.

In: a tagger of any kind in `sed.networks.store.KINDS`. Out: an ONNX file for `sed.emotion.onnx.OnnxTagger`, in fp32,
or with int8 weights in the matrix products (most of the file).
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
from sed.emotion.tagger import MULTI_LABEL, frame_rows, is_multi_label
from sed.errors import ModelError
from sed.grid import FRAME_RATE, HOP
from sed.networks.base import FrameTagger
from sed.networks.dimensions import with_dimensions
from sed.result import DIMENSIONS
from sed.training.export.calibration import Calibration, calibration_from_card
from sed.training.export.quantise import quantise
from sed.training.export.tables import tabulate_fourier_bases

OPSET = 20  # the first with Gelu as one operator
WINDOW = 5 * FRAME_RATE * HOP  # samples, default of the card
TOLERANCE = 1e-3  # of a float32 posterior; larger differences mean a wrong graph (observed: 2e-6 at most)
_MAX_BYTES = 2**31 - 2**20  # protobuf's limit, less room for the graph


class PosteriorTagger(nn.Module):
    """A copy of `model` with calibrated posteriors over `labels` only: waves to posteriors, and to the dimensions of
    `head`, if there is one. With `multi_label` the labels are independent."""

    def __init__(
        self,
        model: FrameTagger,
        labels: Sequence[str],
        calibration: Calibration | None = None,
        head: nn.Linear | None = None,
        multi_label: bool = False,
    ) -> None:
        super().__init__()
        self.multi_label = multi_label
        calibration = calibration or Calibration()
        self.model = copy.deepcopy(model).eval()
        self.model.prepare_for_inference()
        rows = [model.labels.index(label) for label in labels]
        trained = self.model.classifier
        classifier = nn.Linear(trained.in_features, len(labels))
        with torch.no_grad():
            classifier.weight.copy_(trained.weight[rows] / calibration.temperature)
            classifier.bias.copy_(trained.bias[rows] / calibration.temperature)
            if calibration.offsets:
                classifier.bias.add_(torch.tensor(calibration.offsets))
        self.columns, self.has_head = len(labels), head is not None
        self.model.classifier = classifier if head is None else with_dimensions(classifier, head)

    def forward(self, waves: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """``(B, T)`` to ``(B, ceil(T / 320), labels)``, and with a head also ``(B, ceil(T / 320), dimensions)``."""
        outputs = self.model(waves)
        logits = outputs[:, :, : self.columns]
        posteriors = torch.sigmoid(logits) if self.multi_label else torch.softmax(logits, dim=2)
        return (posteriors, outputs[:, :, self.columns :]) if self.has_head else posteriors


def export_onnx(
    model: FrameTagger,
    path: str | Path,
    labels: Sequence[str],
    card: Mapping[str, Any] | None = None,
    calibration: Calibration | None = None,
    int8: bool = False,
    clips: Sequence[np.ndarray] = (),
    head: nn.Linear | None = None,
) -> OnnxTagger:
    """Write `model` as ONNX to `path`, atomically, and open it.

    The posteriors are over `labels`, in that order; `card` adds to the card inside the file (name, licence, window in
    samples, ...). A `head` of `sed.training.objectives.dimensions` adds the output ``dimensions``. With `int8` the
    weights of the matrix products have 8 bits; with `clips` of audio ``(T,)`` to calibrate the value ranges, so do the
    convolutions over bands and frames, and in a `CompactTagger` those over frames. Raises `ModelError` if the model
    cannot be written as one ONNX file that accepts audio of any length and gives the same posteriors.
    """
    path, max_samples = Path(path), model.max_samples
    full = {
        "window": min(WINDOW, max_samples or WINDOW),
        **(card or {}),
        "labels": list(labels),
        "frame_rate": FRAME_RATE,
        "longest": max_samples,
        **_in_card(calibration or Calibration(), labels),
        "weights": "float32",
        **({} if head is None else {"dimensions": list(DIMENSIONS)}),
    }
    if max_samples and full["window"] > max_samples:
        raise ModelError(
            f"found a window of {full['window']} samples, expected at most the model's {max_samples}"
        )
    original = PosteriorTagger(model, labels, calibration, head, bool(full.get(MULTI_LABEL))).eval()
    program = _convert(original)
    with _staging_folder(path) as folder:
        part = folder / "model.onnx"
        program.save(str(part), external_data=False)
        del program
        finish(part, full)
        _compare(original, OnnxTagger(part), max_samples)
        if int8:
            source, part = part, part.with_name("int8.onnx")
            quantise(source, part, clips, model.int8_convolutions)
            finish(part, {**full, "weights": "int8"})
        os.replace(part, path)
    return OnnxTagger(path)


def _in_card(calibration: Calibration, labels: Sequence[str]) -> dict[str, Any]:
    values = asdict(calibration)
    prior = values.pop("prior")
    return {**values, "prior": dict(zip(labels, prior, strict=True))} if prior else values


@contextmanager
def _staging_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` for unfinished files; `ModelError` if nothing can be written there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            yield Path(folder)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written ({error.strerror or error})") from None


def _convert(model: PosteriorTagger) -> Any:
    """The model as an ONNX program for any batch size and length; `ModelError` if torch cannot export it."""
    import onnxscript  # noqa: F401  # fail early: the exporter would raise an unclear error

    size = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    if size > _MAX_BYTES:
        raise ModelError(
            f"found {size / 1e9:.1f} GB of weights, expected at most {_MAX_BYTES / 1e9:.1f}, the limit of one"
            " ONNX file"
        )
    # Arbitrary lengths: the exporter must not specialise the graph to the example's shape.
    example = torch.zeros(2, 7 * HOP + 17)
    try:
        with _quiet(), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            # The result of fused attention has another memory layout than the exporter's replacement, and views
            # of it would fail.
            program: Any = torch.onnx.export(
                model,
                (example,),
                input_names=["waves"],
                output_names=["posteriors", "dimensions"] if model.has_head else ["posteriors"],
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
    """Suppress the exporter's messages about missing torchvision and its own deprecated calls."""
    log = logging.getLogger("torch.onnx._internal.exporter")
    before = log.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(before)


def finish(path: Path, card: Mapping[str, Any]) -> None:
    """Write `card` into the ONNX file at `path`, replacing its present one, and make Fourier bases tables."""
    import onnx

    graph = onnx.load(path)
    tabulate_fourier_bases(graph.graph)
    del graph.metadata_props[:]
    onnx.helper.set_model_props(graph, {CARD_PROPERTY: json.dumps(card)})
    graph.doc_string = ""
    onnx.save(graph, path)


def _compare(original: PosteriorTagger, tagger: OnnxTagger, max_samples: int | None) -> None:
    """`ModelError` if the posteriors of the file differ from the model's, on noise of several lengths."""
    try:
        difference = _difference(original, tagger, trial_waves(max_samples))
    except Exception as error:  # onnxruntime's exceptions have no common base class
        raise ModelError(f"the exported graph does not run: {error}") from error
    if not difference <= TOLERANCE:
        raise ModelError(
            f"found posteriors of the exported graph that differ by {difference:.2g} from the model's, expected"
            f" at most {TOLERANCE}"
        )


def trial_waves(max_samples: int | None) -> list[np.ndarray]:
    """Noise ``(T,)`` of several lengths up to `max_samples` samples, from a fixed seed."""
    rng = np.random.default_rng(0)
    return [
        rng.standard_normal(min(samples, max_samples or samples)).astype(np.float32) * 0.1
        for samples in (1, 4321, 80_000)
    ]


def largest_difference(
    model: Any, tagger: OnnxTagger, waves: Sequence[np.ndarray], head: nn.Linear | None = None
) -> float:
    """Largest absolute difference of posteriors, and of the dimensions of `head`, between the exported file and
    `model`, over `waves` ``(T,)``."""
    calibration = calibration_from_card(tagger.card)
    original = PosteriorTagger(model, tagger.labels, calibration, head, is_multi_label(tagger)).eval()
    return _difference(original, tagger, waves)


def _difference(original: PosteriorTagger, tagger: OnnxTagger, waves: Sequence[np.ndarray]) -> float:
    differences = [0.0]
    for wave in waves:
        with torch.inference_mode():
            outputs = original(torch.from_numpy(wave)[None])
        expected = torch.cat(outputs if original.has_head else (outputs,), 2).clamp(0, 1).numpy()
        differences.append(float(np.abs(expected - frame_rows(tagger, wave[None])).max()))
    return float(np.max(differences))  # NaN if any is, which Python's own max may skip


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
