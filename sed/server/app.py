"""`create_app`: the routes of the server as one Starlette application.

``/stream`` is the WebSocket of PROTOCOL.md, ``POST /diarize`` accepts a file, ``POST /convert`` a result, ``/healthz``
and ``/metrics`` are for operators, ``/palette.json`` returns the colours, ``/about.json`` formats and limits; each is
also below ``/v1``. ``openapi.json`` and ``asyncapi.json`` describe them. All other paths serve the page in ``static/``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from sed.server import conversion, uploads
from sed.server.exchange import ExchangeMiddleware
from sed.server.guard import Guard, has_token
from sed.server.hub import Hub
from sed.server.live_stream import Stream
from sed.server.metrics import CONTENT_TYPE
from sed.server.options import ServerOptions
from sed.server.protocol import error_message
from sed.server.session import Session
from sed.server.worker import Diarize

log = logging.getLogger("sed.server")

STATIC = Path(__file__).parent / "static"
DOCUMENTS = ("openapi.json", "asyncapi.json")
FILE_STOP_TIMEOUT = 1.5  # seconds for the file being processed to end when the server stops


def create_app(
    options: ServerOptions | None = None,
    *,
    make_stream: Callable[..., Stream] | None = None,
    diarize: Diarize | None = None,
) -> Starlette:
    """The server as an ASGI application.

    `make_stream` maps a latency in seconds to a `Stream` such as `sed.StreamingDiarizer`; `diarize` maps a path
    (with ``uri`` and ``progress``) to a `Diarization`. By default, both come from one `sed.EmotionDiarizer` with
    the bundled models, which is created here, so that a missing model fails at startup.
    """
    options = options or ServerOptions()
    if make_stream is None or diarize is None:
        from sed.pipeline import EmotionDiarizer

        diarizer = EmotionDiarizer()
        make_stream = make_stream or diarizer.stream
        diarize = diarize or diarizer
    hub = Hub(options, make_stream, diarize)

    async def stream(socket: WebSocket) -> None:
        authorized = has_token(socket.headers, options)
        await Session(hub, socket, authorized, socket.scope.get("sed.abort", lambda: None)).run()

    async def upload(request: Request) -> Response:
        return await uploads.diarize(hub, request) if has_token(request.headers, options) else _unauthorized()

    async def convert(request: Request) -> Response:
        return (
            await conversion.convert(hub, request) if has_token(request.headers, options) else _unauthorized()
        )

    async def about(_: Request) -> Response:
        return JSONResponse(conversion.about(options))

    async def health(_: Request) -> Response:
        state = hub.health()
        return JSONResponse(state, 200 if state["status"] == "ok" else 503)

    async def metrics(request: Request) -> Response:
        if not has_token(request.headers, options):
            return _unauthorized()
        return Response(hub.metrics.text(hub.gauges()), headers={"content-type": CONTENT_TYPE})

    labels = list(getattr(diarize, "labels", ()))

    async def palette(_: Request) -> Response:
        return JSONResponse({"labels": labels, **_palette()})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await hub.measure()
        yield
        hub.close()
        if not await asyncio.to_thread(hub.files.join, FILE_STOP_TIMEOUT):
            log.warning("the file being processed does not end: the server exits without it")

    page = _StaticPage(directory=STATIC, html=True)
    endpoints = [
        WebSocketRoute("/stream", stream),
        Route("/diarize", upload, methods=["POST"]),
        Route("/convert", convert, methods=["POST"]),
        Route("/about.json", about),
        Route("/healthz", health),
        Route("/metrics", metrics),
        Route("/palette.json", palette),
        *(Route(f"/{name}", _document(name)) for name in DOCUMENTS),
    ]
    app = _App(
        hub,
        routes=[Mount("/v1", routes=endpoints), *endpoints, Mount("/", page)],
        middleware=[Middleware(Guard, options=options, metrics=hub.metrics)],
        lifespan=lifespan,
    )
    return app


class _App(Starlette):
    """Starlette with an `Exchange` for every request, including those that its middleware rejects."""

    def __init__(self, hub: Hub, **settings: Any) -> None:
        super().__init__(**settings)
        self.state.hub = hub

    def build_middleware_stack(self) -> ASGIApp:
        """The stack of the base class, wrapped in `ExchangeMiddleware`."""
        hub: Hub = self.state.hub
        return ExchangeMiddleware(super().build_middleware_stack(), hub.options, hub.metrics)


class _StaticPage(StaticFiles):
    """The page's files; browsers revalidate them on every load, so an upgrade takes effect at once."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """The response of the base class with ``Cache-Control: no-cache``."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["cache-control"] = "no-cache"
        return response


def _document(name: str) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for one of `DOCUMENTS`."""

    async def document(_: Request) -> Response:
        return FileResponse(STATIC / name, headers={"cache-control": "no-cache"})

    return document


def _unauthorized() -> Response:
    problem = error_message(
        "unauthorized", "missing or wrong token: expected Authorization: Bearer and the server's token"
    )
    return JSONResponse(problem, 401, {"www-authenticate": "Bearer"})


def _palette() -> dict[str, Any]:
    """The colours of `sed.palette` for the page, each with black or white as text colour."""
    from sed.palette import COLOURS, OTHER, SYNONYMS, ink

    names = {**COLOURS, **{name: COLOURS[synonym] for name, synonym in SYNONYMS.items()}}
    return {
        "emotions": {name: {"colour": value, "ink": ink(value)} for name, value in names.items()},
        "other": {"colour": OTHER, "ink": ink(OTHER)},
    }
