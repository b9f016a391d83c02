"""Who may talk to the server: origins, host names, tokens. Plain functions on headers, and one middleware.

A request that is malformed gets 400, one that names a foreign host or origin 403. Both are decided here, before any
other code sees the request, and nothing a client writes into a header can raise.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sed.server.hosts import canonical, host_name, is_loopback
from sed.server.metrics import Metrics
from sed.server.options import ServerOptions
from sed.server.protocol import error_message

SECURITY_HEADERS = {
    "content-security-policy": "default-src 'self'; media-src 'self' blob:; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
}


def host_allowed(host: str, options: ServerOptions, arrived: str | None = None) -> bool:
    """Whether a request may name this `host` (its Host header).

    Allowed are names of this machine (``localhost``, a loopback address), the address at which the connection
    `arrived` (the server's end of the socket), and the names of ``options.host`` and ``options.hosts``; on every
    address that the server listens on, because a hostile page could point a name of its domain here (DNS rebinding).

    >>> host_allowed("evil.example:8765", ServerOptions()), host_allowed("[::1]:8765", ServerOptions())
    (False, True)
    >>> host_allowed("10.0.0.7:80", ServerOptions(), "10.0.0.7"), host_allowed("10.0.0.8", ServerOptions(), "10.0.0.7")
    (True, False)
    >>> host_allowed("proxy.example:80", ServerOptions(hosts=("Proxy.example",)))
    True
    """
    name = host_name(host)
    if name is None:
        return False
    return (
        is_loopback(name)
        or (arrived is not None and name == canonical(arrived))
        or name in {canonical(allowed) for allowed in (options.host, *options.hosts)}
    )


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
    _, separator, place = origin.lower().partition("://")
    return bool(separator) and place == host.lower() != ""


def token_matches(shown: str | None, options: ServerOptions) -> bool:
    """Whether `shown` is the server's token, or no token is needed. Any text may be shown, lone surrogates too."""
    if options.token is None:
        return True
    return hmac.compare_digest((shown or "").encode("utf-8", "surrogatepass"), options.token.encode())


def token_shown(headers: Headers, options: ServerOptions) -> bool:
    """Whether the Authorization header has the server's token, or none is needed."""
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    return token_matches(shown.strip() if scheme.lower() == "bearer" else None, options)


class Guard:
    """Middleware: refuses malformed and foreign hosts and origins, and adds headers that tie the page down.

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
        if refusal := self._problem(Headers(scope=scope), (scope.get("server") or (None,))[0]):
            status, code, problem = refusal
            self._metrics.errors[code] += 1
            await self._refuse(scope, receive, send, JSONResponse(error_message(code, problem), status))
            return
        scope["sed.abort"] = _aborter(send)
        await self._app(scope, receive, _with_headers(send) if scope["type"] == "http" else send)

    def _problem(self, headers: Headers, arrived: str | None) -> tuple[int, str, str] | None:
        """Status, code and sentence of what is wrong with `headers`, or None."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or len(origins) > 1:
            found = f"{len(hosts)} Host and {len(origins)} Origin headers"
            return 400, "bad_request", f"{found}: expected one Host and at most one Origin"
        host, origin = hosts[0], origins[0] if origins else None
        if host_name(host) is None:
            return 400, "bad_request", f"host {host[:80]!r}: expected name[:port]"
        if not host_allowed(host, self._options, arrived):
            expected = "expected this machine's name or address, or a name given by --allow-host"
            return 403, "forbidden", f"host {host[:80]!r}: {expected}"
        if not origin_allowed(origin, host, self._options):
            expected = "expected the server's own (or one given by --allow-origin)"
            return 403, "forbidden", f"origin {str(origin)[:80]!r}: {expected}"
        return None

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send, response: JSONResponse) -> None:
        if scope["type"] == "http" or "websocket.http.response" in (scope.get("extensions") or {}):
            await response(scope, receive, send)
        else:  # closing before accepting is a 403
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": ""})


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
