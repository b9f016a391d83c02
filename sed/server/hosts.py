"""Host names in headers and options, in one canonical form, so that equivalent spellings compare equal."""

from __future__ import annotations

import ipaddress
import re

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[\w.~-]+)?\]|[A-Za-z0-9._~-]+)(?::([0-9]{0,5}))?", re.ASCII)
MAX_NAME = 253  # characters of a DNS name


def host_name(host: str) -> str | None:
    """The canonical name in a Host header (``name``, ``name:port``, ``[address]:port``), or None if malformed.

    >>> host_name("LocalHost:8765"), host_name("[::1]:80"), host_name("192.168.1.5"), host_name("[")
    ('localhost', '::1', '192.168.1.5', None)
    >>> host_name("localhost:99999") is host_name("localhost, evil") is None
    True
    """
    match = _HOST.fullmatch(host)
    if match is None or int(match[2] or 0) > 65535:
        return None
    return canonical(match[1])


def canonical(name: str) -> str | None:
    """A host name in lower-case ASCII (IDNA), or an address in its shortest form; None for anything else.

    Brackets, the zone of an IPv6 address and the trailing dot of a name are removed; IPv4-mapped IPv6 addresses
    become IPv4.

    >>> canonical("Bücher.example."), canonical("[::FFFF:10.0.0.1]"), canonical("fe80::1%eth0")
    ('xn--bcher-kva.example', '10.0.0.1', 'fe80::1')
    """
    if address := as_address(name):
        return str(address)
    if ":" in name or "[" in name:
        return None
    try:
        ascii_name = name.lower() if name.isascii() else name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    ascii_name = ascii_name.removesuffix(".")
    return ascii_name if 0 < len(ascii_name) <= MAX_NAME else None


def as_address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse `name` as an IP address without its zone; None if it is not an address."""
    try:
        address = ipaddress.ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_loopback(name: str) -> bool:
    """Whether the canonical `name` is a loopback name or address.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    address = as_address(name)
    return name == "localhost" if address is None else address.is_loopback
