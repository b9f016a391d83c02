"""`Channel`: one WebSocket with time limits: what a client does or omits costs at most a bounded time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from sed.server.metrics import Metrics

log = logging.getLogger("sed.server")

GRACE = 12.0  # seconds after which a closed connection is aborted, whatever its peer does


class GoneError(Exception):
    """The client has disconnected or stopped reading, or its stream continues on another connection."""


class Channel:
    """Sends to `socket` within `timeout` seconds; `abort` aborts its connection.

    close_code: with which the client has disconnected, or None.
    """

    def __init__(
        self, socket: WebSocket, abort: Callable[[], None], timeout: float, metrics: Metrics
    ) -> None:
        self.socket = socket
        self.abort = abort
        self.close_code: int | None = None
        self._timeout = timeout
        self._metrics = metrics

    async def receive(self) -> Any:
        """The next message, also that of the disconnect."""
        message = await self.socket.receive()
        if message["type"] == "websocket.disconnect":
            self.close_code = message.get("code")
        return message

    async def send(self, text: str) -> None:
        """Send a text message. Raises `GoneError`."""
        try:
            await asyncio.wait_for(self.socket.send_text(text), self._timeout)
        except asyncio.TimeoutError:
            log.warning("a client did not read its events for %g s: disconnected", self._timeout)
            self._metrics.errors["overload"] += 1
            self.abort()
            raise GoneError from None
        except (WebSocketDisconnect, RuntimeError, OSError):  # Starlette: RuntimeError once it is closed
            raise GoneError from None

    async def close(self, code: int) -> None:
        """Close the connection; abort it later, because a peer that does not read would keep it open."""
        asyncio.get_running_loop().call_later(GRACE, self.abort)
        try:
            await asyncio.wait_for(self.socket.close(code), self._timeout)
        except (asyncio.TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
            self.abort()
