"""URLs of fsspec (``s3://``, ``gs://``, ``memory://`` ...): what is there, reading, and writing whole files.

fsspec and the package of a protocol are imported when such a URL is used; local paths, and ``file://``, which is
one, need neither. Errors of any protocol come out as one sentence with the URL.
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
# Where a file appears at once when it is complete, and folders need not be made (or would be buckets).
_WHOLE = frozenset("s3 s3a gs gcs az abfs abfss oss memory".split())
_EXTRA = frozenset("s3 s3a gs gcs".split())  # what the extra `cloud` brings
BLOCK = 4 << 20  # bytes fetched at once: what reading holds in memory


def is_url(name: str) -> bool:
    """Whether `name` is a URL, ``file://`` included, and no path."""
    return _URL.match(name) is not None


def is_file_url(name: str) -> bool:
    """Whether `name` is a URL of a file on this machine."""
    return name.lower().startswith("file://")


def local(name: str) -> str:
    """The path of a ``file://`` URL; a path as it is.

    >>> local("file:///data/my%20call.wav"), local("a b.wav")
    ('/data/my call.wav', 'a b.wav')
    """
    return unquote(urlsplit(name).path) if is_file_url(name) else name


def bare(url: str) -> str:
    """A URL without its protocol, and on the web without its query.

    >>> bare("s3://calls/a?.wav"), bare("https://example.org/x/a.wav?key=1")
    ('calls/a?.wav', 'example.org/x/a.wav')
    """
    protocol, _, rest = url.partition("://")
    if protocol.lower() in _WEB:
        rest = re.split("[?#]", rest)[0]
    return local(url) if is_file_url(url) else rest


def find(url: str, suffixes: Collection[str]) -> list[tuple[str, str, str | None]]:
    """The recordings behind a URL as ``(url, relative name, version)``, sorted.

    A folder (or prefix) stands for every file below it with one of `suffixes` that is not hidden, a pattern for what
    it matches. A URL of nothing is kept. Raises `OptionError` where a folder or pattern has no files, or cannot be
    listed.
    """
    with _told(url, OptionError):
        files, path = _filesystem(url)
        own: dict[str, Any] | None = None
        with contextlib.suppress(FileNotFoundError):
            own = files.info(path)
        if own is not None and own.get("type") != "directory":
            return [(url, PurePosixPath(bare(url)).name, _version(own))]
        if own is None and glob.has_magic(path) and _protocol(url) not in _WEB:
            root = _fixed(path)
            listed = {p: i for p, i in files.glob(path, detail=True).items() if i.get("type") == "file"}
            if not listed:
                raise OptionError(f"{url}: no file matches this pattern")
        elif own is not None or url.endswith("/"):
            root = path
            listed = {} if own is None else files.find(path, detail=True)
            shown = {p: i for p, i in listed.items() if not is_hidden(PurePosixPath(_below(p, root)))}
            listed = {p: i for p, i in shown.items() if PurePosixPath(p).suffix.lower() in suffixes}
            if not listed:
                raise OptionError(f"{url}: expected audio files in this folder, found none")
        else:
            return [(url, PurePosixPath(bare(url)).name, None)]
    return [
        (files.unstrip_protocol(p), _below(p, root), _version(info)) for p, info in sorted(listed.items())
    ]


class Remote:
    """A file behind a URL, open for reading from its beginning to its end; holds one block in memory.

    `name` is the URL. Raises `AudioError`, also while it is read.
    """

    def __init__(self, url: str) -> None:
        self.name = url
        with _told(url, AudioError):
            files, path = _filesystem(url)
            self._file = files.open(path, "rb", block_size=BLOCK)

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` more bytes; none at the end."""
        with _told(self.name, AudioError):
            return self._file.read(size)


def read_bytes(url: str) -> bytes:
    """The content of a small file. Raises `FormatError`."""
    with _told(url, FormatError):
        files, path = _filesystem(url)
        return files.cat_file(path)


def save_bytes(data: bytes, url: str) -> None:
    """Put `data` behind `url`, where it appears, or replaces what was there, when it is complete.

    Object stores do so by themselves; elsewhere it is moved there from a name beside it. Raises `FormatError`.
    """
    with _told(url, FormatError, "written"):
        files, path = _filesystem(url)
        if _protocol(url) in _WHOLE:
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
    """Every file below a folder, relative to it; none where there is no such folder.

    Raises `OptionError` where it cannot be listed, or there is not even the bucket.
    """
    with _told(url, OptionError):
        files, path = _filesystem(url)
        files.invalidate_cache()
        try:
            return {_below(found, path) for found in files.find(path)}
        except FileNotFoundError:  # an object store has no folders, so it is the bucket that is missing
            if _protocol(url) in _WHOLE:
                raise OptionError(f"{url}: expected a bucket that exists, found none") from None
            return set()


def join(folder: str, name: str) -> str:
    """A name in a folder: a path, or a URL where the folder is one."""
    return f"{folder.rstrip('/')}/{name}" if is_url(folder) else str(Path(folder) / name)


def check(url: str) -> None:
    """Raises `OptionError` where no such protocol is known, `MissingDependencyError` where it isn't installed."""
    with _told(url, OptionError):
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
    """The folders of a pattern before the first that is one."""
    kept = []
    for part in pattern.split("/")[:-1]:
        if glob.has_magic(part):
            break
        kept.append(part)
    return "/".join(kept)


def _below(path: str, root: str) -> str:
    return path.removeprefix(root.rstrip("/")).lstrip("/")


def _version(info: dict[str, Any]) -> str | None:
    """What changes with a file, as far as its protocol tells."""
    for key in ("ETag", "etag", "md5Hash"):
        if info.get(key):
            return str(info[key]).strip('"')
    times = [str(info[key]) for key in ("LastModified", "mtime", "modified", "created") if info.get(key)]
    return f"{info.get('size')}-{times[0]}" if times else None


@contextlib.contextmanager
def _told(url: str, kind: type[SedError], done: str = "read") -> Iterator[None]:
    """Whatever a protocol raises, as `kind` in one sentence: their exceptions have no common base."""
    try:
        yield
    except SedError:
        raise
    except FileNotFoundError as error:
        why = error.__cause__
        gone = why is None or isinstance(why, FileNotFoundError) or getattr(why, "status", 0) in (404, 410)
        if isinstance(why, Exception) and not gone and _protocol(url) in _WEB:
            # fsspec's way to tell of a server that is down or refuses: the file may well be there
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
