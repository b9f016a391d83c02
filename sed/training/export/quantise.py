"""Weights of 8 bits in an exported tagger: a third of the size, and sooner on processors that multiply bytes.

In and out: ONNX files. Of the 8 bits 7 are used: sums of full products overflow on processors without VNNI (measured
without: posteriors off by 0.16; with: 0.04). One scale a channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sed.inference import load_onnxruntime


def quantise(source: Path, target: Path, pieces: Sequence[np.ndarray] = (), over_time: bool = False) -> None:
    """Write the tagger in `source` to `target` with int8 weights in its matrix products.

    `pieces` of audio ``(T,)``, if any, show how large the values in its convolutions over bands and frames are (with
    `over_time` in those over frames, too), which then become int8 as well; what they take in and give out is scaled by
    what was seen. Intermediate files go beside `target`.
    """
    load_onnxruntime()
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic

    prepared = target.with_name(f"{target.stem}-prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    if len(pieces) and (names := convolutions(prepared, over_time)):
        static = target.with_name(f"{target.stem}-static.onnx")
        quantise_convolutions(
            prepared, static, names, [np.asarray(piece, np.float32)[None] for piece in pieces]
        )
        prepared = static
    quantize_dynamic(
        str(prepared),
        str(target),
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        reduce_range=True,
    )


def convolutions(path: Path, over_time: bool = False) -> list[str]:
    """Names of the convolutions over bands and frames that have more than one channel to take in; with `over_time`
    also of those over frames alone."""
    import onnx

    kept = (3, 4) if over_time else (4,)
    graph = onnx.load(path, load_external_data=False).graph
    shapes = {tensor.name: tensor.dims for tensor in graph.initializer}
    found = [(node.name, shapes.get(node.input[1], ())) for node in graph.node if node.op_type == "Conv"]
    return [name for name, shape in found if len(shape) in kept and shape[1] > 1]


def quantise_convolutions(
    source: Path, target: Path, names: Sequence[str], clips: Sequence[np.ndarray], feed: str = "waves"
) -> None:
    """Write the model in `source` to `target` with int8 values and weights in its convolutions `names`.

    `clips` are what its input `feed` takes, and show how large the values get.
    """
    load_onnxruntime()
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Clips(CalibrationDataReader):
        def __init__(self) -> None:
            self._rest = iter(clips)

        def get_next(self) -> dict[str, Any] | None:
            clip = next(self._rest, None)
            return None if clip is None else {feed: clip}

    quantize_static(
        str(source),
        str(target),
        Clips(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        reduce_range=True,
        op_types_to_quantize=["Conv"],
        nodes_to_quantize=list(names),
    )
