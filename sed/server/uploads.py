"""POST /diarize: a file in the body (raw, or the only file of a form), JSON or RTTM back.

The body goes to a temporary file as it comes, within `max_upload` bytes and not slower than `MIN_RATE`; the
file is diarized in the hub's thread for files, and deleted. A client that leaves stops its work.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sed.errors import SedError
from sed.result import Diarization
from sed.server.hub import Hub
from sed.server.protocol import dump, error_message

log = logging.getLogger("sed.server")

MIN_RATE = 16_000  # bytes a second that an upload has to keep up on average
POLL = 0.25  # seconds between two looks at the work
COPY = 1 << 20  # bytes at once
FORMATS = {"json": "application/json", "rttm": "text/plain; charset=utf-8"}
STATUS = {
    "bad_request": 400,
    "too_slow": 408,
    "too_long": 413,
    "bad_audio": 422,
    "internal": 500,
    "overload": 503,
}


class UploadError(Exception):
    """An upload that is refused: `code` is a key of `STATUS`, the text one sentence for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _LeftError(Exception):
    """Nobody waits for this file any more."""


async def diarize(hub: Hub, request: Request) -> Response:
    """The response to `request`: 200 with the result, or a typed error as JSON."""
    kind = request.query_params.get("format", "json")
    with ExitStack() as stack:
        try:
            if kind not in FORMATS:
                raise UploadError("bad_request", f"format {kind[:40]!r}: expected {' or '.join(FORMATS)}")
            if hub.uploading >= hub.options.max_uploads:
                raise UploadError("overload", f"{hub.uploading} files are in work already: expected fewer")
            hub.uploading += 1
            stack.callback(_release, hub)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sed-upload-")))
            work = _Work(hub, folder / "audio", await _receive(hub, request, folder / "audio"))
            if request.query_params.get("progress", "0") != "0":
                return _Lines(work, kind, stack.pop_all())
            async for _ in work.steps():
                if await request.is_disconnected():
                    raise ClientDisconnect
            return Response(_render(work.result(), kind), media_type=FORMATS[kind])
        except UploadError as error:
            hub.metrics.errors[error.code] += 1
            return JSONResponse(error_message(error.code, str(error)), STATUS[error.code])
        except ClientDisconnect:
            return Response(status_code=400)


def _release(hub: Hub) -> None:
    hub.uploading -= 1


class _Work:
    """One received file in the hands of the thread for files."""

    def __init__(self, hub: Hub, path: Path, uri: str) -> None:
        self._hub = hub
        self._path = path
        self._uri = uri
        self._cancelled = False
        self._future: asyncio.Future[Diarization] | None = None
        self.done = 0.0
        self.duration: float | None = None

    async def steps(self) -> AsyncIterator[None]:
        """Start; yields a few times a second until the result is there. Leaving early cancels the work."""
        self._future = self._hub.submit_file(self._path, self._uri, self._progress)
        try:
            while not (await asyncio.wait([self._future], timeout=POLL))[0]:
                yield
        finally:
            self._cancelled = True
            self._future.cancel()

    def _progress(self, done: float, duration: float | None) -> None:
        """Called in the thread: notes how far it is, and stops what is too long or unwanted."""
        if self._cancelled or self._hub.stopping.is_set():
            raise _LeftError
        if max(done, duration or 0.0) > self._hub.options.max_seconds:
            raise UploadError("too_long", f"more than {self._hub.options.max_seconds:g} s of audio")
        self.done, self.duration = done, duration

    def result(self) -> Diarization:
        """What came out. Raises `UploadError`."""
        assert self._future is not None
        try:
            result = self._future.result()
        except UploadError:
            raise
        except SedError as error:  # names our temporary file, which means nothing to the client
            raise UploadError("bad_audio", str(error).replace(str(self._path), self._uri)) from None
        except (_LeftError, asyncio.CancelledError):
            raise UploadError("overload", "the server is stopping") from None
        except Exception:
            log.exception("an uploaded file failed")
            raise UploadError("internal", "the server failed on this file; its log says more") from None
        self._hub.metrics.uploads += 1
        self._hub.metrics.upload_seconds += result.duration
        return replace(result, posteriors=None)


class _Lines(StreamingResponse):
    """The response with ``progress=1``: JSON lines of type ``progress``, then ``result`` or ``error``."""

    def __init__(self, work: _Work, kind: str, stack: ExitStack) -> None:
        super().__init__(self._lines(work, kind), media_type="application/x-ndjson")
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send, then clean up however that ended."""
        with self._stack:
            await super().__call__(scope, receive, send)

    @staticmethod
    async def _lines(work: _Work, kind: str) -> AsyncIterator[str]:
        async for _ in work.steps():
            yield dump({"type": "progress", "time": work.done, "duration": work.duration}) + "\n"
        try:
            text = _render(work.result(), kind)
            yield dump({"type": "result", "result": json.loads(text) if kind == "json" else text}) + "\n"
        except UploadError as error:
            work._hub.metrics.errors[error.code] += 1
            yield dump(error_message(error.code, str(error))) + "\n"


def _render(result: Diarization, kind: str) -> str:
    from sed.formats import write

    text = io.StringIO()
    write(result, text, kind)
    return text.getvalue()


async def _receive(hub: Hub, request: Request, path: Path) -> str:
    """Write the request's file to `path`; returns the recording's name."""
    name = request.query_params.get("name", "")
    chunks = _limited(hub, request)
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        try:
            form = await MultiPartParser(request.headers, chunks, max_files=1, max_fields=8).parse()
        except (MultiPartException, KeyError) as error:
            raise UploadError("bad_request", f"a form that cannot be read: {error}") from None
        try:
            files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            if not files:
                raise UploadError("bad_request", "a form without a file: expected one")
            name = name or files[0].filename or ""
            with path.open("wb") as out:
                while data := await files[0].read(COPY):
                    out.write(data)
        finally:
            await form.close()
    else:
        with path.open("wb") as out:
            async for chunk in chunks:
                out.write(chunk)
    if not path.stat().st_size:
        raise UploadError("bad_request", "an empty file: expected audio")
    return _uri(name)


async def _limited(hub: Hub, request: Request) -> AsyncGenerator[bytes, None]:
    options, size, begun = hub.options, 0, time.monotonic()
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > options.max_upload:
        raise UploadError("too_long", f"{declared} bytes: expected at most {options.max_upload}")
    chunks = request.stream()
    while True:
        left = options.idle_timeout + size / MIN_RATE - (time.monotonic() - begun)
        try:
            chunk = await asyncio.wait_for(chunks.__anext__(), max(left, 0.01))
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError:
            raise UploadError("too_slow", f"an upload slower than {MIN_RATE} bytes a second") from None
        size += len(chunk)
        if size > options.max_upload:
            raise UploadError("too_long", f"more than {options.max_upload} bytes: expected at most so many")
        yield chunk


def _uri(name: str) -> str:
    """A recording's name from a file's: the stem, without blanks or anything that is no name.

    >>> _uri("C:\\\\calls\\\\my call.wav"), _uri("")
    ('my_call', 'audio')
    """
    stem = PurePosixPath(name.replace("\\", "/")).stem
    return re.sub(r"[^\w.+-]+", "_", stem)[:100] or "audio"
