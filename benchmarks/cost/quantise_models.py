"""Makes the bundled speaker embedding from the published one: smaller, faster and equally accurate.

    python -m benchmarks.cost.quantise_models ../shared

In: ``models/campplus-zh-en.onnx`` of the shared data, and audio of `train` speakers and of part train to calibrate on.
Out: a file in ``sed/models``. Steps and reasons:

CAM++ (three steps):
1. The published export ends in a ReLU that the network was not trained with (its last layer is a plain batch
   normalisation). It zeroes half of each embedding; without it speakers are separated better.
2. The context mask of each of its 52 layers is the same for all frames of a 100-frame segment, but was computed
   for each frame. Now it is computed once per segment and expanded to frames by a matrix product: the same numbers
   in less time, and two hundred shape operations fewer.
3. The convolutions become int8 (static quantisation, one scale per channel), except for the context masks, the
   first and the last one, where it would save nothing.

Weights use seven of their eight bits: products of full bytes overflow 16 bits on processors without VNNI, whose
results would differ from those with it.
"""

from __future__ import annotations

import argparse
import csv
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from sed.audio.fbank import filter_bank
from sed.speech.segmentation import WINDOW
from sed.training.export.quantise import quantise_convolutions

MODELS = Path(__file__).resolve().parents[2] / "sed" / "models"
CLIP = 300  # feature frames of a calibration clip: 3 s
SEED = 1


def make_segmentation(source: Path, target: Path) -> None:
    """Quantise the LSTM layers of a segmentation network (one scale per channel); the rest is unchanged."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["LSTM"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        reduce_range=True,
    )


def export_segmentation(network: Any, target: Path) -> None:
    """Write pyannote's torch `network` as an ONNX file with int8 LSTMs."""
    import torch

    network.eval().requires_grad_(False)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing: the length of the audio is dynamic
        plain = Path(folder) / "plain.onnx"
        torch.onnx.export(
            network,
            (torch.zeros(2, 1, WINDOW),),
            str(plain),
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "windows", 2: "samples"}, "y": {0: "windows", 1: "frames"}},
            opset_version=17,
            dynamo=False,
        )
        make_segmentation(plain, target)


def make_embedding(source: Path, target: Path, clips: list[np.ndarray]) -> None:
    """Simplify CAM++ and quantise its convolutions, calibrated on `clips`, ``(1, 300, 80)`` each."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        model = folded(source, Path(folder))
        remove_last_relu(model)
        share_context_masks(model)
        remove_unused(model)
        onnx.checker.check_model(model)
        onnx.save(model, plain)
        kept = ("cam_layer/linear1", "cam_layer/linear2", "/head/conv1/", "/dense/")
        names = [node.name for node in model.graph.node if node.op_type == "Conv"]
        wanted = [name for name in names if not any(part in name for part in kept)]
        quantise_convolutions(plain, target, wanted, clips, feed="f")


def folded(source: Path, folder: Path) -> Any:
    """The model with its constants folded, without optimisations specific to this machine."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "folded.onnx")
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "folded.onnx")


def remove_last_relu(model: Any) -> None:
    """Make the batch normalisation of the last layer the output."""
    graph = model.graph
    producer = {name: node for node in graph.node for name in node.output}
    name = graph.output[0].name
    last = producer[name]
    if last.op_type != "Relu":
        raise ValueError(f"the output comes from {last.op_type}, expected the ReLU that this removes")
    producer[last.input[0]].output[0] = name
    graph.node.remove(last)


def share_context_masks(model: Any) -> None:
    """Compute each layer's context mask once per segment of 100 frames instead of once per frame.

    A layer's context is the mean over its segment plus the mean over all frames: one product with ``pool``
    (frames, segments). The mask is expanded to frames by a product with ``spread`` (segments, frames).
    """
    from onnx import helper

    graph = model.graph
    producer = {name: node for node in graph.node for name in node.output}
    layers = [node for node in graph.node if node.op_type == "Sigmoid"]
    hidden = ""
    for sigmoid in layers:
        layer = sigmoid.name.rsplit("/", 2)[0]
        pooled, context = producer[f"{layer}/AveragePool_output_0"], producer[f"{layer}/Add_output_0"]
        hidden = hidden or pooled.input[0]
        place = list(graph.node).index(context)
        graph.node.remove(context)
        product = [pooled.input[0], "pool"]
        graph.node.insert(place, helper.make_node("MatMul", product, context.output, f"{layer}/context"))
        masked = producer[f"{layer}/Mul_1_output_0"]
        place = list(graph.node).index(masked)
        mask = [sigmoid.output[0], "spread"]
        graph.node.insert(place, helper.make_node("MatMul", mask, [f"{layer}/mask"], f"{layer}/mask"))
        masked.input[list(masked.input).index(sigmoid.output[0])] = f"{layer}/mask"
    place = next(n for n, node in enumerate(graph.node) if hidden in node.output) + 1
    for offset, node in enumerate(segment_matrices(hidden, graph)):
        graph.node.insert(place + offset, node)


