"""Makes `torchaudio` importable with a CPU build of torch.

The torchaudio wheels of PyPI are linked to CUDA: with CPU torch their extension fails to load (OSError on
``libc10_cuda.so``), and so do speechbrain and transformers, although they do not use the extension.
`allow_missing_extension` treats this failure as "no extension", as torchaudio itself does for source builds without
it. If the extension can be loaded, or torchaudio is not installed or already imported, nothing changes.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

_MODULE = "torchaudio._extension"


class _TolerantLoader(importlib.abc.Loader):
    def __init__(self, real: Any) -> None:
        self.real = real

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        try:
            self.real.exec_module(module)
        except OSError as error:
            _mark_absent(module, str(error))


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _TolerantLoader(spec.loader)
        return spec


def _mark_absent(module: ModuleType, reason: str) -> None:
    """Set the attributes of `module` that torchaudio reads to the state "extension not available"."""

    def fail_if_no_align(function: Any) -> Any:
        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(
                f"{function.__name__} needs torchaudio's extension, which failed to load: {reason}"
            )

        return refuse

    module.__dict__.update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        fail_if_no_align=fail_if_no_align,
        _check_cuda_version=lambda: None,
    )


def allow_missing_extension() -> None:
    """Call before the first import of torchaudio, or of anything that imports it; may be called repeatedly."""
    if _MODULE in sys.modules or any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())
