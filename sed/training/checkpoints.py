"""Checkpoints that are whole or not there: SpeechBrain's, written under another name and then renamed.

SpeechBrain's own writes into a folder that counts as a checkpoint from the first file on, so a run that is killed
meanwhile leaves one that cannot be loaded, and the newest at that.
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
"""Begins the name of a folder that is being written."""


class Checkpointer(checkpoints.Checkpointer):  # type: ignore[misc]
    """As SpeechBrain's, less its torn checkpoints: none is left by a process that is killed, and those that an
    older run left are passed over with a warning."""

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        """Save under another name, then rename; what a killed process left under such a name is deleted."""
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
        return [path for path in super()._list_checkpoint_dirs() if self._is_whole(path)]

    def _is_whole(self, path: Path) -> bool:
        files = [path / checkpoints.METAFNAME]
        files += [
            path / (name + checkpoints.PARAMFILE_EXT)
            for name in self.recoverables
            if not self.optional_recoverables.get(name)
        ]
        torn = [file.name for file in files if _is_torn(file)]
        if torn:
            _log.warning("%s: passed over, %s is not whole", path, ", ".join(torn))
        return not torn


def _is_torn(file: Path) -> bool:
    """Missing, empty, or begun as a zip archive (what torch writes), without the directory at its end."""
    if not file.is_file() or not file.stat().st_size:
        return True
    with file.open("rb") as opened:
        return opened.read(2) == b"PK" and not zipfile.is_zipfile(file)
