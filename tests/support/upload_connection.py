"""Raw HTTP over a socket from a chosen source address (all of 127.0.0.0/8 is this machine)."""

from __future__ import annotations

import contextlib
import json
import socket
import time

from live_server import diarize

SMALL = b"RIFF" + bytes(400)


class Connection:
    """One connection to `base` (host:port) from the address `source`."""

    def __init__(self, base, source="127.0.0.1", timeout=10.0, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.bind((source, 0))
        host, port = base.split(":")
        self.socket.connect((host, int(port)))
        self._rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def post(self, path="/diarize", body=b"", length=None, headers=(), host="localhost"):
        """Send the head, with the length of `body` or another, and then the body."""
        lines = [f"POST {path} HTTP/1.1", f"Host: {host}", *headers]
        lines.append(f"Content-Length: {len(body) if length is None else length}")
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def send(self, size, chunk=bytes(1 << 16)):
        """Send `size` bytes without reading meanwhile, as a simple client does."""
        while size > 0:
            self.socket.sendall(chunk[:size])
            size -= len(chunk)

    def answer(self):
        """Read the whole response: status, headers (lower case) and body."""
        head, self._rest = self._until(b"\r\n\r\n"), self._rest
        status, *lines = head.decode().split("\r\n")[:-2]
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
        size = int(headers["content-length"])
        while len(self._rest) < size:
            self._rest += self._receive()
        body, self._rest = self._rest[:size], self._rest[size:]
        return int(status.split()[1]), headers, body

    def lines(self):
        """Yield the JSON lines of a chunked response as they arrive; the head is skipped."""
        self._until(b"\r\n\r\n")
        while size := int(self._until(b"\r\n"), 16):
            while len(self._rest) < size + 2:
                self._rest += self._receive()
            chunk, self._rest = self._rest[:size], self._rest[size + 2 :]
            yield json.loads(chunk)

    def is_closed(self, seconds=5.0):
        """Whether the server closes the connection within `seconds`; data that it sends is ignored."""
        self.socket.settimeout(seconds)
        end = time.monotonic() + seconds
        with contextlib.suppress(ConnectionResetError):
            while time.monotonic() < end:
                try:
                    if not self.socket.recv(1 << 16):
                        return True
                except TimeoutError:
                    return False
            return False
        return True

    def _until(self, mark):
        while mark not in self._rest:
            self._rest += self._receive()
        found, _, self._rest = self._rest.partition(mark)
        return found + mark

    def _receive(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server has closed the connection")
        return data


def wait_until(condition, seconds=5.0):
    """Wait for `condition()`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
    return True


@contextlib.contextmanager
def many(base, count, source="127.0.0.2", **how):
    """`count` connections that have each sent a POST, from the address `source` or from one address each."""
    with contextlib.ExitStack() as stack:
        sources = [source] * count if isinstance(source, str) else source
        connections = [stack.enter_context(Connection(base, own)) for own in sources]
        for connection in connections:
            connection.post(**how)
        yield connections


def post_small_file(server, source="127.0.0.1"):
    """POST a small file; returns the status and the seconds until the response."""
    started = time.monotonic()
    with Connection(server.base, source) as connection:
        connection.post(body=SMALL)
        status, _, _ = connection.answer()
    return status, time.monotonic() - started


def slow_diarize(source, *, uri, progress, provisional=None):
    """Like `diarize`, but takes 0.1 s per byte 'm' in the file, reporting progress continuously."""
    with open(source, "rb") as file:
        work = file.read().count(b"m") * 0.1
    end = time.monotonic() + work
    while time.monotonic() < end:
        progress(0.5, 1.0)
        time.sleep(0.01)
    return diarize(source, uri=uri, progress=progress)


def slow_file(tenths):
    """A file that `slow_diarize` processes for `tenths` tenths of a second."""
    return b"RIFF" + b"m" * tenths
