"""A real ONNX tagger whose outputs follow from the loudness of each frame, with or without dimensions."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sed.grid import HOP

LABELS = ("neutral", "happy", "angry", "sad")
DIMENSIONS = ("arousal", "valence")
LOGITS = np.array([[0.0, 4.0, 9.0, -3.0], [1.0, 0.0, -0.5, 1.5]], np.float32)  # slope and offset by loudness
VALUES = np.array([[3.0, -2.0], [-0.1, 0.7]], np.float32)


def loudness(waves):
    """Maximum absolute sample of each frame, ``(batch, frames, 1)``."""
    pad = -waves.shape[1] % HOP
    return np.abs(np.pad(waves, ((0, 0), (0, pad)))).reshape(len(waves), -1, HOP).max(2)[..., None]


def expected_dimensions(waves):
    """What `write_tagger`'s model returns as dimensions, limited to 0 to 1."""
    return np.clip(loudness(waves) * VALUES[0] + VALUES[1], 0, 1)


def write_tagger(path, dimensions=DIMENSIONS, names=None, output="dimensions", window=32_000, **card):
    """Write the model; `names` are those in its card (None: `dimensions`). Returns `path`."""
    nodes = [
        helper.make_node("Abs", ["waves"], ["absolute"]),
        helper.make_node("Unsqueeze", ["absolute", "axis"], ["channel"]),
        helper.make_node("MaxPool", ["channel"], ["pooled"], kernel_shape=[HOP], strides=[HOP], ceil_mode=1),
        helper.make_node("Transpose", ["pooled"], ["loud"], perm=[0, 2, 1]),
        *_line("logits", LOGITS),
        helper.make_node("Softmax", ["logits"], ["posteriors"], axis=2),
    ]
    outputs = [_float("posteriors", ["batch", "frames", len(LABELS)])]
    if dimensions:
        nodes += _line(output, VALUES)
        outputs.append(_float(output, ["batch", "frames", len(DIMENSIONS)]))
    weights = [numpy_helper.from_array(np.array([1]), "axis")]
    for name, values in (("logits", LOGITS), (output, VALUES)):
        weights += [numpy_helper.from_array(values[n : n + 1], f"{name}{n}") for n in (0, 1)]
    graph = helper.make_graph(nodes, "loud", [_float("waves", ["batch", "samples"])], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    about = {"labels": list(LABELS), "frame_rate": 50, "window": window, **card}
    if (names := dimensions if names is None else names) != ():
        about["dimensions"] = list(names) if isinstance(names, tuple) else names
    helper.set_model_props(model, {"sed": json.dumps(about)})
    onnx.save(model, path)
    return path


def _line(name, values):
    """Nodes for ``loudness * slope + offset``."""
    return [
        helper.make_node("Mul", ["loud", f"{name}0"], [f"{name}_scaled"]),
        helper.make_node("Add", [f"{name}_scaled", f"{name}1"], [name]),
    ]


def _float(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
