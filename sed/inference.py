"""Opens bundled or user-supplied ONNX files with onnxruntime: limited threads, no spinning, no telemetry.

In: the path of an ONNX file and a number of CPU threads. Out: an onnxruntime session.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sed.errors import ModelError, OptionError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODELS = Path(__file__).resolve().parent / "models"


def open_model(path: str | Path, threads: int = 1, *, inputs: int = 1) -> InferenceSession:
    """Load an ONNX file; a bare file name that does not exist is looked up among the bundled models.

    `threads` is the number of CPU threads of one run, `inputs` the expected number of model inputs. Idle threads
    sleep instead of spinning, so a live stream uses no CPU time between blocks.

    Raises `ModelError` if the file is missing, is not ONNX or has another number of inputs, and `OptionError`
    if `threads` is less than 1.

    >>> open_model("segmentation-3.0-int8.onnx").get_inputs()[0].shape
    ['B', 1, 'T']
    """
    if threads < 1:
        raise OptionError(f"{threads} threads: expected 1 or more")
    file = Path(path)
    if file == Path(file.name) and not file.exists():
        file = MODELS / file
    if not file.is_file():
        raise ModelError(f"{path}: no such file, expected an ONNX model")
    try:
        session = new_session(file, threads)
    except Exception as error:  # onnxruntime's exception types have no common base class
        raise ModelError(
            f"{file}: not an ONNX model that onnxruntime can load ({type(error).__name__})"
        ) from error
    if (found := len(session.get_inputs())) != inputs:
        raise ModelError(f"{file}: takes {found} inputs, expected {inputs}")
    return session


def new_session(file: Path, threads: int) -> InferenceSession:
    """A session with `threads` threads on `file`; onnxruntime's own exceptions pass through."""
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


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
