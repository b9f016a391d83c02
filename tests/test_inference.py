"""Devices of ONNX models. The machine of the tests has no GPU: what it can show is that nothing goes on without one."""

import logging

import onnxruntime
import pytest

from sed import EmotionDiarizer
from sed.archive.journal import fingerprint
from sed.emotion import load_tagger
from sed.errors import DeviceError, MissingDependencyError, OptionError
from sed.inference import CPU, CUDA, MODELS, check_device, new_session, open_model, warn_of_cpu_operators
from sed.speakers import make_diarizer

SMALL = "segmentation.onnx"
needs_no_gpu = pytest.mark.skipif(
    CUDA in onnxruntime.get_available_providers(),
    reason="this onnxruntime has CUDA: these are its errors without",
)


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:one", "CUDA", ""])
def test_unknown_devices_are_refused(device):
    with pytest.raises(OptionError, match="expected auto, cpu, cuda or cuda:N"):
        check_device(device)
    with pytest.raises(OptionError, match="device"):
        EmotionDiarizer(device=device)


@needs_no_gpu
@pytest.mark.parametrize(
    "create",
    [
        lambda: open_model(SMALL, device="cuda"),
        lambda: load_tagger(device="cuda"),
        lambda: EmotionDiarizer(device="cuda:1"),
        lambda: make_diarizer(device="cuda"),
        lambda: make_diarizer("none", device="cuda"),
        lambda: make_diarizer(vad="webrtc", device="cuda"),
    ],
)
def test_without_the_provider_every_model_says_what_to_install(create):
    with pytest.raises(
        MissingDependencyError, match=r"CPUExecutionProvider, expected onnxruntime-gpu .*\[gpu\]"
    ):
        create()


@needs_no_gpu
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_load_is_an_error_and_not_the_cpu(monkeypatch):
    """onnxruntime-gpu lists CUDA wherever it is installed; a session then uses the CPU, as this one does."""
    listed = [CUDA, *onnxruntime.get_available_providers()]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: listed)
    with pytest.raises(
        DeviceError, match=r"cannot use CUDA but only CPUExecutionProvider.*expected an NVIDIA GPU"
    ):
        open_model(SMALL, device="cuda")
    with pytest.raises(DeviceError):
        load_tagger(device="cuda")


def test_pyannote_is_not_moved_silently():
    with pytest.raises(OptionError, match=r"pyannote.*device 'cuda'"):
        make_diarizer("pyannote", device="cuda")


def test_operators_elsewhere_are_reported(caplog):
    session = onnxruntime.InferenceSession
    if not hasattr(session, "get_provider_graph_assignment_info"):
        pytest.skip("this onnxruntime does not tell where operators run")
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = session(str(MODELS / SMALL), options, providers=[CPU])
    with caplog.at_level(logging.WARNING, "sed"):
        warn_of_cpu_operators(session, SMALL, provider=CPU)
        assert caplog.text == ""
        warn_of_cpu_operators(session, SMALL)
    assert f"{SMALL}: " in caplog.text and "operators run on the CPU" in caplog.text


def test_the_cpu_is_the_same_by_any_name_and_a_gpu_is_another_run_of_the_journal():
    assert new_session(MODELS / SMALL, 1, "cpu").get_providers() == [CPU]
    assert fingerprint({"device": "auto"}) == fingerprint({"device": "cpu"}) == fingerprint({})
    assert fingerprint({"device": "cuda"}) != fingerprint({})
