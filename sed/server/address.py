"""The client's address, to which the limits per address apply; also behind a reverse proxy."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from starlette.datastructures import Headers

from sed.server.options import ServerOptions

IPV6_PREFIX = 64  # bits: the smallest network that a provider assigns, so one client can use all of it
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(scope: Mapping[str, Any], options: ServerOptions) -> str:
    """The address of an ASGI `scope` to which the limits per address apply; an IPv6 client is its /64 network.

    It is the peer of the connection. If that is one of `options.trusted_proxies`, it is the last address in
    ``X-Forwarded-For`` that is not one of them: each proxy appends its own peer, so entries further left may be
    forged by the client. A peer without an IP address (a Unix socket) is ``""``.

    >>> scope = {"client": ("127.0.0.1", 5), "headers": [(b"x-forwarded-for", b"6.6.6.6, 192.0.2.7")]}
    >>> client_address(scope, ServerOptions())
    '127.0.0.1'
    >>> client_address(scope, ServerOptions(trusted_proxies=("127.0.0.1",)))
    '192.0.2.7'
    >>> client_address({"client": ("2001:db8:0:1:aaaa::1", 5), "headers": []}, ServerOptions())
    '2001:db8:0:1::/64'
    """
    peer = _parse((scope.get("client") or ("",))[0])
    if peer is None:
        return ""
    trusted = _networks(options.trusted_proxies)
    hops = [
        hop for value in Headers(scope=dict(scope)).getlist("x-forwarded-for") for hop in value.split(",")
    ]
    while hops and _is_in(peer, trusted):
        previous = _parse(hops.pop())
        if previous is None:  # a trusted proxy wrote something else than an address: count the proxy itself
            break
        peer = previous
    if isinstance(peer, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((peer, IPV6_PREFIX), strict=False))
    return str(peer)


def _parse(text: str) -> IPAddress | None:
    """Parse an address with or without port and brackets, as proxies write it; None if it is not an address."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[IPNetwork, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _is_in(address: IPAddress, networks: Iterable[IPNetwork]) -> bool:
    return any(address in network for network in networks)
