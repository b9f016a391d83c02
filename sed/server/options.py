"""Everything that can be set about the server, in one place, checked."""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass, field

from sed.errors import OptionError
from sed.server.hosts import canonical, is_loopback
from sed.server.load import usable_cores

STORED_UPLOADS = 8  # times `max_upload` that all uploads may take of the disk


@dataclass(frozen=True)
class ServerOptions:
    """The limits of a server. The defaults suit one machine with a handful of people.

    host, port: where to listen; the default is reachable from this machine only. Port 0 takes a free one.
    max_clients: live streams at once; the next one is refused with ``too_many``.
    max_load: share of the processors that live streams may need, by what a stream costs on this machine as
        measured at the start and ever since; a stream beyond it is refused with ``overload``.
    max_seconds: audio a stream or an upload may last, and how long a stream may stay connected, in seconds.
    max_upload_seconds: audio an upload may last, where that is less. A file of hours is cheap to send (49 kB of
        FLAC hold 4 h), and uploads are processed one at a time: at 35 to 70 times real time on one core, an hour
        occupies the file worker for one to two minutes, which is what every other client then waits.
    max_message: bytes of one WebSocket message.
    max_rate, burst: a client may send `burst` seconds of audio at once, and beyond that `max_rate` times
        faster than real time; more is ``too_fast``.
    queue: seconds of audio of one client that may wait for a processor (and at most 8 MiB); a client that
        sends more is refused with ``overload``.
    idle_timeout: seconds without a message after which a client is ``idle``.
    send_timeout: seconds for which a client may leave its events unread before it is dropped.
    token: a secret that clients have to show, or None. Needed where others can reach `host`, unless `no_token`.
    no_token: others may use the server without a token.
    origins: web origins beside the server's own whose pages may connect (``https://example.org``); ``*``
        allows all. Programs send no origin and need no entry.
    hosts: names and addresses beside ``localhost`` and the address of the connection under which the server
        may be asked for (its name in the network, or a reverse proxy's). It answers to no other name on any
        address, because a hostile page could reach it by pointing a name of its domain here (DNS rebinding).
    max_upload: bytes of an uploaded file; all uploads together take at most `STORED_UPLOADS` times as much of the
        disk, and one address at most as much as it leaves free.
    max_uploads: complete files in work or waiting. When they are that many, a file of an address with fewer of
        them replaces the last one of the address with most.
    max_receiving: uploads that are still being received; they take no place of `max_uploads`.
    uploads_per_address: uploads of one address at once, from the first byte to the end of the work on them.
    trusted_proxies: addresses or networks (``127.0.0.1``, ``10.0.0.0/8``) of reverse proxies whose
        ``X-Forwarded-For`` names the client. Without them, all clients of a proxy share its one address, and
        thus the limits per address.
    stuck_after: seconds without progress after which ``/healthz`` calls the file worker stuck.
    threads: processor threads for live streams; uploads have one of their own, at a lower priority.

    Raises `OptionError` on values that make no sense.

    >>> ServerOptions(port=0).loopback
    True
    """

    host: str = "127.0.0.1"
    port: int = 8765
    max_clients: int = 16
    max_load: float = 0.9
    max_seconds: float = 4 * 3600.0
    max_upload_seconds: float = 3600.0
    max_receiving: int = 32
    uploads_per_address: int = 4
    trusted_proxies: tuple[str, ...] = ()
    stuck_after: float = 60.0
    max_message: int = 1 << 18
    max_rate: float = 8.0
    burst: float = 30.0
    queue: float = 60.0
    idle_timeout: float = 30.0
    send_timeout: float = 10.0
    token: str | None = field(default=None, repr=False)
    no_token: bool = False
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    max_upload: int = 1 << 29
    max_uploads: int = 16
    threads: int = field(default_factory=lambda: math.ceil(usable_cores()))

    def __post_init__(self) -> None:
        for name in ("max_clients", "max_message", "max_upload", "max_uploads", "threads"):
            self._need(name, getattr(self, name) >= 1, "1 or more")
        for name in ("max_load", "max_seconds", "max_rate", "burst", "queue", "idle_timeout", "send_timeout"):
            self._need(name, 0 < getattr(self, name) < math.inf, "more than 0, and finite")
        self._need("max_rate", self.max_rate >= 1, "1 or more, as a microphone needs")
        self._need("port", 0 <= self.port <= 65535, "0 to 65535")
        for name in ("max_receiving", "uploads_per_address"):
            self._need(name, getattr(self, name) >= 1, "1 or more")
        for name in ("max_upload_seconds", "stuck_after"):
            self._need(name, 0 < getattr(self, name) < math.inf, "more than 0, and finite")
        if self.token is not None and (
            not self.token or not self.token.isascii() or not self.token.isprintable()
        ):
            raise OptionError("the token is empty or has odd characters: expected printable ASCII")
        for name in self.hosts:
            if not re.fullmatch(r"[^\s/:@*]+|\[?[\da-fA-F:.]+\]?", name) or canonical(name) is None:
                raise OptionError(f"host {name!r}: expected a name without scheme, port and path")
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError:
                raise OptionError(
                    f"trusted proxy {proxy!r}: expected an IP address or network, as 127.0.0.1 or 10.0.0.0/8"
                ) from None
        for origin in self.origins:
            if origin != "*" and ("://" not in origin or origin.endswith("/")):
                raise OptionError(f"origin {origin!r}: expected scheme://name[:port] without a path, or *")

        if self.token is not None and self.no_token:
            raise OptionError(
                "a token cannot be combined with no_token (--no-token): expected one of the two"
            )
        if self.token is None and not (self.loopback or self.no_token):
            raise OptionError(
                f"others can reach host {self.host!r}: expected a token (--token-file or SED_TOKEN), or no_token "
                "(--no-token) to let everyone in"
            )

    def _need(self, name: str, fine: bool, expected: str) -> None:
        if not fine:
            raise OptionError(f"{name}={getattr(self, name)}: expected {expected}")

    @property
    def loopback(self) -> bool:
        """Whether `host` can be reached from this machine only."""
        return is_loopback(canonical(self.host) or "")
