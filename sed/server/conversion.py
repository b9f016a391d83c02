"""POST /convert: a result in the body, the same result in another format in the response.

The page exports its corrected results with it, and opens saved ones (``format=json``). The body is any text format that
`sed.formats` reads, one recording, at most `MAX_BYTES`; received within the limits of `Admission` as uploads are.
Parquet is refused, as it is compressed: half a megabyte of it can take all memory. `MAX_SEGMENTS` and `MAX_NAMES` bound
the time and memory that any format takes to write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from sed import formats
from sed.errors import MissingDependencyError, OptionError, SedError
from sed.formats.parquet import MAGIC
from sed.result import Diarization
from sed.server.address import client_address
from sed.server.admission import Upload
from sed.server.hub import Hub
from sed.server.options import ServerOptions
from sed.server.protocol import Start
from sed.server.refusal import UploadError

MAX_BYTES = 1 << 24  # of a result
MAX_SEGMENTS = 50_000
MAX_NAMES = 1000  # of speakers, emotions, labels and dimensions
LIMITS = ("max_upload", "max_upload_seconds", "max_seconds")  # options that the page states before an upload


def about(options: ServerOptions) -> dict[str, Any]:
    """What the page needs to know beforehand: the keys of a stream's ``start``, the formats that can be written here,
    and the limits of uploads.

    >>> about(ServerOptions(port=0))["formats"][0]
    {'name': 'rttm', 'suffix': '.rttm'}
    """
    return {
        "start": [field.name for field in fields(Start)],
        "formats": [{"name": n, "suffix": formats.suffix(n)} for n in formats.names() if _is_installed(n)],
        "limits": {name: getattr(options, name) for name in LIMITS},
    }


async def convert(hub: Hub, request: Request) -> Response:
    """The response to `request`: 200 with the result in the format of the query, or a typed error as JSON."""
    query = request.query_params
    try:
        with _upload(hub, request) as upload:
            data = await _receive(hub, upload, request)
            text = await asyncio.to_thread(render, data, query.get("name", ""), query.get("format", "json"))
        return Response(text, media_type="application/octet-stream", headers={"cache-control": "no-store"})
    except UploadError as error:
        hub.metrics.errors[error.code] += 1
        return error.response()
    except ClientDisconnect:
        return Response(status_code=400)


def render(data: bytes, name: str, kind: str) -> bytes:
    """`data`, the content of a file called `name`, in the format `kind`. Raises `UploadError`.

    >>> render(b"SPEAKER call 1 5 3 angry <NA> anna <NA> <NA>", "call.rttm", "audacity")
    b'5.000000\\t8.000000\\tanna: angry\\n'
    """
    place = PurePosixPath(name.replace("\\", "/")).name or "result"
    if data.startswith(MAGIC):
        raise UploadError("bad_result", f"{place}: found Parquet, expected a text format such as JSON")
    try:
        _, found = formats.parse(data, Path(place))
        if len(found) != 1:
            raise UploadError("bad_result", f"{place}: found {len(found)} recordings, expected one")
        _check_size(found[0], place)
        return formats.dumps(found[0], kind)
    except (OptionError, MissingDependencyError) as error:
        raise UploadError("bad_request", str(error)) from None
    except SedError as error:
        raise UploadError("bad_result", str(error)) from None


def _check_size(result: Diarization, place: str) -> None:
    if len(result) > MAX_SEGMENTS:
        raise UploadError(
            "bad_result", f"{place}: found {len(result)} segments, expected at most {MAX_SEGMENTS}"
        )
    names = {*result.labels, *result.dimensions}.union(*((s.speaker, s.emotion) for s in result))
    if len(names) > MAX_NAMES:
        raise UploadError(
            "bad_result", f"{place}: found {len(names)} speakers and emotions, expected at most {MAX_NAMES}"
        )


@contextmanager
def _upload(hub: Hub, request: Request) -> Iterator[Upload]:
    upload = hub.admission.open(client_address(request.scope, hub.options))
    try:
        yield upload
    finally:
        hub.admission.close(upload)


async def _receive(hub: Hub, upload: Upload, request: Request) -> bytes:
    data = bytearray()
    async for chunk in hub.admission.receive(upload, request):
        data += chunk
        if len(data) > MAX_BYTES:
            raise UploadError(
                "too_long", f"more than {MAX_BYTES} bytes: expected a result of at most as many"
            )
    return bytes(data)


def _is_installed(name: str) -> bool:
    try:
        formats.check(name)
    except MissingDependencyError:
        return False
    return True
