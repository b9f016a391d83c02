"""`Admission`: which uploads may be received at once, and how much disk space they may use.

An upload that is being received occupies no slot of the job queue, so idle uploads block only the few receiving
slots of their address. When those, or all receiving slots, are occupied, the slowest upload is evicted.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from starlette.requests import Request

from sed.server.fairness import largest_share
from sed.server.options import STORED_UPLOADS, ServerOptions
from sed.server.refusal import UploadError

MIN_RATE = 16_000  # bytes per second that an upload must reach on average
GRACE = 3.0  # seconds that an upload may lag behind this rate before it can be evicted


class Upload:
    """An upload from its first byte to the end of its processing."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.size = 0  # bytes received
        self.receiving = True
        self.evicted: asyncio.Future[UploadError] = asyncio.get_running_loop().create_future()
        self._on_time_until = time.monotonic()

    @property
    def lateness(self) -> float:
        """Seconds by which the upload lags behind `MIN_RATE`. Faster transfer earlier earns no credit."""
        return time.monotonic() - self._on_time_until

    def add(self, size: int) -> None:
        """Count `size` received bytes."""
        self.size += size
        self._on_time_until = min(self._on_time_until + size / MIN_RATE, time.monotonic())


class Admission:
    """The uploads of a server; used on the event loop's thread."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._uploads: dict[Upload, None] = {}
        self._stored: Counter[str] = Counter()  # bytes on disk by address

    def open(self, address: str) -> Upload:
        """Admit a new upload of `address`; if all slots are occupied, evict another one that is too slow.

        Raises `UploadError`: ``too_many`` or ``overload``.
        """
        options = self._options
        own = [upload for upload in self._uploads if upload.address == address]
        if len(own) >= options.uploads_per_address and not self._evict_late(own):
            raise UploadError("too_many", f"{len(own)} concurrent uploads from this address: expected fewer")
        receiving = [upload for upload in self._uploads if upload.receiving]
        if len(receiving) >= options.max_receiving and not (
            self._evict_late(receiving) or self._evict_from_largest_share(receiving, address)
        ):
            raise UploadError("overload", f"{len(receiving)} uploads are being received: expected fewer")
        upload = Upload(address)
        self._uploads[upload] = None
        return upload

    def _evict_late(self, uploads: Iterable[Upload]) -> bool:
        late = [upload for upload in uploads if upload.receiving and upload.lateness > GRACE]
        if late:
            latest = max(late, key=lambda upload: upload.lateness)
            self._evict(latest, "too_slow", f"slower than {MIN_RATE} bytes a second while others wait")
        return bool(late)

    def _evict_from_largest_share(self, receiving: Iterable[Upload], address: str) -> bool:
        share = largest_share(Counter(upload.address for upload in receiving), address)
        if share is not None:
            slowest = max((u for u in receiving if u.address == share), key=lambda u: u.lateness)
            self._evict(slowest, "overload", "this upload was evicted in favour of a client without uploads")
        return share is not None

    def stop(self) -> None:
        """Evict all uploads that are still being received."""
        for upload in [upload for upload in self._uploads if upload.receiving]:
            self._evict(upload, "overload", "the server is stopping")

    def _evict(self, upload: Upload, code: str, message: str) -> None:
        self._uploads.pop(upload, None)
        if not upload.evicted.done():
            upload.evicted.set_result(UploadError(code, message))

    async def receive(self, upload: Upload, request: Request) -> AsyncGenerator[bytes, None]:
        """Yield the chunks of the request's body, enforcing all limits of the options. Raises `UploadError`.

        Received bytes count as stored until `close`.
        """
        limit = self._options.max_upload
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit():
            if int(declared) > limit:
                raise UploadError("too_long", f"{declared} bytes: expected at most {limit}")
            self._check_room(upload, int(declared))
        chunks = request.stream()
        while (chunk := await self._next(upload, chunks)) is not None:
            if upload.size + len(chunk) > limit:
                raise UploadError("too_long", f"more than {limit} bytes: expected at most {limit}")
            self._check_room(upload, len(chunk))
            upload.add(len(chunk))
            self._stored[upload.address] += len(chunk)
            yield chunk
        upload.receiving = False

    async def _next(self, upload: Upload, chunks: AsyncGenerator[bytes, None]) -> bytes | None:
        """The next chunk, None at the end. Raises `UploadError` if it is too late or the upload is evicted."""
        left = max(self._options.idle_timeout - upload.lateness, 0.01)
        pending = asyncio.ensure_future(chunks.__anext__())
        either: set[asyncio.Future[Any]] = {pending, upload.evicted}
        try:
            await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if upload.evicted.done():
                raise upload.evicted.result()
            if not pending.done():
                raise UploadError("too_slow", f"an upload slower than {MIN_RATE} bytes a second")
            return pending.result()
        except StopAsyncIteration:
            return None
        finally:
            if not pending.done():
                pending.cancel()
                await asyncio.wait([pending])
            elif not pending.cancelled():
                pending.exception()  # retrieve it, so that asyncio does not log it

    def _check_room(self, upload: Upload, size: int) -> None:
        """Raise unless the address leaves at least as much space free as it uses itself."""
        free = STORED_UPLOADS * self._options.max_upload - self._stored.total() - size
        if self._stored[upload.address] + size > free:
            raise UploadError(
                "overload", "the disk space for uploads is exhausted: expected fewer bytes at once"
            )

    def close(self, upload: Upload) -> None:
        """Release an upload whose file has been deleted."""
        self._uploads.pop(upload, None)
        self._stored[upload.address] -= upload.size
        self._stored += Counter()  # drops addresses with 0 bytes

    @property
    def receiving(self) -> int:
        """Number of uploads that are being received."""
        return sum(upload.receiving for upload in self._uploads)

    @property
    def open_uploads(self) -> int:
        """Number of uploads that are being received, queued or processed."""
        return len(self._uploads)

    @property
    def stored(self) -> int:
        """Bytes of all uploads on disk."""
        return self._stored.total()
