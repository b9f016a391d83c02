"""Who may talk to the server: origins, host names, tokens. Plain functions on headers, and one middleware."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sed.server.metrics import Metrics
from sed.server.options import ServerOptions
from sed.server.protocol import error_message

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'self'; media-src 'self' blob:; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
}


def host_allowed(host: str, options: ServerOptions) -> bool:
    """Whether a request may name this `host` (its Host header).

    >>> host_allowed("evil.example:8765", ServerOptions()), host_allowed("[::1]:8765", ServerOptions())
    (False, True)
    >>> host_allowed("proxy.example:80", ServerOptions(hosts=("Proxy.example",)))
    True
    """
    if not options.loopback:
        return True
    name = urlsplit(f"//{host}").hostname if host else None
    return name in LOOPBACK_NAMES or name in {own.lower().strip("[]") for own in options.hosts}


def origin_allowed(origin: str | None, host: str, options: ServerOptions) -> bool:
    """Whether a page of `origin` may use the server that it calls `host`; None is a program, not a page.

    >>> origin_allowed("http://localhost:8765", "localhost:8765", ServerOptions())
    True
    >>> origin_allowed("https://evil.example", "localhost:8765", ServerOptions())
    False
    >>> origin_allowed("https://my.example", "localhost:8765", ServerOptions(origins=("https://My.example",)))
    True
    """
    if origin is None or {origin.lower(), "*"} & {own.lower() for own in options.origins}:
        return True
    return urlsplit(origin).netloc.lower() == host.lower() != ""


def token_shown(headers: Headers, options: ServerOptions) -> bool:
    """Whether the Authorization header has the server's token, or none is needed."""
    if options.token is None:
        return True
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), options.token.encode())


class Guard:
    """Middleware: refuses foreign hosts and origins with 403, and adds headers that tie the page down.

    It also puts a function that cuts the connection into the scope as ``sed.abort``. ASGI has no word for it,
    and a polite close never comes to an end with a peer that does not read; uvicorn's protocol, to which its
    `send` is bound, has the transport. On another server the function does nothing.
    """

    def __init__(self, app: ASGIApp, options: ServerOptions, metrics: Metrics) -> None:
        self._app = app
        self._options = options
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass `scope` on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        problem = ""
        if not host_allowed(host, self._options):
            problem = f"host {host[:80]!r}: expected this machine's name (or one given by --allow-host)"
        elif not origin_allowed(headers.get("origin"), host, self._options):
            shown = headers["origin"][:80]
            problem = f"origin {shown!r}: expected the server's own (or one given by --allow-origin)"
        if problem:
            self._metrics.errors["forbidden"] += 1
            await self._refuse(scope, receive, send, problem)
            return
        scope["sed.abort"] = _aborter(send)
        await self._app(scope, receive, _with_headers(send) if scope["type"] == "http" else send)

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send, problem: str) -> None:
        if scope["type"] == "websocket":  # closing before accepting is a 403
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        else:
            await JSONResponse(error_message("forbidden", problem), 403)(scope, receive, send)


def _with_headers(send: Send) -> Send:
    extra = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await send(message)

    return sender


def _aborter(send: Any) -> Callable[[], None]:
    abort = getattr(getattr(getattr(send, "__self__", None), "transport", None), "abort", None)
    return abort if callable(abort) else _nothing


def _nothing() -> None:
    return None
