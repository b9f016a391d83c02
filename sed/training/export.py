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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sed.emotion.onnx import CARD_PROPERTY, OnnxTagger
from sed.grid import FRAME_RATE, HOP
from sed.training.clips import Speech
from sed.training.corpora import to_float
from sed.training.model import CompactTagger

OPSET = 20  # the first with Gelu as one operator


class PosteriorTagger(nn.Module):
    """`model` with only `labels` competing, and logits divided by `temperature`: waves to posteriors."""

    def __init__(self, model: CompactTagger, labels: Sequence[str], temperature: float = 1.0) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).eval()
        rows = [model.labels.index(label) for label in labels]
        classify = nn.Linear(model.classify.in_features, len(labels))
        with torch.no_grad():
            classify.weight.copy_(model.classify.weight[rows] / temperature)
            classify.bias.copy_(model.classify.bias[rows] / temperature)
        self.model.classify = classify

    def forward(self, waves: Tensor) -> Tensor:
        """``(B, T)`` to ``(B, ceil(T / 320), labels)``."""
        return torch.softmax(self.model(waves), dim=2)


def fit_temperature(model: CompactTagger, speech: Speech, labels: Sequence[str], most: int = 400) -> float:
    """The temperature at which the frame posteriors of `speech` fit best (Guo et al. 2017), 0.25 to 4.

    `speech` must be of speakers that the model was not trained on. At most `most` utterances, evenly spaced,
    each weighing the same.
    """
    columns = [model.labels.index(label) for label in labels]
    kept = [item for item in speech if item[0].emotion in labels]
    kept = [
        kept[n] for n in np.unique(np.linspace(0, len(kept) - 1, min(most, len(kept))).round().astype(int))
    ]
    outputs = []
    with torch.inference_mode():
        for utterance, samples in kept:
            logits = model.eval()(torch.from_numpy(to_float(samples))[None])[0][:, columns].double()
            outputs.append((logits, list(labels).index(utterance.emotion)))

    def loss(temperature: float) -> float:
        each = [-torch.log_softmax(logits / temperature, 1)[:, true].mean() for logits, true in outputs]
        return float(torch.stack(each).mean())

    candidates = np.geomspace(0.25, 4, 81)
    return float(candidates[int(np.argmin([loss(t) for t in candidates]))])


def export_onnx(
    model: CompactTagger,
    path: str | Path,
    labels: Sequence[str],
    card: Mapping[str, Any] | None = None,
    temperature: float = 1.0,
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
            PosteriorTagger(model, labels, temperature).eval(),
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
            "temperature": round(temperature, 4),
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
    original = PosteriorTagger(model, tagger.labels, tagger.card["temperature"]).eval()
    worst = 0.0
    for wave in waves:
        with torch.inference_mode():
            expected = original(torch.from_numpy(wave)[None]).numpy()
        worst = max(worst, float(np.abs(expected - tagger.posteriors(wave[None])).max()))
    return worst


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
