"""POST /diarize: a file in the body (raw, or the only file of a form), JSON or RTTM in the response.

The body is written to a temporary file as it arrives, within the limits of `Admission`; the complete file is put
into the queue of the `FileWorker`, diarized in its thread, and deleted. If the client disconnects or does not read
the response (see `sed.server.exchange`), the job is cancelled.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sed.errors import SedError
from sed.result import Diarization
from sed.server.address import client_address
from sed.server.admission import Upload
from sed.server.forms import FormFile, is_form
from sed.server.hub import Hub
from sed.server.protocol import dump, error_message
from sed.server.refusal import UploadError
from sed.server.worker import Job, JobCancelledError
from sed.streaming.messages import event_message

log = logging.getLogger("sed.server")

POLL = 0.25  # seconds between two checks of the job
FORMATS = {"json": "application/json", "rttm": "text/plain; charset=utf-8"}
# Progress must not be buffered: nginx, for one, buffers responses unless this header disables it.
UNBUFFERED = {"cache-control": "no-store", "x-accel-buffering": "no"}


async def diarize(hub: Hub, request: Request) -> Response:
    """The response to `request`: 200 with the result, or a typed error as JSON."""
    kind = request.query_params.get("format", "json")
    try:
        if kind not in FORMATS:
            raise UploadError("bad_request", f"format {kind[:40]!r}: expected {' or '.join(FORMATS)}")
        work = await _accept(hub, request)
        if _flag(request, "progress"):
            return _ProgressResponse(work, kind)
        with work:
            while not await work.wait():
                if await request.is_disconnected():
                    raise ClientDisconnect
            return Response(await work.text(kind), media_type=FORMATS[kind])
    except UploadError as error:
        hub.metrics.errors[error.code] += 1
        return error.response()
    except ClientDisconnect:
        return Response(status_code=400)


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "0") != "0"


async def _accept(hub: Hub, request: Request) -> _UploadJob:
    """Receive the file and put it in the queue. Raises `UploadError` and `ClientDisconnect`."""
    address = client_address(request.scope, hub.options)
    hub.files.check(address)  # before any byte is received in vain
    with ExitStack() as stack:
        upload = hub.admission.open(address)
        stack.callback(hub.admission.close, upload)
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sed-upload-"))
            path = Path(folder) / "audio"
            with path.open("wb") as out:
                name = await _receive(hub, upload, request, out)
            size = path.stat().st_size
        except OSError as error:
            log.error("an upload cannot be stored: %s", error)
            raise UploadError("overload", f"the server cannot store the file ({error.strerror})") from None
        if not size:
            raise UploadError("bad_request", "an empty file: expected audio")
        job = Job(address, path, _uri(name), _flag(request, "progress") and _flag(request, "provisional"))
        hub.files.submit(job)
        return _UploadJob(hub, job, stack.pop_all())


async def _receive(hub: Hub, upload: Upload, request: Request, out: BinaryIO) -> str:
    """Write the request's file to `out`; returns the file name that the client sent."""
    content_type = request.headers.get("content-type", "")
    form = FormFile(content_type, out) if is_form(content_type) else None
    write = form.write if form else out.write
    async for chunk in hub.admission.receive(upload, request):
        await asyncio.to_thread(write, chunk)  # a slow disk delays this upload, not the event loop
    if form:
        form.finish()
    return request.query_params.get("name", "") or (form.name if form else "")


class _UploadJob:
    """One received file, queued or being processed; as a context manager, it is cancelled and deleted at the end."""

    def __init__(self, hub: Hub, job: Job, stack: ExitStack) -> None:
        self._hub = hub
        self._job = job
        self._stack = stack
        self._future = asyncio.wrap_future(job.future)
        # Retrieve the result, so that asyncio logs no "exception was never retrieved" if the client has left.
        self._future.add_done_callback(lambda future: future.cancelled() or future.exception())

    def __enter__(self) -> _UploadJob:
        return self

    def __exit__(self, *_: object) -> None:
        self._hub.files.cancel(self._job)
        self._stack.close()

    async def wait(self) -> bool:
        """Wait for up to `POLL` seconds; returns whether there is a result or the server stops."""
        await asyncio.wait([self._future], timeout=POLL)
        return self._future.done() or self._hub.files.stopping

    def progress(self) -> dict[str, object]:
        """A message of type ``progress``."""
        job = self._job
        ahead = self._hub.files.ahead(job)
        return {"type": "progress", "time": job.done, "duration": job.duration, "ahead": ahead}

    def segments(self) -> list[dict[str, object]]:
        """Messages of type ``segment`` about provisional segments, since the last call."""
        return [event_message(event) for event in self._job.take_events()]

    def result(self) -> Diarization:
        """The result without posteriors. Raises `UploadError`."""
        try:
            if not self._future.done():
                raise JobCancelledError
            result = self._future.result()
        except UploadError:
            raise
        except (
            SedError
        ) as error:  # contains the path of the temporary file, which means nothing to the client
            raise UploadError("bad_audio", str(error).replace(str(self._job.path), self._job.uri)) from None
        except (JobCancelledError, asyncio.CancelledError):
            raise UploadError("overload", "the server is stopping") from None
        except Exception:
            log.exception("an uploaded file failed")
            raise UploadError("internal", "the server failed on this file; see its log") from None
        self._hub.metrics.uploads += 1
        self._hub.metrics.upload_seconds += result.duration
        return replace(result, posteriors=None)

    async def text(self, kind: str) -> str:
        """The result in the format `kind`. Raises `UploadError`."""
        return await asyncio.to_thread(_render, self.result(), kind)


class _ProgressResponse(StreamingResponse):
    """The response with ``progress=1``: JSON lines ``progress`` (and ``segment``), then ``result`` or ``error``."""

    def __init__(self, work: _UploadJob, kind: str) -> None:
        super().__init__(self._lines(work, kind), media_type="application/x-ndjson", headers=UNBUFFERED)
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, then clean up in any case."""
        with self._work:
            await super().__call__(scope, receive, send)

    @staticmethod
    async def _lines(work: _UploadJob, kind: str) -> AsyncIterator[str]:
        while not await work.wait():
            yield "".join(dump(message) + "\n" for message in (work.progress(), *work.segments()))
        try:
            with work:  # free its slot before the client has read the result
                text = await work.text(kind)
            yield await asyncio.to_thread(_result_line, text, kind)
        except UploadError as error:
            work._hub.metrics.errors[error.code] += 1
            yield dump(error_message(error.code, str(error))) + "\n"


def _render(result: Diarization, kind: str) -> str:
    from sed.formats import write

    text = io.StringIO()
    write(result, text, kind)
    return text.getvalue()


def _result_line(text: str, kind: str) -> str:
    return dump({"type": "result", "result": json.loads(text) if kind == "json" else text}) + "\n"


def _uri(name: str) -> str:
    """A recording's name from a file name: the stem, with runs of other characters replaced by underscores.

    >>> _uri("C:\\\\calls\\\\my call.wav"), _uri("")
    ('my_call', 'audio')
    """
    stem = PurePosixPath(name.replace("\\", "/")).stem
    return re.sub(r"[^\w.+-]+", "_", stem)[:100] or "audio"
