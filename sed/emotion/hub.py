"""Models of the Hugging Face hub by name: from the local cache, or downloaded into it.

This is the only module that uses the network during inference, and only if a hub name is given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sed.errors import MissingDependencyError, ModelError, install_hint
from sed.files import described

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_name(name: str) -> bool:
    """Whether `name` has the form owner/model and is not a local path: its first part does not exist here.

    >>> is_hub_name("speechbrain/emotion-diarization-wavlm-large"), is_hub_name("./runs/one"), is_hub_name("one")
    (True, False, False)
    """
    return bool(_NAME.fullmatch(name)) and not Path(name.split("/")[0]).exists()


def cached(name: str, file: str) -> Path | None:
    """Path of `file` of the model `name` in the cache, or None. Does not use the network."""
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(name, file)
    except (ImportError, ValueError):  # not installed, or not a valid name on the hub
        return None
    return Path(found) if isinstance(found, str) else None


def fetch(name: str, alternatives: Sequence[Sequence[str]], optional: Sequence[str] = ()) -> Path:
    """A folder with the files of the model `name`, which has all files of at least one of `alternatives`.

    If the cache has all files of one alternative, the network is not used. Raises `ModelError` if the hub cannot be
    reached, has no such model, or the model has other files.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.constants import HF_HUB_OFFLINE
    except ImportError as error:
        raise MissingDependencyError(
            f"downloading the tagger {name!r} needs huggingface_hub ({error}): {install_hint('wavlm')}"
        ) from error
    for files in alternatives:
        paths = [cached(name, file) for file in files]
        if all(paths):
            return Path(str(paths[0])).parent
    patterns = [*(file for files in alternatives for file in files), *optional]
    try:
        folder = Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # the exceptions of requests, httpx and the hub have no common base class
        offline = " (HF_HUB_OFFLINE is set)" if HF_HUB_OFFLINE else ""
        lines = str(error).strip().splitlines() or [""]  # all but the first line is advice
        reason = " ".join(lines[0].split()).split(". ")[0]
        raise ModelError(
            f"the model {name!r} is not in the Hugging Face cache and cannot be downloaded{offline}:"
            f" {type(error).__name__}: {reason}"
        ) from error
    if not any(all((folder / file).is_file() for file in files) for files in alternatives):
        found = sorted(map(described, folder.iterdir()))
        expected = " or ".join(", ".join(files) for files in alternatives)
        raise ModelError(f"the model {name!r}: found {', '.join(found) or 'no files'}, expected {expected}")
    return folder
