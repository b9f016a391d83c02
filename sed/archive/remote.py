"""Access to fsspec URLs (``s3://``, ``gs://``, ``memory://`` ...): listing, reading, and writing whole files.

fsspec and the package of a protocol are imported when such a URL is used; local paths and ``file://`` URLs need
neither. Errors of any protocol are raised as one sentence with the URL.
"""

from __future__ import annotations

import contextlib
import glob
import re
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from sed.errors import AudioError, FormatError, MissingDependencyError, OptionError, SedError, install_hint
from sed.files import is_hidden

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_WEB = ("http", "https")
# Protocols whose writes are atomic, and which need no folders to be created (or would create buckets).
_ATOMIC = frozenset("s3 s3a gs gcs az abfs abfss oss memory".split())
_EXTRA = frozenset("s3 s3a gs gcs".split())  # installed by the extra `cloud`
BLOCK = 4 << 20  # bytes fetched at once, and held in memory while reading


def is_url(name: str) -> bool:
    """Whether `name` is a URL (including ``file://``) rather than a path."""
    return _URL.match(name) is not None


def is_file_url(name: str) -> bool:
    """Whether `name` is a URL of a file on this machine."""
    return name.lower().startswith("file://")


def local(name: str) -> str:
    """The path of a ``file://`` URL; a path is returned unchanged.

    >>> local("file:///data/my%20call.wav"), local("a b.wav")
    ('/data/my call.wav', 'a b.wav')
    """
    return unquote(urlsplit(name).path) if is_file_url(name) else name


def bare(url: str) -> str:
    """A URL without its protocol and, for http, without its query.

    >>> bare("s3://calls/a?.wav"), bare("https://example.org/x/a.wav?key=1")
    ('calls/a?.wav', 'example.org/x/a.wav')
    """
    protocol, _, rest = url.partition("://")
    if protocol.lower() in _WEB:
        rest = re.split("[?#]", rest)[0]
    return local(url) if is_file_url(url) else rest


def find(url: str, suffixes: Collection[str]) -> list[tuple[str, str, str | None]]:
    """The recordings that a URL stands for as ``(url, relative name, version)``, sorted.

    A folder (or prefix) stands for every file below it with one of `suffixes` that is not hidden, a pattern for the
    files it matches. A URL that does not exist is kept. Raises `OptionError` if a folder or pattern has no files or
    cannot be listed.
    """
    with _errors(url, OptionError):
        files, path = _filesystem(url)
        info: dict[str, Any] | None = None
        with contextlib.suppress(FileNotFoundError):
            info = files.info(path)
        if info is not None and info.get("type") != "directory":
            return [(url, PurePosixPath(bare(url)).name, _version(info))]
        if info is None and glob.has_magic(path) and _protocol(url) not in _WEB:
            root = _fixed(path)
            listed = {p: i for p, i in files.glob(path, detail=True).items() if i.get("type") == "file"}
            if not listed:
                raise OptionError(f"{url}: no file matches this pattern")
        elif info is not None or url.endswith("/"):
            root = path
            listed = {} if info is None else files.find(path, detail=True)
            visible = {p: i for p, i in listed.items() if not is_hidden(PurePosixPath(_below(p, root)))}
            listed = {p: i for p, i in visible.items() if PurePosixPath(p).suffix.lower() in suffixes}
            if not listed:
                raise OptionError(f"{url}: expected audio files in this folder, found none")
        else:
            return [(url, PurePosixPath(bare(url)).name, None)]
    return [
        (files.unstrip_protocol(p), _below(p, root), _version(found)) for p, found in sorted(listed.items())
    ]


