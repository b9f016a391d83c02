"""`serve`: listen, and run the application until a signal arrives."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sed.errors import OptionError
from sed.server.logs import LogLimit, limited_logs
from sed.server.options import ServerOptions

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

log = logging.getLogger("sed.server")

SEND_BUFFER = 64 * 1024  # bytes that the kernel buffers for a client that does not read
RECEIVE_BUFFER = 256 * 1024  # bytes that the kernel buffers until the server reads them
HARD_MESSAGE_FACTOR = 4  # a message of more than this many times `max_message` bytes is aborted unread
REQUEST_TIMEOUT = 15.0  # seconds within which a new connection must send a request
MAX_IDLE = 256  # connections without a request; if there are more, the oldest ones are aborted
STOP_TIMEOUT = 3  # seconds for connections to end when the server stops


def listen(options: ServerOptions) -> socket.socket:
    """A listening socket with bounded buffers. Raises `OptionError` if the address is unavailable."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            options.host.strip("[]"), options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise OptionError(
            f"address {options.host}: expected one of this machine ({error.strerror or error})"
        ) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit these from the listener.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        listener.bind(address)
        listener.listen(256)
    except OSError as error:
        listener.close()
        name, reason = f"{options.host}:{options.port}", error.strerror or error
        raise OptionError(f"cannot listen on {name} ({reason}): expected a free port") from None
    return listener


def url_of(listener: socket.socket) -> str:
    """The URL of the page, for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def make_server(app: Starlette, options: ServerOptions) -> uvicorn.Server:
    """A uvicorn server for `app`, configured for many slow and some hostile clients."""
    import uvicorn

    from sed.server.connection import WebSocketConnection

    config = uvicorn.Config(
        app,
        ws=WebSocketConnection,
        ws_max_size=HARD_MESSAGE_FACTOR * options.max_message,
        ws_per_message_deflate=False,  # audio hardly compresses, and each client would need a window
        ws_ping_interval=20.0,  # keeps connections through proxies open
        ws_ping_timeout=None,  # the idle timeout disconnects dead clients
        timeout_keep_alive=15,
        timeout_graceful_shutdown=STOP_TIMEOUT,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # it would trust every program on this machine; see `client_address`
    )

    class Server(uvicorn.Server):
        """Cancels file processing and kept streams as soon as it stops; the lifespan ends after the connections."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            """Cancel what no connection holds, then shut down as the base class does."""
            app.state.hub.begin_stop()
            await super().shutdown(sockets)

    return Server(config)


async def serve(server: uvicorn.Server, listener: socket.socket, started: Callable[[], None]) -> None:
    """Serve on `listener` until a signal arrives or `server.should_exit` is set.

    `started` is called when the server accepts connections.
    """
    with limited_logs() as limit:
        idle_task = asyncio.create_task(_abort_idle(server, started, limit))
        try:
            await server.serve([listener])
        finally:
            idle_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await idle_task


async def _abort_idle(server: uvicorn.Server, started: Callable[[], None], limit: LogLimit) -> None:
    """Abort connections that send no request: uvicorn waits forever, for any number of them."""
    while not server.started:
        await asyncio.sleep(0.02)
    started()
    clock = asyncio.get_running_loop().time
    idle_since: WeakKeyDictionary[object, float] = WeakKeyDictionary()
    while True:
        await asyncio.sleep(1.0)
        limit.flush()
        idle: list[tuple[float, Any]] = []
        for connection in list(server.server_state.connections):
            cycle = getattr(
                connection, "cycle", connection
            )  # a WebSocket has no cycle: its request has arrived
            if cycle is not None and not getattr(cycle, "response_complete", False):
                idle_since.pop(connection, None)
            else:
                idle.append((idle_since.setdefault(connection, clock()), connection))
        idle.sort(key=lambda pair: pair[0])
        for index, (since, connection) in enumerate(idle):
            if clock() - since > REQUEST_TIMEOUT or index < len(idle) - MAX_IDLE:
                log.info("aborted a connection that sent no request")
                connection.transport.abort()
