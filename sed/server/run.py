"""`serve`: listen, and run the application until a signal comes."""

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

SEND_BUFFER = 64 * 1024  # bytes that the system keeps for a client that does not read
RECEIVE_BUFFER = 256 * 1024  # and of one that the server has not read yet
HARD_MESSAGE_FACTOR = 4  # a message longer than so many times `max_message` is cut off unread
REQUEST_TIMEOUT = 15.0  # seconds in which a new connection has to have asked for something
MOST_IDLE = 256  # connections without a request; where there are more, the oldest of them are cut at once
STOP_TIMEOUT = 3  # seconds for connections to end when the server stops


def listen(options: ServerOptions) -> socket.socket:
    """A listening socket with bounded buffers. Raises `OptionError` where the address cannot be had."""
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
        where, why = f"{options.host}:{options.port}", error.strerror or error
        raise OptionError(f"{where} cannot be listened on ({why}): expected a free port") from None
    return listener


def url_of(listener: socket.socket) -> str:
    """The page's address, for a person on this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def make_server(app: Starlette, options: ServerOptions) -> uvicorn.Server:
    """A uvicorn server for `app`, set up for many patient and a few hostile clients."""
    import uvicorn

    from sed.server.connection import WebSocketConnection

    config = uvicorn.Config(
        app,
        ws=WebSocketConnection,
        ws_max_size=HARD_MESSAGE_FACTOR * options.max_message,
        ws_per_message_deflate=False,  # audio hardly shrinks, and each client would cost a window
        ws_ping_interval=20.0,  # keeps ways through proxies open
        ws_ping_timeout=None,  # the idle timeout drops the dead
        timeout_keep_alive=15,
        timeout_graceful_shutdown=STOP_TIMEOUT,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # it would believe every program on this machine; see `client_address`
    )

    class Server(uvicorn.Server):
        """Ends the work on files as soon as it stops; the application is told only after the connections."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            """As the base class."""
            app.state.hub.stop_files()
            await super().shutdown(sockets)

    return Server(config)


async def serve(server: uvicorn.Server, listener: socket.socket, started: Callable[[], None]) -> None:
    """Serve on `listener` until a signal comes or `server.should_exit` is set.

    `started` is called when clients may come.
    """
    with limited_logs() as limit:
        reaper = asyncio.create_task(_reap(server, started, limit))
        try:
            await server.serve([listener])
        finally:
            reaper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reaper


async def _reap(server: uvicorn.Server, started: Callable[[], None], limit: LogLimit) -> None:
    """Cut connections that do not come to ask for anything: uvicorn would wait for ever, for any number."""
    while not server.started:
        await asyncio.sleep(0.02)
    started()
    clock = asyncio.get_running_loop().time
    seen: WeakKeyDictionary[object, float] = WeakKeyDictionary()
    while True:
        await asyncio.sleep(1.0)
        limit.flush()
        idle: list[tuple[float, Any]] = []
        for connection in list(server.server_state.connections):
            cycle = getattr(connection, "cycle", connection)  # a WebSocket has none: it has asked
            if cycle is not None and not getattr(cycle, "response_complete", False):
                seen.pop(connection, None)
            else:
                idle.append((seen.setdefault(connection, clock()), connection))
        idle.sort(key=lambda row: row[0])
        for place, (since, connection) in enumerate(idle):
            if clock() - since > REQUEST_TIMEOUT or place < len(idle) - MOST_IDLE:
                log.info("a connection without a request was cut")
                connection.transport.abort()
