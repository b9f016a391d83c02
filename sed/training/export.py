"""From a trained tagger to one ONNX file: posteriors of the labels in use, calibrated, with a card inside.

Comes in: a `sed.training.model.CompactTagger`. Goes out: an ONNX file for `sed.emotion.onnx.OnnxTagger`, in
fp32, or with int8 weights in the matrix products (most of the file).
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sed.emotion.onnx import CARD_PROPERTY, OnnxTagger
from sed.grid import FRAME_RATE, HOP
from sed.training.calibration import Calibration
from sed.training.model import CompactTagger

OPSET = 20  # the first with Gelu as one operator


class PosteriorTagger(nn.Module):
    """`model` with only `labels` competing, and its logits calibrated: waves to posteriors."""

    def __init__(
        self, model: CompactTagger, labels: Sequence[str], calibration: Calibration | None = None
    ) -> None:
        super().__init__()
        calibration = calibration or Calibration()
        self.model = copy.deepcopy(model).eval()
        rows = [model.labels.index(label) for label in labels]
        classify = nn.Linear(model.classify.in_features, len(labels))
        with torch.no_grad():
            classify.weight.copy_(model.classify.weight[rows] / calibration.temperature)
            classify.bias.copy_(model.classify.bias[rows] / calibration.temperature)
            if calibration.offsets:
                classify.bias.add_(torch.tensor(calibration.offsets))
        self.model.classify = classify

    def forward(self, waves: Tensor) -> Tensor:
        """``(B, T)`` to ``(B, ceil(T / 320), labels)``."""
        return torch.softmax(self.model(waves), dim=2)


def export_onnx(
    model: CompactTagger,
    path: str | Path,
    labels: Sequence[str],
    card: Mapping[str, Any] | None = None,
    calibration: Calibration | None = None,
    int8: bool = False,
) -> OnnxTagger:
    """Write `model` as ONNX to `path`, whole or not at all, and open it.

    `labels` compete, in that order; `card` adds to the card inside the file (name, licence, window in
    samples, ...). With `int8` the weights of the matrix products have 8 bits.
    """
    import onnx

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        part = Path(folder) / "model.onnx"
        # Nothing special about these lengths: the exporter may not fix what an example happens to be.
        example = torch.zeros(2, 7 * HOP + 17)
        torch.onnx.export(
            PosteriorTagger(model, labels, calibration).eval(),
            (example,),
            str(part),
            input_names=["waves"],
            output_names=["posteriors"],
            dynamic_shapes={"waves": {0: torch.export.Dim("batch"), 1: torch.export.Dim("samples")}},
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        if int8:
            part = _quantise(part)
        graph = onnx.load(part)
        full = {
            "window": 5 * FRAME_RATE * HOP,
            **(card or {}),
            "labels": list(labels),
            "frame_rate": FRAME_RATE,
            "longest": model.settings["positions"] * HOP,
            **asdict(calibration or Calibration()),
            "weights": "int8" if int8 else "float32",
        }
        del graph.metadata_props[:]
        onnx.helper.set_model_props(graph, {CARD_PROPERTY: json.dumps(full)})
        graph.doc_string = ""
        onnx.save(graph, part)
        os.replace(part, path)
    return OnnxTagger(path)


def _quantise(source: Path) -> Path:
    """int8 weights in every matrix product with constant weights; returns the new file.

    Per channel, and 7 bits of the 8: sums of full products overflow on CPUs without VNNI (measured without:
    posteriors off by 0.16; with: 0.04).
    """
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic

    prepared, target = source.with_name("prepared.onnx"), source.with_name("int8.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_dynamic(
        str(prepared),
        str(target),
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        reduce_range=True,
    )
    return target


def largest_difference(model: CompactTagger, tagger: OnnxTagger, waves: Sequence[np.ndarray]) -> float:
    """Largest difference of a posterior between the exported file and `model`, over `waves` ``(T,)``."""
    calibration = Calibration(tagger.card["temperature"], tuple(tagger.card["offsets"]))
    original = PosteriorTagger(model, tagger.labels, calibration).eval()
    worst = 0.0
    for wave in waves:
        with torch.inference_mode():
            expected = original(torch.from_numpy(wave)[None]).numpy()
        worst = max(worst, float(np.abs(expected - tagger.posteriors(wave[None])).max()))
    return worst


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