def segment_matrices(hidden: str, graph: Any) -> list[Any]:
    """The nodes that make ``pool`` and ``spread`` for the length of the tensor `hidden`."""
    from onnx import TensorProto, helper, numpy_helper

    numbers: dict[str, Any] = {
        "zero": 0,
        "one": 1,
        "hundred": 100,
        "ninety_nine": 99,
        "rows": [0],
        "columns": [1],
    }
    for name, value in numbers.items():
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    make = helper.make_node
    return [
        make("Shape", [hidden], ["frames_vector"], start=2, end=3),
        make("Squeeze", ["frames_vector"], ["frames"]),
        make("Range", ["zero", "frames", "one"], ["frame"]),
        make("Div", ["frame", "hundred"], ["segment_of_frame"]),
        make("Add", ["frames", "ninety_nine"], ["frames_rounded"]),
        make("Div", ["frames_rounded", "hundred"], ["segments"]),
        make("Range", ["zero", "segments", "one"], ["segment"]),
        make("Unsqueeze", ["segment", "columns"], ["segment_column"]),
        make("Unsqueeze", ["segment_of_frame", "rows"], ["segment_row"]),
        make("Equal", ["segment_column", "segment_row"], ["belongs"]),
        make("Cast", ["belongs"], ["spread"], to=TensorProto.FLOAT),
        make("ReduceSum", ["spread", "columns"], ["segment_length"], keepdims=1),
        make("Div", ["spread", "segment_length"], ["segment_mean"]),
        make("Cast", ["frames"], ["length"], to=TensorProto.FLOAT),
        make("Reciprocal", ["length"], ["overall_mean"]),
        make("Add", ["segment_mean", "overall_mean"], ["both_means"]),
        make("Transpose", ["both_means"], ["pool"], perm=[1, 0]),
    ]


def remove_unused(model: Any) -> None:
    """Remove nodes and weights that are no longer used."""
    graph = model.graph
    while True:
        used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
        idle = [node for node in graph.node if not any(name in used for name in node.output)]
        if not idle:
            break
        for node in idle:
            graph.node.remove(node)
    for weight in [w for w in graph.initializer if w.name not in used]:
        graph.initializer.remove(weight)


def calibration_clips(shared: Path, count: int) -> list[np.ndarray]:
    """`count` clips of 3 s, mean-subtracted: acted speech of `train` speakers and meetings of part train."""
    import soundfile

    generator = np.random.default_rng(SEED)
    with (shared / "corpora" / "manifest.csv").open(encoding="utf-8") as file:
        paths = [row["path"] for row in csv.DictReader(file) if row["split"] == "train"]
    files = [shared / "corpora" / paths[n] for n in generator.permutation(len(paths))[: 8 * count]]
    files += sorted((shared / "conversations").glob("trn*.wav"))
    clips = []
    for path in files:
        features = filter_bank(soundfile.read(path, dtype="float32")[0])
        for start in range(0, len(features) - CLIP + 1, CLIP):
            clip = features[start : start + CLIP]
            clips.append((clip - clip.mean(0))[None])
    return [clips[n] for n in generator.permutation(len(clips))[:count]]


def main() -> None:
    """Parse the command line and write the model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with models/, corpora/ and conversations/")
    parser.add_argument("--output", type=Path, default=MODELS)
    parser.add_argument("--clips", type=int, default=60, help="calibration clips of 3 s")
    arguments = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)  # hides the advice to pre-process, which is done here
    models = arguments.shared / "models"
    clips = calibration_clips(arguments.shared, arguments.clips)
    make_embedding(models / "campplus-zh-en.onnx", arguments.output / "campplus-zh-en-int8.onnx", clips)


if __name__ == "__main__":
    main()