class Remote:
    """A remote file open for sequential reading; holds one block in memory.

    `name` is the URL. Opening and reading raise `AudioError`.
    """

    def __init__(self, url: str) -> None:
        self.name = url
        with _errors(url, AudioError):
            files, path = _filesystem(url)
            self._file = files.open(path, "rb", block_size=BLOCK)

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` more bytes; empty at the end of the file."""
        with _errors(self.name, AudioError):
            return self._file.read(size)


def read_bytes(url: str) -> bytes:
    """The content of a small file. Raises `FormatError`."""
    with _errors(url, FormatError):
        files, path = _filesystem(url)
        return files.cat_file(path)


def save_bytes(data: bytes, url: str) -> None:
    """Write `data` to `url` atomically.

    Writes to object stores are atomic; elsewhere a temporary file beside the target is renamed. Raises `FormatError`.
    """
    with _errors(url, FormatError, "written"):
        files, path = _filesystem(url)
        if _protocol(url) in _ATOMIC:
            files.pipe_file(path, data)
            return
        folder, _, name = path.rpartition("/")
        part = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}.part"
        files.makedirs(folder, exist_ok=True)
        try:
            files.pipe_file(part, data)
            files.mv(part, path)
        except BaseException:
            with contextlib.suppress(Exception):
                files.rm_file(part)
            raise


def names_below(url: str) -> set[str]:
    """Every file below a folder, relative to it; empty if there is no such folder.

    Raises `OptionError` if the folder cannot be listed or its bucket does not exist.
    """
    with _errors(url, OptionError):
        files, path = _filesystem(url)
        files.invalidate_cache()
        try:
            return {_below(found, path) for found in files.find(path)}
        except FileNotFoundError:  # object stores have no folders, so the bucket is missing
            if _protocol(url) in _ATOMIC:
                raise OptionError(f"{url}: expected a bucket that exists, found none") from None
            return set()


def join(folder: str, name: str) -> str:
    """The path or URL of a name in a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_url(folder) else str(Path(folder) / name)


def check(url: str) -> None:
    """Raise `OptionError` for an unknown protocol, `MissingDependencyError` for one that is not installed."""
    with _errors(url, OptionError):
        _filesystem(url)


def _filesystem(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError:
        raise MissingDependencyError(f"{url}: needs fsspec: {install_hint('cloud')}") from None
    if "::" in url:
        raise OptionError(f"{url}: found several protocols, expected one")
    protocol = _protocol(url)
    try:
        files, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        hint = f": {install_hint('cloud')}" if protocol in _EXTRA else ""
        raise MissingDependencyError(f"{url}: {_line(error).partition(': ')[2].rstrip('.')}{hint}") from None
    except ValueError:
        raise OptionError(f"{url}: found protocol {protocol}, expected one that fsspec knows") from None
    return files, path


def _protocol(url: str) -> str:
    return url.partition("://")[0].lower()


def _fixed(pattern: str) -> str:
    """The folders of a pattern before its first wildcard."""
    kept = []
    for part in pattern.split("/")[:-1]:
        if glob.has_magic(part):
            break
        kept.append(part)
    return "/".join(kept)


def _below(path: str, root: str) -> str:
    return path.removeprefix(root.rstrip("/")).lstrip("/")


def _version(info: dict[str, Any]) -> str | None:
    """A string that changes with the file (checksum, or size and time); None if the protocol has none."""
    for key in ("ETag", "etag", "md5Hash"):
        if info.get(key):
            return str(info[key]).strip('"')
    times = [str(info[key]) for key in ("LastModified", "mtime", "modified", "created") if info.get(key)]
    return f"{info.get('size')}-{times[0]}" if times else None


@contextlib.contextmanager
def _errors(url: str, kind: type[SedError], done: str = "read") -> Iterator[None]:
    """Turn any exception of a protocol into a `kind` of one sentence: they have no common base class."""
    try:
        yield
    except SedError:
        raise
    except FileNotFoundError as error:
        why = error.__cause__
        gone = why is None or isinstance(why, FileNotFoundError) or getattr(why, "status", 0) in (404, 410)
        if isinstance(why, Exception) and not gone and _protocol(url) in _WEB:
            # fsspec raises this also for a server that is down or refuses access
            raise kind(f"{url}: cannot be {done} ({_line(why)})", path=url) from None
        missing = "no such file" if done == "read" else f"cannot be written ({_line(error)})"
        raise kind(f"{url}: {missing}", path=url) from None
    except PermissionError as error:
        raise kind(f"{url}: no permission ({_line(error)})", path=url) from None
    except Exception as error:
        raise kind(f"{url}: cannot be {done} ({_line(error)})", path=url) from None


def _line(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    return first if isinstance(error, OSError) else f"{type(error).__name__}: {first}"
