"""Atomic checkpoints: SpeechBrain's, written under a temporary name and then renamed.

SpeechBrain writes into a folder that counts as a checkpoint from the first file on, so a run that is killed while
writing leaves a newest checkpoint that cannot be loaded.
"""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

from speechbrain.utils import checkpoints
from speechbrain.utils.distributed import if_main_process

_log = logging.getLogger("sed.training")

PART = "part-"
"""Prefix of the name of a folder that is being written."""


class Checkpointer(checkpoints.Checkpointer):  # type: ignore[misc]
    """SpeechBrain's checkpointer without incomplete checkpoints: a killed process leaves none, and those left by
    older runs are skipped with a warning."""

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        """Save under a temporary name, then rename; leftovers of killed processes are deleted."""
        if if_main_process():
            for leftover in self.checkpoints_dir.glob(f"{PART}*"):
                shutil.rmtree(leftover)
        saved = super().save_checkpoint(*args, **kwargs)
        if saved is None:  # not the main process
            return None
        path = saved.path.with_name(saved.path.name.removeprefix(PART))
        os.replace(saved.path, path)
        files = {name: path / file.name for name, file in saved.paramfiles.items()}
        return checkpoints.Checkpoint(path, saved.meta, files)

    def _new_checkpoint_dirpath(self) -> Path:
        path: Path = super()._new_checkpoint_dirpath()
        return path.with_name(PART + path.name)

    def _custom_checkpoint_dirpath(self, name: str) -> Path:
        path: Path = super()._custom_checkpoint_dirpath(name)
        return path.with_name(PART + path.name)

    def _list_checkpoint_dirs(self) -> list[Path]:
        return [path for path in super()._list_checkpoint_dirs() if self._is_complete(path)]

    def _is_complete(self, path: Path) -> bool:
        files = [path / checkpoints.METAFNAME]
        files += [
            path / (name + checkpoints.PARAMFILE_EXT)
            for name in self.recoverables
            if not self.optional_recoverables.get(name)
        ]
        incomplete = [file.name for file in files if _is_incomplete(file)]
        if incomplete:
            _log.warning("%s: skipped, incomplete files: %s", path, ", ".join(incomplete))
        return not incomplete


def _is_incomplete(file: Path) -> bool:
    """Missing, empty, or a zip archive (what torch writes) without the directory at its end."""
    if not file.is_file() or not file.stat().st_size:
        return True
    with file.open("rb") as opened:
        return opened.read(2) == b"PK" and not zipfile.is_zipfile(file)
