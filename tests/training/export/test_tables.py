"""Fourier bases in ONNX graphs as tables: the same values, a thousandth of the bytes."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hyperpyyaml import load_hyperpyyaml
from onnx import TensorProto, helper, numpy_helper

from sed.networks.mel import KaldiMel, LogMel
from sed.training.export.onnx import export_onnx
from sed.training.export.tables import tabulate_fourier_bases


def convolution(basis):
    """A model with the one node that applies `basis` to waves."""
    graph = helper.make_graph(
        [helper.make_node("Conv", ["waves", "basis"], ["spectrum"], strides=[160])],
        "spectrum",
        [helper.make_tensor_value_info("waves", TensorProto.FLOAT, [1, 1, "n"])],
        [helper.make_tensor_value_info("spectrum", TensorProto.FLOAT, [1, len(basis), "frames"])],
        [numpy_helper.from_array(basis, "basis")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def spectrum(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    waves = np.random.default_rng(0).normal(size=(1, 1, 4000)).astype(np.float32)
    return session.run(None, {"waves": waves})[0]


def test_the_basis_of_the_log_mel_front_end_becomes_a_table():
    model = convolution(LogMel(80).basis.numpy())
    before, size = spectrum(model), len(model.SerializeToString())
    assert tabulate_fourier_bases(model.graph) == 1
    onnx.checker.check_model(model)
    assert np.abs(spectrum(model) - before).max() < 1e-4 * np.abs(before).max()
    assert size > 640_000 and len(model.SerializeToString()) < 20_000
    assert tabulate_fourier_bases(model.graph) == 0, "there is nothing left to do"


@pytest.mark.parametrize("change", ["kaldi", "one value", "odd"])
def test_other_weights_stay_as_they_are(change):
    basis = (KaldiMel() if change == "kaldi" else LogMel(80)).basis.numpy().copy()
    if change == "one value":
        basis[7, 0, 9] += 1e-3
    if change == "odd":
        basis = basis[:-1]
    model = convolution(basis)
    before = model.SerializeToString()
    assert tabulate_fourier_bases(model.graph) == 0 and model.SerializeToString() == before


@pytest.mark.slow
def test_the_student_for_small_devices_has_a_small_file(tmp_path):
    recipe = Path(__file__).parents[3] / "hparams" / "tiny.yaml"
    with open(recipe, encoding="utf-8") as file:
        model = load_hyperpyyaml(file)["tagger"]
    assert sum(parameter.numel() for parameter in model.parameters()) < 72_000
    export_onnx(model, tmp_path / "tiny.onnx", ["neutral", "happy", "angry", "sad"], int8=True)
    assert (tmp_path / "tiny.onnx").stat().st_size < 300_000
