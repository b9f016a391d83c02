"""The bundled tagger of November 2026, from the one before it: without Whisper's own head, and calibrated anew.

    git show 8c3ec68:sed/models/emotion-compact.onnx > before.onnx
    python benchmarks/drop_head.py before.onnx emotion-compact.onnx --shared ../shared

Which share each head should have was found when the weights that `sed-train` had written were gone; this does to the
exported graph what `shares: [0, 1, 1]` of `hparams/compact.yaml` and `sed-export` do to a trained folder. The head's
features leave the classifier, the other two count one and a half times, what only the head needed leaves the file; then
temperature and offsets are fitted on the `valid` speakers as `sed-export --corpora` does. A tagger trained from now on
needs nothing of this.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from sed.emotion.onnx import OnnxTagger
from sed.training.calibration import Calibration, calibration_in, fit_calibration
from sed.training.corpora import load_speech, read_manifest
from sed.training.export import sha256, write_card


class Uncalibrated(nn.Module):
    """An exported tagger whose calibration is taken back: waves ``(1, T)`` to logits ``(1, F, labels)``, which differ
    from its own by a number for each frame that softmax does not see."""

    def __init__(self, tagger: OnnxTagger) -> None:
        super().__init__()
        self.tagger, self.labels = tagger, list(tagger.labels)
        self.longest = tagger.longest
        self.calibration = calibration_in(tagger.card)

    def forward(self, waves: Tensor) -> Tensor:
        """Logits."""
        posteriors = torch.from_numpy(self.tagger.posteriors(waves.numpy())).double().clamp(min=1e-12)
        return (posteriors.log() - torch.tensor(self.calibration.offsets)) * self.calibration.temperature


def classifier(graph: onnx.GraphProto) -> tuple[onnx.NodeProto, str, str, str]:
    """The node that puts the heads' features side by side, and the names of what multiplies them: the classifier's
    int8 weight ``(features, labels)``, its scale and its bias ``(labels,)``."""
    made = {name: node for node in graph.node for name in node.output}
    softmax = made[graph.output[0].name]
    add = made[softmax.input[0]]
    rescale = made[add.input[0]]
    scale = made[rescale.input[1]].input[1]
    product = made[made[rescale.input[0]].input[0]]
    features = made[made[product.input[0]].input[0]]
    assert product.op_type == "MatMulInteger" and features.op_type == "Concat"
    return features, product.input[1], scale, add.input[1]


def change(graph: onnx.GraphProto, name: str, value: np.ndarray) -> None:
    """Put `value` in the place of the initializer `name`."""
    stored = next(tensor for tensor in graph.initializer if tensor.name == name)
    stored.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))


def drop_first_head(model: onnx.ModelProto) -> None:
    """Leave the first of three heads out of `model`, in place: the others then count 3 / 2."""
    graph = model.graph
    features, weight, scale, _ = classifier(graph)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    assert len(features.input) == 3, f"found {len(features.input)} heads, expected 3"
    width = len(stored[weight]) // 3
    features.input.remove(features.input[0])
    change(graph, weight, stored[weight][width:])
    change(graph, scale, (stored[scale] * 1.5).astype(np.float32))
    needed, kept = {output.name for output in graph.output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    for field, values in ((graph.node, kept[::-1]), (graph.initializer, tensors), (graph.value_info, [])):
        del field[:]  # type: ignore[attr-defined]
        field.extend(values)  # type: ignore[attr-defined]


def calibrate(model: onnx.ModelProto, old: Calibration, new: Calibration) -> None:
    """Exchange the calibration that is part of the classifier, in place."""
    _, _, scale, bias = classifier(model.graph)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    ratio = old.temperature / new.temperature
    change(model.graph, scale, (stored[scale] * ratio).astype(np.float32))
    moved = (stored[bias] - np.array(old.offsets)) * ratio + np.array(new.offsets)
    change(model.graph, bias, moved.astype(np.float32))


def write(model: onnx.ModelProto, path: Path, card: dict[str, Any]) -> OnnxTagger:
    """`model` with `card` at `path`, opened."""
    onnx.save(model, str(path))
    write_card(path, card)
    return OnnxTagger(path)


def main() -> None:
    """Write the file and say how it is calibrated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    options = parser.parse_args()
    model, card = onnx.load(str(options.before)), dict(OnnxTagger(options.before).card)
    drop_first_head(model)
    tagger = write(model, options.target, card)
    valid = load_speech(read_manifest(options.shared / "corpora", ["valid"], tagger.labels))
    uncalibrated = Uncalibrated(tagger)
    new = fit_calibration(uncalibrated, valid, list(tagger.labels))
    calibrate(model, uncalibrated.calibration, new)
    card |= {"temperature": new.temperature, "offsets": list(new.offsets)}
    write(model, options.target, card)
    print(f"{options.target}: temperature {new.temperature}, offsets {new.offsets}, {sha256(options.target)}")


if __name__ == "__main__":
    main()
