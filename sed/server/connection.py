"""uvicorn's WebSocket connection, with what its own lacks against strangers and for patient clients.

- A request that websockets cannot read (too many or too long headers, control bytes) gets a 400; uvicorn waits for
  ever.
- A client may close its sending side (a TCP half-close) and still receive; uvicorn hangs up at once.
- Pings are limited in number, and pongs that the client does not read in bytes.
- Of what has arrived, little is parsed before the application asks for it: uvicorn makes 40,000 messages of 256 kB of
  empty ones at once, and each takes 50 times the memory that it took on the wire. A client whose bytes take long to
  parse (a flood of tiny frames) is read in turns, so that the others are served meanwhile.
"""

from __future__ import annotations

import time
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from sed.server.limits import Bucket

PING_RATE = 20.0  # pings a second that a client may send
PING_BURST = 200.0  # and at once
SLICE = 4096  # bytes that are parsed at once
TURN, REST = 0.002, 0.02  # seconds of parsing for one connection, and of reading nothing from it after that
MAX_UNREAD = 1 << 20  # bytes that wait for a client that does not read
_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s"
)


class WebSocketConnection(WebSocketsSansIOProtocol):
    """One WebSocket of the server, for ``uvicorn.Config(ws=...)``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._half_closed = False
        self._unparsed = bytearray()
        self._resting = False
        self._pings = Bucket(PING_RATE, PING_BURST, time.monotonic())

    def data_received(self, data: bytes) -> None:
        """Bytes of the client, from its request on."""
        self._unparsed += data
        self._parse()

    def _parse(self) -> None:
        """Parse until there is a message that the application has not asked for, or the turn is over."""
        until = time.monotonic() + TURN
        while self._unparsed and not self._resting and (self.queue.empty() or self.close_sent):
            data = bytes(self._unparsed[:SLICE])
            del self._unparsed[:SLICE]
            super().data_received(data)
            if self.conn.handshake_exc is not None and not self.handshake_initiated:
                self.handshake_initiated = True
                text = b"A WebSocket request that cannot be read."
                self.transport.write(_BAD_REQUEST % (len(text), text))
                self.transport.close()
            if self.transport.is_closing():
                self._unparsed.clear()
            elif time.monotonic() > until:
                self._resting = True
                self.loop.call_later(REST, self._wake)
        if self._unparsed:
            self.transport.pause_reading()
        elif not self.read_paused:
            self.transport.resume_reading()

    def _wake(self) -> None:
        self._resting = False
        self._parse()

    async def receive(self) -> Any:
        """The next message for the application."""
        message = await super().receive()
        self._parse()
        return message

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more: the application decides whether there is still something to send to it."""
        if not self.handshake_initiated:
            return False
        if not self._half_closed:
            self._half_closed = True
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        return True

    async def send(self, message: Any) -> None:
        """As uvicorn's; after a half-close the connection ends with what is sent, as no reply can come."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # by a refusal; uvicorn would log an error
        if message["type"] == "websocket.close":
            self._parse()
            if self._half_closed:
                self.transport.close()

    def handle_ping(self) -> None:
        """Answer a ping; a flood of pings, or of pongs that stay unread, ends the connection."""
        super().handle_ping()
        if self._pings.take(1.0, time.monotonic()) > 0 or self.transport.get_write_buffer_size() > MAX_UNREAD:
            self.transport.abort()
