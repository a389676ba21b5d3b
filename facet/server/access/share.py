"""Whose share of the workers a call takes, and from which address it comes."""

from __future__ import annotations

from contextvars import ContextVar
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote

_NETWORK_BITS = 64
"""The part of an IPv6 address that one site holds (RFC 6177): it can use all addresses below it."""

_SHARED = (ip_address("127.0.0.1"), ip_address("::1"))

_current: ContextVar[str] = ContextVar("caller", default="")


def current() -> str:
    """The caller of the current call, of this asyncio task or a parent of it; empty outside calls.

    Two calls of one caller return the same string. A caller with credentials of its own is known by them. All others
    share the server's token, or have none, and are known by their addresses; see :func:`of_peer`.
    """
    return _current.get()


def enter(peer: str) -> str:
    """Make the peer's caller that of the current asyncio task and its children; returns it."""
    caller = of_peer(peer)
    _current.set(caller)
    return caller


def enter_as(identity_id: str) -> None:
    """Make the caller with an identity of its own that of the current asyncio task and its children."""
    _current.set(identity_id)


@lru_cache(4096)
def of_peer(peer: str) -> str:
    """The caller behind a peer as gRPC names it, for example ``ipv4:192.0.2.1:50000`` or ``ipv6:%5B::1%5D:50000``.

    A caller is an IPv4 address or the /64 network of an IPv6 address, whatever the number of its connections. All
    programs of this machine share 127.0.0.1 and ::1, so there, and for other peers, each connection is a caller.
    """
    address = _address_of(peer)
    return peer if address is None or address in _SHARED else network_of(str(address))


@lru_cache(4096)
def site_of(peer: str) -> str:
    """Where a peer is: as :func:`of_peer`, but this machine is one place, whatever its addresses and connections."""
    address = _address_of(peer)
    return "local" if address is None or address.is_loopback else network_of(str(address))


@lru_cache(4096)
def address_of(peer: str) -> str:
    """The address of a peer without its port; empty for a peer that has none."""
    address = _address_of(peer)
    return "" if address is None else str(address)


def _address_of(peer: str) -> IPv4Address | IPv6Address | None:
    kind, _, rest = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return None
    try:
        address = ip_address(rest.rpartition(":")[0].strip("[]").partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def network_of(address: str) -> str:
    """The IPv4 address, or the /64 network of an IPv6 address: what one site holds."""
    if ":" not in address:
        return address
    return str(ip_network((address, _NETWORK_BITS), strict=False))
