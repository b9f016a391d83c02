"""POST /convert: a result in the body, the same result in another format in the response.

The page exports its corrected results with it, and opens saved ones (``format=json``). The body is any text format that
`sed.formats` reads, one recording, at most `MAX_BYTES`; received within the limits of `Admission` as uploads are, and
converted by another process (`sed.server.converter`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from sed import formats
from sed.errors import MissingDependencyError
from sed.server.address import client_address
from sed.server.admission import Upload
from sed.server.hub import Hub
from sed.server.options import ServerOptions
from sed.server.protocol import Start
from sed.server.refusal import UploadError

MAX_BYTES = 1 << 24  # of a result
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
            text = await hub.converter(data, query.get("name", ""), query.get("format", "json"))
        return Response(text, media_type="application/octet-stream", headers={"cache-control": "no-store"})
    except UploadError as error:
        hub.metrics.errors[error.code] += 1
        return error.response()
    except ClientDisconnect:
        return Response(status_code=400)


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
