"""A TCP proxy in a thread that cuts its connections after a given number of bytes, as a bad network does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Cut:
    """After `count` bytes `up` (to the server) or `down`: reset the connection, or with `stall` forward no more."""

    direction: str
    count: int
    stall: bool = False


class CuttingProxy:
    """Forwards to `base` (host:port); connection number n ends by `cuts[n]`, further ones only by `cut_all`."""

    def __init__(self, base: str, cuts: list[Cut] | tuple[()] = ()) -> None:
        self._host, _, port = base.partition(":")
        self._port = int(port)
        self._cuts = list(cuts)
        self.connections = 0
        self._open = set()
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(started)), daemon=True)
        self._thread.start()
        assert started.wait(10)
        self.ws = f"ws://127.0.0.1:{self.port}/stream"

    async def _run(self, started):
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stopped.wait()
        server.close()

    async def _serve(self, reader, writer):
        cut = self._cuts[self.connections] if self.connections < len(self._cuts) else None
        self.connections += 1
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        ends = [
            asyncio.create_task(
                self._forward(reader, up_writer, cut if cut and cut.direction == "up" else None)
            ),
            asyncio.create_task(
                self._forward(up_reader, writer, cut if cut and cut.direction == "down" else None)
            ),
        ]
        self._open |= {writer, up_writer}
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if any(task.result() for task in done):  # stalled: neither end learns of it
            for task in ends:
                task.cancel()
            await self._stopped.wait()
        for one in (writer, up_writer):
            one.transport.abort()
        self._open -= {writer, up_writer}
        for task in ends:
            task.cancel()

    @staticmethod
    async def _forward(reader, writer, cut: Cut | None) -> bool:
        left = cut.count if cut else None
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                part = data if left is None else data[:left]
                writer.write(part)
                await writer.drain()
                if left is not None and (left := left - len(part)) <= 0:
                    return cut.stall
        return False

    def cut_all(self):
        """Reset all connections."""
        self._loop.call_soon_threadsafe(lambda: [writer.transport.abort() for writer in self._open])

    def close(self):
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)
