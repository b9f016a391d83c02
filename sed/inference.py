"""Opens bundled or user-supplied ONNX files with onnxruntime: limited threads, no spinning, no telemetry.

In: the path of an ONNX file, a number of CPU threads and a device. Out: an onnxruntime session.

A device is ``cuda`` or ``cuda:N``, or ``auto`` or ``cpu``, which both are the CPU here (for torch models, ``auto`` is a
GPU if there is one). onnxruntime itself goes on with the CPU if CUDA cannot be used; here that is an error.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sed.errors import DeviceError, MissingDependencyError, ModelError, OptionError, SedError, install_hint

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

logger = logging.getLogger("sed")

MODELS = Path(__file__).resolve().parent / "models"
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
MAX_SHARE_ON_CPU = 0.1  # of a model's operators; those of shapes are always there


def open_model(
    path: str | Path, threads: int = 1, *, inputs: int = 1, device: str = "auto"
) -> InferenceSession:
    """Load an ONNX file; a bare file name that does not exist is looked up among the bundled models.

    `threads` is the number of CPU threads of one run, `inputs` the expected number of model inputs. Idle threads
    sleep instead of spinning, so a live stream uses no CPU time between blocks.

    Raises `ModelError` if the file is missing, is not ONNX or has another number of inputs, `OptionError` if `threads`
    is less than 1 or there is no such `device`, and `MissingDependencyError` or `DeviceError` if it cannot be used.

    >>> open_model("segmentation.onnx").get_inputs()[0].shape
    ['windows', 1, 'samples']
    """
    if threads < 1:
        raise OptionError(f"{threads} threads: expected 1 or more")
    file = Path(path)
    if file == Path(file.name) and not file.exists():
        file = MODELS / file
    if not file.is_file():
        raise ModelError(f"{path}: no such file, expected an ONNX model")
    try:
        session = new_session(file, threads, device)
    except SedError:
        raise
    except Exception as error:  # onnxruntime's exception types have no common base class
        raise ModelError(
            f"{file}: not an ONNX model that onnxruntime can load ({type(error).__name__})"
        ) from error
    if (found := len(session.get_inputs())) != inputs:
        raise ModelError(f"{file}: takes {found} inputs, expected {inputs}")
    return session


def check_device(device: str) -> str:
    """`device`, if it is the name of one; raises `OptionError` otherwise. Whether it is there is another question.

    >>> check_device("cuda:1")
    'cuda:1'
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise OptionError(f"device {device!r}: expected auto, cpu, cuda or cuda:N")
    return device


def new_session(file: Path, threads: int, device: str = "auto") -> InferenceSession:
    """A session with `threads` threads on `file`; onnxruntime's own exceptions pass through.

    Raises `OptionError`, `MissingDependencyError` and `DeviceError` as `open_model` does.
    """
    uses_cuda = check_device(device).startswith("cuda")
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if uses_cuda:
        return _cuda_session(onnxruntime, file, options, device)
    return onnxruntime.InferenceSession(str(file), options, providers=[CPU])


def _cuda_session(onnxruntime: Any, file: Path, options: Any, device: str) -> InferenceSession:
    """A session on the GPU `device`, which never goes on with the CPU alone."""
    if CUDA not in (found := onnxruntime.get_available_providers()):
        raise MissingDependencyError(
            f"device {device!r}: found onnxruntime {onnxruntime.__version__} with {', '.join(found)}, expected"
            f" onnxruntime-gpu in its place: {install_hint('gpu')}, then see docs/installation.md"
        )
    problems = _preload(onnxruntime)
    onnxruntime.set_default_logger_severity(4)  # the error below says it in one line
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    number = device.partition(":")[2] or "0"
    try:
        session = onnxruntime.InferenceSession(
            str(file), options, providers=[(CUDA, {"device_id": number})], enable_fallback=0
        )
    except RuntimeError as error:  # of CUDA itself, such as a GPU that is not there
        raise DeviceError(f"device {device!r} cannot be used for {file.name} ({error})") from error
    finally:
        onnxruntime.set_default_logger_severity(2)
    if CUDA not in (used := session.get_providers()):
        raise DeviceError(
            f"device {device!r}: onnxruntime-gpu {onnxruntime.__version__} cannot use CUDA but only"
            f" {', '.join(used)}{problems}, expected an NVIDIA GPU with its driver, and the CUDA and cuDNN that it was"
            " built for"
        )
    warn_of_cpu_operators(session, file.name)
    return session


def _preload(onnxruntime: Any) -> str:
    """Load CUDA and cuDNN from the packages of NVIDIA, where onnxruntime itself does not look; returns the first
    problem in brackets, if there is one, which onnxruntime would print."""
    if not hasattr(onnxruntime, "preload_dlls"):
        return ""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        onnxruntime.preload_dlls()
    first = printed.getvalue().partition("\n")[0]
    return f" ({first})" if first else ""


def warn_of_cpu_operators(session: InferenceSession, name: str, provider: str = CUDA) -> None:
    """Log a warning if many operators of model `name` do not run on `provider`: it has no kernels for some of int8
    models. Older versions of onnxruntime do not know it."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return
    nodes = [
        (part.ep_name, node.op_type)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]
    others = Counter(kind for place, kind in nodes if place != provider)
    if others.total() > MAX_SHARE_ON_CPU * len(nodes):
        most = ", ".join(kind for kind, _ in others.most_common(3))
        text = "%s: %d of %d operators run on the CPU, as %s has none of them (mostly %s)"
        logger.warning(text, name, others.total(), len(nodes), provider, most)


def load_onnxruntime() -> Any:
    """Import onnxruntime with its telemetry disabled, unless the user has set ``ORT_DISABLE_TELEMETRY``.

    Telemetry is on by default: it reports every model to Microsoft and stores a machine id in the home folder.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when the library is loaded
    try:
        import onnxruntime
    except ImportError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # Ctrl-C while the library was loading
            raise error.__cause__ from None
        raise
    return onnxruntime
