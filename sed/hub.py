"""Models of the Hugging Face hub by name: from the local cache, or downloaded into it.

This is the only module that uses the network during inference, and only if a hub name is given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sed.errors import MissingDependencyError, ModelError, install_hint

_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w][\w.-]*))?")


def is_hub_name(name: str) -> bool:
    """Whether `name` has the form owner/model or owner/model@revision and is not a local path: its first part does not
    exist here.

    >>> is_hub_name("speechbrain/emotion-diarization-wavlm-large"), is_hub_name("./runs/one"), is_hub_name("one")
    (True, False, False)
    >>> is_hub_name("microsoft/wavlm-large@main")
    True
    """
    return bool(_NAME.fullmatch(name)) and not Path(name.split("/")[0]).exists()


def split_revision(name: str) -> tuple[str, str | None]:
    """The model and the revision (a branch, a tag or a commit) of a hub name.

    >>> split_revision("microsoft/wavlm-large@main"), split_revision("microsoft/wavlm-large")
    (('microsoft/wavlm-large', 'main'), ('microsoft/wavlm-large', None))
    """
    model, _, revision = name.partition("@")
    return model, revision or None


def cached(name: str, file: str) -> Path | None:
    """Path of `file` of the model `name` in the cache, or None. Does not use the network."""
    model, revision = split_revision(name)
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(model, file, revision=revision)
    except (ImportError, ValueError):  # not installed, or not a valid name on the hub
        return None
    return Path(found) if isinstance(found, str) else None


def fetch(name: str, alternatives: Sequence[Sequence[str]], optional: Sequence[str] = ()) -> Path:
    """A folder with the files of the model `name` (with ``@revision``: that revision), which has all files of at least
    one of `alternatives`, in order of preference, and those of `optional` that exist.

    If the cache has all files of one alternative, the network is not used. Raises `ModelError` if the hub cannot be
    reached, has no such model, or the model has other files.
    """
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"the model {name!r} needs huggingface_hub ({error}): {install_hint('wavlm')}"
        ) from error
    for files in alternatives:
        paths = [cached(name, file) for file in files]
        if all(paths):
            return Path(str(paths[0])).parent
    folder = None
    for files in alternatives:  # one after the other: a model may have its weights in several forms
        folder = _download(name, [*files, *optional])
        if all((folder / file).is_file() for file in files):
            return folder
    found = sorted(path.name for path in folder.iterdir()) if folder and folder.is_dir() else []
    expected = " or ".join(", ".join(files) for files in alternatives)
    raise ModelError(f"the model {name!r}: found {', '.join(found) or 'no files'}, expected {expected}")


def local(name: str | Path, alternatives: Sequence[Sequence[str]], optional: Sequence[str] = ()) -> Path:
    """The path that `name` stands for: itself, or, if it does not exist and is a hub name, a folder with the files of
    one of `alternatives` (`fetch`); ``owner/name/FILE`` or ``owner/name@revision/FILE`` is a file of the model.

    >>> local("/tmp", [["config.json"]])
    PosixPath('/tmp')
    """
    text, path = str(name), Path(name)
    if path.exists():
        return path
    if is_hub_name(text):
        return fetch(text, alternatives, optional)
    owner, _, rest = text.partition("/")
    model, _, file = rest.partition("/")
    if file and is_hub_name(f"{owner}/{model}"):
        return fetch(f"{owner}/{model}", [[file]]) / file
    return path


def _download(name: str, files: Sequence[str]) -> Path:
    """The folder of the model in the cache, after a download of those of `files` that it has."""
    import huggingface_hub
    from huggingface_hub.constants import HF_HUB_OFFLINE

    model, revision = split_revision(name)
    try:
        return Path(huggingface_hub.snapshot_download(model, revision=revision, allow_patterns=list(files)))
    except Exception as error:  # the exceptions of requests, httpx and the hub have no common base class
        offline = " (HF_HUB_OFFLINE is set)" if HF_HUB_OFFLINE else ""
        lines = str(error).strip().splitlines() or [""]  # all but the first line is advice
        reason = " ".join(lines[0].split()).split(". ")[0]
        raise ModelError(
            f"the model {name!r} is not in the Hugging Face cache and cannot be downloaded{offline}:"
            f" {type(error).__name__}: {reason}"
        ) from error
