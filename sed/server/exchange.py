"""`Exchange`: one HTTP request and its response, with two guarantees that ASGI servers do not give.

- A response is sent in chunks, each within `send_timeout`: a client that does not read is disconnected, and its
  resources are released. The application sees a disconnected client.
- A response to a request that has not been received completely (too large, a full queue, a wrong host) reaches
  the client. Closing a connection with unread data resets it, and the client may never see the response; so the
  rest of the body is received and discarded first, within limits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sed.server.metrics import Metrics
from sed.server.options import ServerOptions

log = logging.getLogger("sed.server")

CHUNK = 1 << 16  # bytes sent at once
LINGER = 10.0  # seconds for which the rest of a rejected body is received
LINGER_SILENCE = 2.0  # seconds without data after which such a connection is closed
LINGER_BYTES = 1 << 30  # bytes of the rest that are received at most
MAX_LINGERING = 64  # connections that may linger at the same time; further ones are closed immediately


class ExchangeMiddleware:
    """Wraps the ASGI application `app`: an `Exchange` for each HTTP request."""

    def __init__(self, app: ASGIApp, options: ServerOptions, metrics: Metrics) -> None:
        self._app = app
        self._options = options
        self._metrics = metrics
        self.lingering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; WebSockets pass through, because `Session` enforces the same time limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(self, Headers(scope=scope), receive, send, self._options.send_timeout)
        await self._app(scope, exchange.receive, exchange.send)

    def count_unread(self) -> None:
        """Count a response that the client did not read."""
        self._metrics.errors["overload"] += 1


class Exchange:
    """`receive` and `send` of one request."""

    def __init__(
        self, shared: ExchangeMiddleware, headers: Headers, receive: Receive, send: Send, timeout: float
    ) -> None:
        self._shared = shared
        self._receive = receive
        self._send = send
        self._timeout = timeout
        self._unread = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self._disconnected = False
        self._linger = False

    async def receive(self) -> Message:
        """The server's `receive`; reports a disconnect after this class has disconnected the client."""
        if self._disconnected:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        """The server's `send`, in chunks within the time limit; does nothing after a disconnect."""
        if message["type"] == "http.response.start":
            if self._unread:
                headers = MutableHeaders(raw=list(message.get("headers", [])))
                # Without a length, the client recognizes a complete response only by its end.
                self._linger = "content-length" in headers
                headers["connection"] = "close"
                message = {**message, "headers": headers.raw}
            await self._send_with_timeout(message)
        elif message["type"] != "http.response.body":
            await self._send_with_timeout(message)
        else:
            body, more = message.get("body", b""), message.get("more_body", False)
            for first in range(0, max(len(body), 1), CHUNK):
                last = first + CHUNK >= len(body)
                continues = more or self._linger or not last
                chunk = {**message, "body": bytes(body[first : first + CHUNK]), "more_body": continues}
                await self._send_with_timeout(chunk)
            if self._linger and not more:
                await self._discard()
                await self._send_with_timeout({**message, "body": b"", "more_body": False})

    async def _send_with_timeout(self, message: Message) -> None:
        if self._disconnected:
            return
        try:
            await asyncio.wait_for(self._send(message), self._timeout)
        except asyncio.TimeoutError:
            log.info("a client did not read its response for %g s: disconnected", self._timeout)
            self._shared.count_unread()
            self._disconnected = True
            transport: Any = getattr(getattr(self._send, "__self__", None), "transport", None)
            if transport is not None:  # uvicorn's; ASGI has no way to abort
                transport.abort()

    async def _discard(self) -> None:
        """Receive and discard the rest of the body, after the whole response and before closing."""
        if self._shared.lingering >= MAX_LINGERING:
            return
        self._shared.lingering += 1
        try:
            end, bytes_left = time.monotonic() + LINGER, LINGER_BYTES
            while self._unread and bytes_left > 0 and not self._disconnected:
                if (seconds_left := end - time.monotonic()) <= 0:
                    break
                message = await asyncio.wait_for(self.receive(), min(seconds_left, LINGER_SILENCE))
                bytes_left -= len(message.get("body", b""))
        except asyncio.TimeoutError:
            pass
        finally:
            self._shared.lingering -= 1
