"""`Admission`: which uploads may be received at once, and how much of the disk they may take.

An upload that is being received takes no place of the queue for work, so silent ones block nothing but the
few places of one address; when those, or the places of all, are taken, the slowest upload gives way.
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

MIN_RATE = 16_000  # bytes a second that an upload has to keep up on average
GRACE = 3.0  # seconds that an upload may be late by that rate before it gives way to others


class Upload:
    """An upload from its first byte to the end of the work on it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.size = 0  # bytes that have come
        self.receiving = True
        self.refused: asyncio.Future[UploadError] = asyncio.get_running_loop().create_future()
        self._in_time_until = time.monotonic()

    @property
    def lateness(self) -> float:
        """Seconds by which the upload is later than `MIN_RATE`. What comes faster is no credit for later."""
        return time.monotonic() - self._in_time_until

    def add(self, size: int) -> None:
        """Count bytes that have come."""
        self.size += size
        self._in_time_until = min(self._in_time_until + size / MIN_RATE, time.monotonic())


class Admission:
    """The uploads of a server; used on the event loop's thread."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._uploads: dict[Upload, None] = {}
        self._stored: Counter[str] = Counter()  # bytes on disk by address

    def open(self, address: str) -> Upload:
        """Admit a new upload of `address`, in the place of another that is too slow where there is no room.

        Raises `UploadError`: ``too_many`` or ``overload``.
        """
        options = self._options
        own = [upload for upload in self._uploads if upload.address == address]
        if len(own) >= options.uploads_per_address and not self._replace_late(own):
            raise UploadError("too_many", f"{len(own)} uploads of this address at once: expected fewer")
        receiving = [upload for upload in self._uploads if upload.receiving]
        if len(receiving) >= options.max_receiving and not (
            self._replace_late(receiving) or self._replace_largest_share(receiving, address)
        ):
            raise UploadError("overload", f"{len(receiving)} uploads are being received: expected fewer")
        upload = Upload(address)
        self._uploads[upload] = None
        return upload

    def _replace_late(self, uploads: Iterable[Upload]) -> bool:
        late = [upload for upload in uploads if upload.receiving and upload.lateness > GRACE]
        if late:
            latest = max(late, key=lambda upload: upload.lateness)
            self._refuse(latest, "too_slow", f"slower than {MIN_RATE} bytes a second while others wait")
        return bool(late)

    def _replace_largest_share(self, receiving: Iterable[Upload], address: str) -> bool:
        share = largest_share(Counter(upload.address for upload in receiving), address)
        if share is not None:
            slowest = max((u for u in receiving if u.address == share), key=lambda u: u.lateness)
            self._refuse(slowest, "overload", "this upload gave its place to a client without any")
        return share is not None

    def stop(self) -> None:
        """Refuse what is still being received."""
        for upload in [upload for upload in self._uploads if upload.receiving]:
            self._refuse(upload, "overload", "the server is stopping")

    def _refuse(self, upload: Upload, code: str, message: str) -> None:
        self._uploads.pop(upload, None)
        if not upload.refused.done():
            upload.refused.set_result(UploadError(code, message))

    async def receive(self, upload: Upload, request: Request) -> AsyncGenerator[bytes, None]:
        """The chunks of the request's body, within every limit of the options. Raises `UploadError`.

        What has been received counts as stored until `close`.
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
                raise UploadError("too_long", f"more than {limit} bytes: expected at most that many")
            self._check_room(upload, len(chunk))
            upload.add(len(chunk))
            self._stored[upload.address] += len(chunk)
            yield chunk
        upload.receiving = False

    async def _next(self, upload: Upload, chunks: AsyncGenerator[bytes, None]) -> bytes | None:
        """The next chunk, None at the end. Raises `UploadError` where it comes too late, or gives way."""
        left = max(self._options.idle_timeout - upload.lateness, 0.01)
        pending = asyncio.ensure_future(chunks.__anext__())
        either: set[asyncio.Future[Any]] = {pending, upload.refused}
        try:
            await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if upload.refused.done():
                raise upload.refused.result()
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
                pending.exception()  # seen, also where another reason came first

    def _check_room(self, upload: Upload, size: int) -> None:
        """An address may store as much as it leaves free, so the disk is never full for the others."""
        free = STORED_UPLOADS * self._options.max_upload - self._stored.total() - size
        if self._stored[upload.address] + size > free:
            raise UploadError("overload", "the room for uploads is taken: expected fewer bytes at once")

    def close(self, upload: Upload) -> None:
        """Forget an upload whose file is deleted."""
        self._uploads.pop(upload, None)
        self._stored[upload.address] -= upload.size
        self._stored += Counter()  # drops addresses without any

    @property
    def receiving(self) -> int:
        """Uploads that are being received."""
        return sum(upload.receiving for upload in self._uploads)

    @property
    def open_uploads(self) -> int:
        """Uploads that are received, wait or are in work."""
        return len(self._uploads)

    @property
    def stored(self) -> int:
        """Bytes of all uploads on disk."""
        return self._stored.total()
