"""Lets `torchaudio` import beside a CPU build of torch.

The torchaudio wheels of PyPI are linked to CUDA: beside CPU torch their extension fails to load (OSError on
``libc10_cuda.so``), and takes speechbrain and transformers down with it, although nothing that they use needs
the extension. `allow_missing_extension` makes that one failure mean "no extension", as torchaudio itself does
for source builds without it. Where torchaudio's extension loads, or torchaudio is absent or already imported,
nothing changes.
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
    """Give `module` the names that torchaudio looks for, in the state "extension not there"."""

    def fail_if_no_align(function: Any) -> Any:
        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(
                f"{function.__name__} needs torchaudio's extension, which did not load: {reason}"
            )

        return refuse

    module.__dict__.update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        fail_if_no_align=fail_if_no_align,
        _check_cuda_version=lambda: None,
    )


def allow_missing_extension() -> None:
    """Call before the first import of torchaudio, or of anything that imports it; twice is harmless."""
    if _MODULE in sys.modules or any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())
