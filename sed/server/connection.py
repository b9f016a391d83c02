"""uvicorn's WebSocket connection, hardened against hostile clients and tolerant of slow ones.

- A request that websockets cannot parse (too many or too long headers, control bytes) gets a 400; uvicorn waits
  forever.
- A client may close its sending side (a TCP half-close) and still receive; uvicorn disconnects at once.
- The rate of pings is limited, and so is the number of bytes of unread pongs.
- A lost connection has another code than one that the client closed without a status.
- Received bytes are parsed only as the application asks for messages: uvicorn turns 256 kB of empty frames into
  40,000 messages at once, and each takes 50 times its size on the wire in memory. A client whose bytes take long to
  parse (a flood of tiny frames) is parsed in time slices, so that the others are served in between.
"""

from __future__ import annotations

import time
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from sed.server.limits import Bucket

PING_RATE = 20.0  # pings per second that a client may send
PING_BURST = 200.0  # pings that it may send at once
PARSE_BYTES = 4096  # bytes parsed per step
TIME_SLICE, PAUSE = 0.002, 0.02  # seconds of parsing per connection, and seconds without reading after that
ABNORMAL = 1006  # the close code of a connection that was lost
MAX_UNREAD = 1 << 20  # bytes buffered for a client that does not read
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
        self._paused = False
        self._pings = Bucket(PING_RATE, PING_BURST, time.monotonic())

    def data_received(self, data: bytes) -> None:
        """Receive bytes of the client, including its request."""
        self._unparsed += data
        self._parse()

    def _parse(self) -> None:
        """Parse until a message is queued for the application or the time slice is over."""
        until = time.monotonic() + TIME_SLICE
        while self._unparsed and not self._paused and (self.queue.empty() or self.close_sent):
            data = bytes(self._unparsed[:PARSE_BYTES])
            del self._unparsed[:PARSE_BYTES]
            super().data_received(data)
            if self.conn.handshake_exc is not None and not self.handshake_initiated:
                self.handshake_initiated = True
                text = b"The WebSocket request cannot be parsed."
                self.transport.write(_BAD_REQUEST % (len(text), text))
                self.transport.close()
            if self.transport.is_closing():
                self._unparsed.clear()
            elif time.monotonic() > until:
                self._paused = True
                self.loop.call_later(PAUSE, self._resume)
        if self._unparsed:
            self.transport.pause_reading()
        elif not self.read_paused:
            self.transport.resume_reading()

    def _resume(self) -> None:
        self._paused = False
        self._parse()

    async def receive(self) -> Any:
        """The next message for the application."""
        message = await super().receive()
        self._parse()
        if message["type"] == "websocket.disconnect" and "reason" not in message:
            return {
                **message,
                "code": ABNORMAL,
            }  # no closing frame: uvicorn reports 1005 for a lost connection
        return message

    def eof_received(self) -> bool:  # type: ignore[override]
        """Handle a half-close: the application decides whether it still has something to send."""
        if not self.handshake_initiated:
            return False
        if not self._half_closed:
            self._half_closed = True
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        return True

    async def send(self, message: Any) -> None:
        """Send as uvicorn does; after a half-close, close without waiting for a reply that cannot arrive."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # rejected; uvicorn would log an error otherwise
        if message["type"] == "websocket.close":
            self._parse()
            if self._half_closed:
                self.transport.close()

    def handle_ping(self) -> None:
        """Answer a ping; abort the connection on a flood of pings or of unread pongs."""
        super().handle_ping()
        if self._pings.take(1.0, time.monotonic()) > 0 or self.transport.get_write_buffer_size() > MAX_UNREAD:
            self.transport.abort()
