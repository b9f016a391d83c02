"""`Exchange`: one HTTP request and its response, with two guarantees that ASGI servers do not give.

- A response is sent in pieces, each within `send_timeout`: a client that does not read is disconnected, and what
  it held is released. To the application it looks like a client that has left.
- A response to a request that has not been received completely (too large, a full queue, a wrong host) reaches
  the client. Closing a connection with unread data resets it, and the client may never see the reason; so the
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

PIECE = 1 << 16  # bytes that are sent at once
LINGER = 10.0  # seconds for which the rest of a refused body is received
LINGER_SILENCE = 2.0  # seconds without any of it after which the connection is closed
LINGER_BYTES = 1 << 30  # and how much of it
MOST_LINGERING = 64  # connections at once; any more are closed at once


class ExchangeMiddleware:
    """Wraps the ASGI application `app`: an `Exchange` for each HTTP request."""

    def __init__(self, app: ASGIApp, options: ServerOptions, metrics: Metrics) -> None:
        self._app = app
        self._options = options
        self._metrics = metrics
        self.lingering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; WebSockets pass through, as `Session` has the same time limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(self, Headers(scope=scope), receive, send, self._options.send_timeout)
        await self._app(scope, exchange.receive, exchange.send)

    def count_unread(self) -> None:
        """A response was left unread."""
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
        self._cut = False
        self._linger = False

    async def receive(self) -> Message:
        """As the server's `receive`; a client that was disconnected here has left."""
        if self._cut:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        """As the server's `send`, in pieces within the time limit; does nothing after a disconnection."""
        if message["type"] == "http.response.start":
            if self._unread:
                headers = MutableHeaders(raw=list(message.get("headers", [])))
                # Without a length, only the end of the response tells the client that it has all of it.
                self._linger = "content-length" in headers
                headers["connection"] = "close"
                message = {**message, "headers": headers.raw}
            await self._send_in_time(message)
        elif message["type"] != "http.response.body":
            await self._send_in_time(message)
        else:
            body, more = message.get("body", b""), message.get("more_body", False)
            for first in range(0, max(len(body), 1), PIECE):
                last = first + PIECE >= len(body)
                goes_on = more or self._linger or not last
                piece = {**message, "body": bytes(body[first : first + PIECE]), "more_body": goes_on}
                await self._send_in_time(piece)
            if self._linger and not more:
                await self._discard()
                await self._send_in_time({**message, "body": b"", "more_body": False})

    async def _send_in_time(self, message: Message) -> None:
        if self._cut:
            return
        try:
            await asyncio.wait_for(self._send(message), self._timeout)
        except asyncio.TimeoutError:
            log.info("a client left a response unread for %g s: dropped", self._timeout)
            self._shared.count_unread()
            self._cut = True
            transport: Any = getattr(getattr(self._send, "__self__", None), "transport", None)
            if transport is not None:  # uvicorn's; ASGI has no word for it
                transport.abort()

    async def _discard(self) -> None:
        """Receive the rest of the body; the client has the whole response, but for the end of the connection."""
        if self._shared.lingering >= MOST_LINGERING:
            return
        self._shared.lingering += 1
        try:
            end, left = time.monotonic() + LINGER, LINGER_BYTES
            while self._unread and left > 0 and not self._cut and (rest := end - time.monotonic()) > 0:
                message = await asyncio.wait_for(self.receive(), min(rest, LINGER_SILENCE))
                left -= len(message.get("body", b""))
        except asyncio.TimeoutError:
            pass
        finally:
            self._shared.lingering -= 1
