"""`create_app`: the routes of the server as one Starlette application.

``/stream`` is the WebSocket of PROTOCOL.md, ``POST /diarize`` takes a file, ``/healthz`` and ``/metrics`` are
for those who run it, ``/palette.json`` has the colours, and everything else is the page in ``static/``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from sed.server import uploads
from sed.server.exchange import ExchangeMiddleware
from sed.server.guard import Guard, token_shown
from sed.server.hub import Hub, Stream
from sed.server.metrics import CONTENT_TYPE
from sed.server.options import ServerOptions
from sed.server.protocol import error_message
from sed.server.session import Session
from sed.server.worker import Diarize

log = logging.getLogger("sed.server")

STATIC = Path(__file__).parent / "static"
STOP_PATIENCE = 1.5  # seconds for a file in work to end when the server stops


def create_app(
    options: ServerOptions | None = None,
    *,
    make_stream: Callable[[float], Stream] | None = None,
    diarize: Diarize | None = None,
) -> Starlette:
    """The server as an ASGI application.

    `make_stream` takes a latency in seconds and gives a `sed.StreamingDiarizer` or the like; `diarize` takes
    a path (with ``uri`` and ``progress``) and gives a `Diarization`. Without them, both are those of one
    `sed.EmotionDiarizer` with the bundled models, built here, so that a missing model shows at once.
    """
    options = options or ServerOptions()
    if make_stream is None or diarize is None:
        from sed.pipeline import EmotionDiarizer

        diarizer = EmotionDiarizer()
        make_stream = make_stream or diarizer.stream
        diarize = diarize or diarizer
    hub = Hub(options, make_stream, diarize)

    async def stream(socket: WebSocket) -> None:
        shown = token_shown(socket.headers, options)
        await Session(hub, socket, shown, socket.scope.get("sed.abort", lambda: None)).run()

    async def upload(request: Request) -> Response:
        return (
            await uploads.diarize(hub, request) if token_shown(request.headers, options) else _unauthorized()
        )

    async def health(_: Request) -> Response:
        state = hub.health()
        return JSONResponse(state, 200 if state["status"] == "ok" else 503)

    async def metrics(request: Request) -> Response:
        if not token_shown(request.headers, options):
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
        if not await asyncio.to_thread(hub.files.join, STOP_PATIENCE):
            log.warning("the file in work does not end: the server leaves it behind")

    app = _App(
        hub,
        routes=[
            WebSocketRoute("/stream", stream),
            Route("/diarize", upload, methods=["POST"]),
            Route("/healthz", health),
            Route("/metrics", metrics),
            Route("/palette.json", palette),
            Mount("/", _Page(directory=STATIC, html=True)),
        ],
        middleware=[Middleware(Guard, options=options, metrics=hub.metrics)],
        lifespan=lifespan,
    )
    return app


class _App(Starlette):
    """Starlette with an `Exchange` for every request, also for those that its middleware refuses."""

    def __init__(self, hub: Hub, **settings: Any) -> None:
        super().__init__(**settings)
        self.state.hub = hub

    def build_middleware_stack(self) -> ASGIApp:
        """As the base class, in `ExchangeMiddleware`."""
        hub: Hub = self.state.hub
        return ExchangeMiddleware(super().build_middleware_stack(), hub.options, hub.metrics)


class _Page(StaticFiles):
    """The page's files: a browser asks each time whether they changed, so an upgrade shows at once."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """As the base class, with a header."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["cache-control"] = "no-cache"
        return response


def _unauthorized() -> Response:
    problem = error_message(
        "unauthorized", "no or a wrong token: expected Authorization: Bearer and the server's token"
    )
    return JSONResponse(problem, 401, {"www-authenticate": "Bearer"})


def _palette() -> dict[str, Any]:
    """The colours of `sed.palette` for the page, each with the better of black and white for text on it."""
    from sed.palette import COLOURS, OTHER, SYNONYMS, ink

    names = {**COLOURS, **{name: COLOURS[known] for name, known in SYNONYMS.items()}}
    return {
        "emotions": {name: {"colour": value, "ink": ink(value)} for name, value in names.items()},
        "other": {"colour": OTHER, "ink": ink(OTHER)},
    }
