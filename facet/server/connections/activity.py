"""Which connections have calls: when each had its last one, and how many it has now."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import unquote

_REMEMBERED = 16_384
"""Connections without an open call that are remembered."""


class Endpoint(NamedTuple):
    """The client's end of a TCP connection. An IPv4 address is written as such, also on an IPv6 socket."""

    address: str
    port: int


@dataclass(slots=True)
class Calls:
    """The calls of one connection.

    Attributes:
        open: number of calls in progress.
        last: when a call was last opened or ended, or a message was read or written, monotonic seconds.
        cancelled: number of calls that the client cancelled, or left behind.
        noted: grows whenever ``last`` is set.
        oversized: number of calls with too large metadata.
        messages: number of messages read, empty ones included.
        bytes: their bytes.
        begun: number of calls that have begun.
        waiting: number of calls that only wait for their refusal; they are not open.
    """

    open: int = 0
    last: float = 0.0
    cancelled: int = 0
    noted: int = 0
    oversized: int = 0
    messages: int = 0
    bytes: int = 0
    begun: int = 0
    waiting: int = 0


class Activity:
    """Keeps the calls of every connection. Written by the event loop, read by any thread.

    Args:
        clock: monotonic seconds.

    Attributes:
        misused: set when a connection should be looked at soon.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.misused = threading.Event()
        self._lock = threading.Lock()
        self._calls: OrderedDict[Endpoint, Calls] = OrderedDict()

    @contextmanager
    def call(self, peer: str) -> Iterator[None]:
        """Count a call while the body runs.

        Args:
            peer: the client as gRPC names it, for example ``ipv4:192.0.2.1:50000``. Others than TCP are not counted.
        """
        endpoint = endpoint_of(peer)
        if endpoint is None:
            yield
            return
        call = _OpenCall(self, endpoint)
        self.note(endpoint, opened=1)
        before = _current.set(call)
        finished = False
        try:
            yield
            finished = True
        except Exception:
            finished = True
            raise
        finally:
            _current.reset(before)
            call.end(cancelled=not finished)

    def note_oversized(self, peer: str) -> None:
        """Note that the metadata of a call is too large."""
        endpoint = endpoint_of(peer)
        if endpoint is not None:
            self.note(endpoint, oversized=True)
            self.misused.set()

    def of(self, endpoint: Endpoint) -> Calls:
        """The calls of a connection now, as a copy; none if it is unknown."""
        with self._lock:
            known = self._calls.get(endpoint)
            return replace(known) if known else Calls()

    def forget(self, endpoint: Endpoint) -> None:
        """Forget a connection that has ended. Its calls, which end soon, are still counted."""
        with self._lock:
            known = self._calls.get(endpoint)
            if known is not None and not known.open and not known.waiting:
                del self._calls[endpoint]

    def note(
        self,
        endpoint: Endpoint,
        size: int | None = None,
        *,
        opened: int = 0,
        waiting: int = 0,
        cancelled: bool = False,
        oversized: bool = False,
    ) -> None:
        """Note that a call of a connection has begun or ended, or that something happens on one."""
        with self._lock:
            calls = self._calls.setdefault(endpoint, Calls())
            calls.open += opened
            calls.begun += opened > 0
            calls.waiting += waiting
            calls.cancelled += cancelled
            calls.oversized += oversized
            calls.messages += size is not None
            calls.bytes += size or 0
            calls.last = self._clock()
            calls.noted += 1
            self._calls.move_to_end(endpoint)
            if len(self._calls) > _REMEMBERED:
                oldest, their = next(iter(self._calls.items()))
                if their.open or their.waiting:
                    self._calls.move_to_end(oldest)
                else:
                    del self._calls[oldest]


@dataclass(slots=True)
class _OpenCall:
    activity: Activity
    endpoint: Endpoint
    waits: bool = False

    def refuse(self) -> None:
        if not self.waits:
            self.waits = True
            self.activity.note(self.endpoint, opened=-1, waiting=1)

    def end(self, *, cancelled: bool = False) -> None:
        if self.waits:
            self.activity.note(self.endpoint, waiting=-1)
        else:
            self.activity.note(self.endpoint, opened=-1, cancelled=cancelled)


_current: ContextVar[_OpenCall | None] = ContextVar("open_call", default=None)


def note_message(size: int | None = None) -> None:
    """Note that the current call, of this asyncio task or a parent of it, has read or written a message.

    Args:
        size: bytes of a message that was read; ``None`` if it was written.
    """
    if (call := _current.get()) is not None:
        call.activity.note(call.endpoint, size)


def note_refused() -> None:
    """Note that the current call only waits for its refusal: it keeps its connection no more."""
    if (call := _current.get()) is not None:
        call.refuse()


@lru_cache(4096)
def endpoint_of(peer: str) -> Endpoint | None:
    """The endpoint of a peer as gRPC names it; ``None`` if it is not one of TCP."""
    kind, _, rest = unquote(peer).partition(":")
    address, _, port = rest.rpartition(":")
    if kind not in ("ipv4", "ipv6") or not port.isdecimal():
        return None
    return endpoint(address.strip("[]"), int(port))


def endpoint(address: str, port: int) -> Endpoint | None:
    """The endpoint of an address as the system writes it; ``None`` if it is none."""
    if ":" not in address:
        return Endpoint(address, port)
    try:
        found = IPv6Address(address.partition("%")[0])
    except ValueError:
        return None
    return Endpoint(str(found.ipv4_mapped or found), port)
