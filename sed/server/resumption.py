"""`Resumption`: which live streams can be resumed after a lost connection, by a secret of their own.

A stream that was opened with ``"resume": true`` is known here from its ``ready`` on. While it has no connection it does
not compute and occupies no client slot; it is kept for a limited time, and so is the number of such streams, of all
clients and of each address.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sed.server.fairness import largest_share
from sed.server.live_stream import LiveStream
from sed.server.options import ServerOptions

TOKEN_BYTES = 24


@dataclass(eq=False)
class Resumable:
    """A stream that can be resumed.

    address: of its latest client.
    displace: ends its connection and waits until that has released the stream; None while it has no connection.
    """

    live: LiveStream
    address: str
    displace: Callable[[], Awaitable[None]] | None = None
    tokens: list[str] = field(default_factory=list)
    expiry: asyncio.TimerHandle | None = None


class Resumption:
    """The resumable streams of a server; used on the event loop's thread.

    A token is spent once its successor has reached the client, which `confirm` records: if the connection is lost
    before, the client still has a token that is valid.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._by_token: dict[str, Resumable] = {}
        self._kept: dict[Resumable, None] = {}  # without connection, the oldest first
        self._stopped = False

    @property
    def kept(self) -> int:
        """Number of streams without connection."""
        return len(self._kept)

    def issue(self, entry: Resumable) -> str:
        """A further token of `entry`."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        entry.tokens.append(token)
        self._by_token[token] = entry
        return token

    def confirm(self, entry: Resumable) -> None:
        """The client has the latest token: the others are spent."""
        self._keep_only(entry, entry.tokens[-1:])

    def _keep_only(self, entry: Resumable, tokens: list[str]) -> None:
        for token in set(entry.tokens).difference(tokens):
            self._by_token.pop(token, None)
        entry.tokens = tokens

    async def take(self, token: str) -> Resumable | None:
        """The stream of `token`, taken from the connection that it may still have; None if it is not known.

        The caller has to `keep` or to `drop` it in the end.
        """
        entry = self._by_token.get(token)
        if entry is not None and entry.displace is not None:  # the server has not noticed the loss yet
            await entry.displace()
            entry = self._by_token.get(token)
        if entry is None or entry not in self._kept:
            return None
        self._release(entry)
        self._keep_only(entry, [token])  # the client does not have those that were issued after it
        return entry

    def keep(self, entry: Resumable) -> None:
        """Keep a stream whose connection was lost; if there are too many, one is dropped."""
        entry.displace = None
        address = entry.address
        if self._stopped or not self._make_room(address):
            self.drop(entry)
            return
        self._kept[entry] = None
        loop = asyncio.get_running_loop()
        entry.expiry = loop.call_later(self._options.resume_seconds, self.drop, entry)

    def _make_room(self, address: str) -> bool:
        """Drop the oldest stream of an address that has too many; returns whether `address` may have one more."""
        counts = Counter(entry.address for entry in self._kept)
        if counts[address] >= self._options.kept_per_address:
            self._drop_oldest(address)
        elif len(self._kept) >= self._options.max_kept:
            share = largest_share(counts, address) or (address if counts[address] else None)
            if share is None:
                return False
            self._drop_oldest(share)
        return True

    def _drop_oldest(self, address: str) -> None:
        self.drop(next(entry for entry in self._kept if entry.address == address))

    def drop(self, entry: Resumable) -> None:
        """Forget a stream: it has ended, or was kept for too long."""
        self._release(entry)
        entry.displace = None
        self._keep_only(entry, [])

    def _release(self, entry: Resumable) -> None:
        self._kept.pop(entry, None)
        if entry.expiry is not None:
            entry.expiry.cancel()
            entry.expiry = None

    def stop(self) -> None:
        """Forget all streams, and keep none from now on."""
        self._stopped = True
        for entry in set(self._by_token.values()):
            self.drop(entry)
