"""Models by their name on the Hugging Face hub: from its cache where they are there, else fetched into it.

The one place of the package's inference that may use the network, and only where a name asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sed.errors import MissingDependencyError, ModelError, install_hint
from sed.files import described

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_name(name: str) -> bool:
    """Whether `name` has the form owner/model and is no path: its first part is no folder here.

    >>> is_hub_name("speechbrain/emotion-diarization-wavlm-large"), is_hub_name("./runs/one"), is_hub_name("one")
    (True, False, False)
    """
    return bool(_NAME.fullmatch(name)) and not Path(name.split("/")[0]).exists()


def cached(name: str, file: str) -> Path | None:
    """Where the cache holds `file` of the model `name`; None where it does not. Asks nobody."""
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(name, file)
    except (ImportError, ValueError):  # not installed, or no name that could be on the hub
        return None
    return Path(found) if isinstance(found, str) else None


def fetch(name: str, alternatives: Sequence[Sequence[str]], optional: Sequence[str] = ()) -> Path:
    """A folder with the files of the model `name`: all of the first of `alternatives` that is complete.

    What is in the cache is taken from there and the hub is not asked. Raises `ModelError` where the hub
    cannot be reached, has no such model, or the model has other files.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.constants import HF_HUB_OFFLINE
    except ImportError as error:
        raise MissingDependencyError(
            f"the tagger {name!r} is fetched by huggingface_hub ({error}): {install_hint('wavlm')}"
        ) from error
    for files in alternatives:
        places = [cached(name, file) for file in files]
        if all(places):
            return Path(str(places[0])).parent
    wanted = [*(file for files in alternatives for file in files), *optional]
    try:
        folder = Path(snapshot_download(name, allow_patterns=wanted))
    except Exception as error:  # requests', httpx's and the hub's own have no common base
        offline = " (HF_HUB_OFFLINE is set)" if HF_HUB_OFFLINE else ""
        said = str(error).strip().splitlines() or [""]  # what follows in further lines is advice
        reason = " ".join(said[0].split()).split(". ")[0]
        raise ModelError(
            f"the model {name!r} is not in the Hugging Face cache and cannot be fetched{offline}:"
            f" {type(error).__name__}: {reason}"
        ) from error
    if not any(all((folder / file).is_file() for file in files) for files in alternatives):
        there = sorted(map(described, folder.iterdir()))
        expected = " or ".join(", ".join(files) for files in alternatives)
        raise ModelError(f"the model {name!r} has {', '.join(there) or 'none'} of the files {expected}")
    return folder
