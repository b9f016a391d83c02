"""Streams on plain sockets: begin one, lose its connection, and resume it."""

from __future__ import annotations

import contextlib
import json
import time
from functools import partial

import websockets.sync.client
from websockets.exceptions import ConnectionClosed

connect = partial(websockets.sync.client.connect, compression=None, open_timeout=10)


def resume(url, ready, count, **more):
    """A new connection that resumes the stream of `ready`, and its first message."""
    socket = connect(url).__enter__()
    socket.send(
        json.dumps({"type": "resume", "stream": ready["resume"]["stream"], "received": count, **more})
    )
    return socket, json.loads(socket.recv(timeout=10))


def begin(url, **keys):
    """A resumable stream: its connection, and its ready."""
    socket = connect(url).__enter__()
    socket.send(json.dumps({"type": "start", "resume": True, **keys}))
    return socket, json.loads(socket.recv(timeout=10))


def lose(socket):
    """Reset a connection without a closing handshake."""
    socket.socket.shutdown(2)
    with contextlib.suppress(ConnectionClosed):
        socket.recv(timeout=5)


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
