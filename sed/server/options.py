"""`ServerOptions`: all settings of the server, validated."""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass, field

from sed.errors import OptionError
from sed.server.hosts import canonical, is_loopback
from sed.server.load import usable_cores

STORED_UPLOADS = 8  # all uploads together may use this many times `max_upload` of disk space


@dataclass(frozen=True)
class ServerOptions:
    """The settings of a server. The defaults suit one machine with a few users.

    host, port: address to listen on; the default is reachable from this machine only. Port 0 picks a free one.
    max_clients: concurrent live streams; further ones are rejected with ``too_many``.
    max_load: fraction of the CPUs that live streams may need, according to the cost of a stream measured at
        startup and during operation; a stream beyond it is rejected with ``overload``.
    max_seconds: maximum seconds of audio of a stream or an upload, and of the connection time of a stream.
    max_upload_seconds: maximum seconds of audio of an upload, if smaller. A file of hours is small (49 kB of FLAC
        hold 4 h), and uploads are processed one at a time: at 35 to 70 times real time on one core, an hour of
        audio occupies the file worker for one to two minutes, during which all other clients wait.
    max_message: maximum bytes of one WebSocket message.
    max_rate, burst: a client may send `burst` seconds of audio at once, and beyond that `max_rate` times
        faster than real time; more is ``too_fast``.
    queue: maximum seconds of unprocessed audio per client (and at most 8 MiB); a client that sends more is
        rejected with ``overload``.
    idle_timeout: seconds without a message after which a client is ``idle``.
    send_timeout: seconds for which a client may leave events unread before it is disconnected.
    token: a secret that clients must present, or None. Required if other machines can reach `host`, unless
        `no_token` is set.
    no_token: allow clients on other machines without a token.
    origins: web origins besides the server's own whose pages may connect (``https://example.org``); ``*``
        allows all. Programs send no origin and need no entry.
    hosts: names and addresses, besides ``localhost`` and the address of the connection, that are accepted as the
        host of a request (the server's name in the network, or a reverse proxy's). All others are rejected,
        because a hostile page could resolve a name of its domain to this machine (DNS rebinding).
    max_upload: maximum bytes of an uploaded file; all uploads together use at most `STORED_UPLOADS` times as much
        disk space, and one address at most as much as it leaves free.
    max_uploads: maximum number of complete files being processed or queued. If it is reached, a file of an
        address with fewer files replaces the last one of the address with the most.
    max_receiving: maximum number of uploads being received; they do not count for `max_uploads`.
    uploads_per_address: concurrent uploads per address, from the first byte to the end of processing.
    trusted_proxies: addresses or networks (``127.0.0.1``, ``10.0.0.0/8``) of reverse proxies whose
        ``X-Forwarded-For`` contains the client's address. Without them, all clients of a proxy share its address,
        and thus the limits per address.
    stuck_after: seconds without progress after which ``/healthz`` reports the file worker as stuck.
    resume_seconds: seconds for which a stream whose connection was lost is kept, if its client asked for that; 0
        keeps none.
    max_kept, kept_per_address: streams that are kept at once, of all clients and of one address; each needs the
        memory of an open stream, but no client slot and no computing time. The oldest one is dropped first.
    threads: CPU threads for live streams; uploads use one additional thread with a lower priority.

    Raises `OptionError` on invalid values.

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
    resume_seconds: float = 120.0
    max_kept: int = 16
    kept_per_address: int = 4
    threads: int = field(default_factory=lambda: math.ceil(usable_cores()))

    def __post_init__(self) -> None:
        for name in ("max_clients", "max_message", "max_upload", "max_uploads", "threads"):
            self._require(name, getattr(self, name) >= 1, "1 or more")
        for name in ("max_load", "max_seconds", "max_rate", "burst", "queue", "idle_timeout", "send_timeout"):
            self._require(name, 0 < getattr(self, name) < math.inf, "more than 0, and finite")
        self._require("max_rate", self.max_rate >= 1, "1 or more, as a microphone needs")
        self._require("port", 0 <= self.port <= 65535, "0 to 65535")
        for name in ("max_receiving", "uploads_per_address", "max_kept", "kept_per_address"):
            self._require(name, getattr(self, name) >= 1, "1 or more")
        self._require("resume_seconds", 0 <= self.resume_seconds < math.inf, "0 or more, and finite")
        for name in ("max_upload_seconds", "stuck_after"):
            self._require(name, 0 < getattr(self, name) < math.inf, "more than 0, and finite")
        if self.token is not None and (
            not self.token or not self.token.isascii() or not self.token.isprintable()
        ):
            raise OptionError(
                "the token is empty or not printable ASCII: expected printable ASCII characters"
            )
        for name in self.hosts:
            if not re.fullmatch(r"[^\s/:@*]+|\[?[\da-fA-F:.]+\]?", name) or canonical(name) is None:
                raise OptionError(f"host {name!r}: expected a name without scheme, port and path")
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError:
                raise OptionError(
                    f"trusted proxy {proxy!r}: expected an IP address or network such as 127.0.0.1 or 10.0.0.0/8"
                ) from None
        for origin in self.origins:
            if origin != "*" and ("://" not in origin or origin.endswith("/")):
                raise OptionError(f"origin {origin!r}: expected scheme://name[:port] without a path, or *")

        if self.token is not None and self.no_token:
            raise OptionError("a token cannot be combined with no_token (--no-token)")
        if self.token is None and not (self.loopback or self.no_token):
            raise OptionError(
                f"other machines can reach host {self.host!r}: expected a token (--token-file or SED_TOKEN), or "
                "no_token (--no-token) to allow all clients"
            )

    def _require(self, name: str, valid: bool, expected: str) -> None:
        if not valid:
            raise OptionError(f"{name}={getattr(self, name)}: expected {expected}")

    @property
    def loopback(self) -> bool:
        """Whether `host` is reachable from this machine only."""
        return is_loopback(canonical(self.host) or "")
