"""Access control: origins, host names and tokens. Plain functions on headers, and one middleware.

A malformed request gets 400, one with a foreign host or origin 403. Both are decided here, before any other code
sees the request, and no header content can raise an exception.
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


def host_allowed(host: str, options: ServerOptions, local_address: str | None = None) -> bool:
    """Whether `host`, a request's Host header, is allowed.

    Allowed are names of this machine (``localhost``, a loopback address), `local_address` (the server's end of the
    connection), and the names in ``options.host`` and ``options.hosts``. This is checked on every address that the
    server listens on, because a hostile page could resolve a name of its domain to this machine (DNS rebinding).

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
        or (local_address is not None and name == canonical(local_address))
        or name in {canonical(allowed) for allowed in (options.host, *options.hosts)}
    )


def origin_allowed(origin: str | None, host: str, options: ServerOptions) -> bool:
    """Whether a page of `origin` may use the server under the name `host`; None is a program, not a page.

    >>> origin_allowed("http://localhost:8765", "localhost:8765", ServerOptions())
    True
    >>> origin_allowed("https://evil.example", "localhost:8765", ServerOptions())
    False
    >>> origin_allowed("https://my.example", "localhost:8765", ServerOptions(origins=("https://My.example",)))
    True
    """
    if origin is None or {origin.lower(), "*"} & {own.lower() for own in options.origins}:
        return True
    _, separator, netloc = origin.lower().partition("://")
    return bool(separator) and netloc == host.lower() != ""


def token_matches(presented: str | None, options: ServerOptions) -> bool:
    """Whether `presented` is the server's token, or none is needed. Any string is accepted, even lone surrogates."""
    if options.token is None:
        return True
    return hmac.compare_digest((presented or "").encode("utf-8", "surrogatepass"), options.token.encode())


def has_token(headers: Headers, options: ServerOptions) -> bool:
    """Whether the Authorization header contains the server's token, or no token is needed."""
    scheme, _, presented = headers.get("authorization", "").partition(" ")
    return token_matches(presented.strip() if scheme.lower() == "bearer" else None, options)


class Guard:
    """Middleware: rejects malformed and foreign hosts and origins, and adds security headers to responses.

    It also stores a function that aborts the connection in the scope as ``sed.abort``. ASGI has no such operation,
    and a regular close never completes if the peer does not read. The transport is taken from uvicorn's protocol,
    to which its `send` is bound; on other servers the function does nothing.
    """

    def __init__(self, app: ASGIApp, options: ServerOptions, metrics: Metrics) -> None:
        self._app = app
        self._options = options
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request, or reject it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if rejection := self._problem(Headers(scope=scope), (scope.get("server") or (None,))[0]):
            status, code, problem = rejection
            self._metrics.errors[code] += 1
            await self._reject(scope, receive, send, JSONResponse(error_message(code, problem), status))
            return
        scope["sed.abort"] = _aborter(send)
        await self._app(scope, receive, _with_headers(send) if scope["type"] == "http" else send)

    def _problem(self, headers: Headers, local_address: str | None) -> tuple[int, str, str] | None:
        """Status, code and message of what is wrong with `headers`, or None."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or len(origins) > 1:
            found = f"{len(hosts)} Host and {len(origins)} Origin headers"
            return 400, "bad_request", f"{found}: expected one Host and at most one Origin"
        host, origin = hosts[0], origins[0] if origins else None
        if host_name(host) is None:
            return 400, "bad_request", f"host {host[:80]!r}: expected name[:port]"
        if not host_allowed(host, self._options, local_address):
            expected = "expected this machine's name or address, or a name given by --allow-host"
            return 403, "forbidden", f"host {host[:80]!r}: {expected}"
        if not origin_allowed(origin, host, self._options):
            expected = "expected the server's own (or one given by --allow-origin)"
            return 403, "forbidden", f"origin {str(origin)[:80]!r}: {expected}"
        return None

    @staticmethod
    async def _reject(scope: Scope, receive: Receive, send: Send, response: JSONResponse) -> None:
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
    return abort if callable(abort) else _do_nothing


def _do_nothing() -> None:
    return None
