"""How many calls a caller may make, and have open, so that one caller does not starve another."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from facet.server.access.grants import Grant
from facet.server.access.identity import Identity
from facet.server.access.share import site_of
from facet.server.errors import CallerConcurrencyExceeded, CallerRateExceeded

_MIN_BURST = 2.0
_SPARE = 1.0
"""Calls of a burst that streams leave, so that a caller's streams do not take every call of its other programs."""
_ROUNDING = 1e-9
_LOOK_SECONDS = 1.0
"""A new limit is in effect after this time."""
_FEW = 1024
"""So many callers are remembered without a look at those that can be forgotten."""


@dataclass(slots=True)
class _Usage:
    """What a caller has used.

    Attributes:
        spent: calls of the burst that were spent at the time ``at``.
        at: monotonic seconds.
        rate: calls that it gets back per second.
        open: open calls.
        turns: held by the stream whose turn is next.
    """

    at: float
    spent: float = 0.0
    rate: float = math.inf
    open: int = 0
    turns: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self, rate: float, now: float, *, spare: float = 0.0) -> float:
        """Take one call at a rate; returns 0, or the seconds until there is one more than ``spare``."""
        self.spent = max(0.0, self.spent - (now - self.at) * rate)
        self.at, self.rate = now, rate
        missing = self.spent + 1 + spare - max(rate, _MIN_BURST)
        if missing > _ROUNDING:
            return missing / rate
        self.spent += 1
        return 0.0

    def is_idle(self, now: float) -> bool:
        """Whether there is nothing to remember."""
        return not self.open and not self.turns.locked() and self.spent <= (now - self.at) * self.rate


class CallerLimits:
    """Limits each caller's calls per second, and its open calls. Use it from one event loop.

    Rates are token buckets: a caller that has made no call for a while may make those of one second at once, at least
    two. A call beyond the rate is refused, and does not count. In a stream, each picture after the first counts as a
    call, and waits instead: a batch loses no item, and a camera drops frames.

    Args:
        calls_per_second: of a caller without a limit of its own; ``None`` for no limit.
        concurrent_calls: the same for open calls.
        note: called with the id of a caller that has reached a limit, and how: a call was refused for its ``rate`` or
            its ``concurrency``, or a picture of a stream ``waited``.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        calls_per_second: float | None = None,
        concurrent_calls: int | None = None,
        note: Callable[[str, str], None] = lambda _caller, _how: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls_per_second = calls_per_second
        self._concurrent_calls = concurrent_calls
        self._note = note
        self._clock = clock
        self._by_caller: dict[str, _Usage] = {}
        self._many = _FEW

    @contextmanager
    def entered(self, grant: Grant, peer: str) -> Iterator[None]:
        """Count a call of the current task. It is open until the task is done, or the body has failed.

        Args:
            grant: its rights, which name its caller.
            peer: where it comes from, as gRPC names it: clients that share an identity have limits by address.

        Raises:
            CallerConcurrencyExceeded: the caller has as many open calls as it may have.
            CallerRateExceeded: the caller has made as many calls as it may have made by now.
        """
        identity = grant.identity
        usage = self._usage(site_of(peer) if identity.is_shared else identity.id)
        most = self._concurrent_calls if identity.concurrent_calls is None else identity.concurrent_calls
        if most is not None and usage.open >= most:
            self._note(identity.id, "concurrency")
            raise CallerConcurrencyExceeded
        rate = self._rate(identity)
        if rate is not None and (seconds := usage.take(rate, self._clock())):
            self._note(identity.id, "rate")
            # When there are two calls: a client that asks for the server's limits before it streams needs both, and
            # would otherwise be refused again and again.
            raise CallerRateExceeded(seconds + 1 / rate)
        usage.open += 1
        is_open = True

        def leave(_: object = None) -> None:
            nonlocal is_open
            usage.open -= is_open
            is_open = False

        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - every call has one
        task.add_done_callback(leave)
        _current.set(_Pictures(self, grant, usage))
        try:
            yield
        except BaseException:
            leave()
            raise

    async def wait(self, grant: Grant, usage: _Usage) -> None:
        """Wait until a caller may have one more picture of its streams. Its streams take turns."""
        if self._rate(grant.identity) is None:
            return
        waited = False
        async with usage.turns:
            # The rate is looked up again, because the operator may change it meanwhile.
            while (rate := self._rate(grant.identity)) is not None:
                seconds = usage.take(rate, self._clock(), spare=_SPARE)
                if not seconds:
                    break
                waited = True
                await asyncio.sleep(min(seconds, _LOOK_SECONDS))
        if waited:
            self._note(grant.identity.id, "waited")

    def __len__(self) -> int:
        """The number of callers that are remembered."""
        return len(self._by_caller)

    def _rate(self, identity: Identity) -> float | None:
        return self._calls_per_second if identity.calls_per_second is None else identity.calls_per_second

    def _usage(self, caller: str) -> _Usage:
        usage = self._by_caller.get(caller)
        if usage is None:
            now = self._clock()
            if len(self._by_caller) >= self._many:
                self._by_caller = {each: used for each, used in self._by_caller.items() if not used.is_idle(now)}
                self._many = max(_FEW, 2 * len(self._by_caller))
            usage = self._by_caller[caller] = _Usage(now)
        return usage


@dataclass(slots=True)
class _Pictures:
    """The pictures of one stream: the first one was counted with the call."""

    limits: CallerLimits
    grant: Grant
    usage: _Usage
    is_first: bool = True


_current: ContextVar[_Pictures | None] = ContextVar("pictures", default=None)


async def turn() -> None:
    """Wait until the current stream may have its next picture processed. Does nothing outside calls."""
    pictures = _current.get()
    if pictures is None:
        return
    if pictures.is_first:
        pictures.is_first = False
        return
    await pictures.limits.wait(pictures.grant, pictures.usage)
