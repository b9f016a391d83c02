"""Raw HTTP requests and WebSocket frames, which regular client libraries do not send."""

from __future__ import annotations

import contextlib
import json
import socket
import struct

UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def request(host, headers="", path="/", websocket=False) -> bytes:
    """A GET request with `host` (bytes, or None for no Host) and further `headers` (Latin-1, with line ends)."""
    lines = f"GET {path} HTTP/1.1\r\n".encode("latin-1")
    if host is not None:
        lines += b"Host: " + host + b"\r\n"
    return lines + (UPGRADE if websocket else "").encode() + headers.encode("latin-1") + b"\r\n"


def connect(base, timeout=5.0) -> socket.socket:
    host, port = base.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=timeout)


def send_request(base, data, timeout=5.0) -> bytes:
    """Send `data`; returns the head of the response, or nothing if none arrives in time."""
    found = b""
    with connect(base, timeout) as connection, contextlib.suppress(OSError):
        connection.sendall(data)
        while b"\r\n\r\n" not in found and (data := connection.recv(65536)):
            found += data
    return found


def status(response: bytes) -> int:
    """The status in the head of a response, 0 if there is none."""
    return int(response.split()[1]) if response.startswith(b"HTTP/1.1 ") else 0


def frame(opcode, payload=b"", final=True) -> bytes:
    """A masked frame of a client; the mask is zero."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", final << 7 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", final << 7 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", final << 7 | opcode, 0x80 | 127, size)
    return head + bytes(4) + payload


class RawSocket:
    """A WebSocket over a plain socket: it sends nothing automatically, no pong and no close reply."""

    def __init__(self, base, headers="", timeout=5.0) -> None:
        self.connection = connect(base, timeout)
        self.connection.sendall(request(base.encode(), headers, "/stream", websocket=True))
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            self._read()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        assert status(head) == 101, head

    def send(self, opcode, payload=b"") -> None:
        self.connection.sendall(frame(opcode, payload))

    def receive(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. Raises `EOFError` at the end."""
        head = self._take(2)
        size = head[1]
        if size == 126:
            (size,) = struct.unpack("!H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._take(8))
        return head[0] & 15, self._take(size)

    def rest(self) -> tuple[list[dict], int | None]:
        """All messages up to a close frame or the end of the connection, and the close code if there was one."""
        found, code = [], None
        with contextlib.suppress(EOFError):
            while True:
                opcode, payload = self.receive()
                if opcode == TEXT:
                    found.append(json.loads(payload))
                elif opcode == CLOSE:
                    (code,) = struct.unpack("!H", payload[:2])
                    break
        return found, code

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> RawSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, size) -> bytes:
        while len(self._data) < size:
            self._read()
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def _read(self) -> None:
        data = self.connection.recv(65536)
        if not data:
            raise EOFError
        self._data += data
