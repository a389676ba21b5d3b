"""When to try again after a failure, and after how long.

gRPC repeats unary calls by itself while no server answers: :func:`service_config` tells it how. A program that opens a
stream or a camera again, or that waits for a busy server, asks :class:`Retry`. Both use the same numbers.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from facet.client.errors import ResourceExhausted, StatusCode

R = TypeVar("R")

FINAL = frozenset(
    {
        StatusCode.INVALID_ARGUMENT,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.NOT_FOUND,
        StatusCode.PERMISSION_DENIED,
        StatusCode.UNAUTHENTICATED,
        StatusCode.UNIMPLEMENTED,
    }
)
"""Status codes that another attempt would end with as well."""
GALLERY_UNUSABLE = frozenset({"GALLERY_NOT_FOUND", "CONTRACT_MISMATCH"})
"""Reasons after which no other picture can be answered in this gallery either."""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0
"""Seconds before the second attempt, and the most between two attempts unless the server asks for more."""
_GROWTH = 2
_JITTER = 0.25
"""A pause is up to this share longer, so that clients of one server do not come back together."""
_SHORTEST_PAUSE = 0.05
_UNARY_ATTEMPTS = 4
_REPEATED = (StatusCode.UNAVAILABLE, StatusCode.CANCELLED)
"""A server that stops ends calls with the second one that had reached gRPC, but not the server."""
_BUSY_PATIENCE = 300.0


class Retry:
    """Pauses between attempts, from one failure to the next.

    A pause is what the server asked for (RetryInfo); otherwise it doubles from failure to failure, from FIRST_PAUSE to
    LONGEST_PAUSE. Either gets up to a quarter longer at random.

    Args:
        patience: seconds to keep trying after the first failure in a row; ``None`` to try for ever.
        clock: seconds of a clock that never goes back.
        jitter: a random number in [0, 1).
    """

    def __init__(
        self,
        patience: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._patience, self._clock, self._jitter = patience, clock, jitter
        self._next = FIRST_PAUSE
        self._failing_since: float | None = None

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failing_since is not None

    def succeeded(self) -> None:
        """Start afresh: the next failure is the first."""
        self._next = FIRST_PAUSE
        self._failing_since = None

    def failed(self, retry_after: float | None = None) -> float | None:
        """Count a failure, and say how long to wait.

        Args:
            retry_after: seconds that the server asked for, see :attr:`facet.FacetError.retry_after`.

        Returns:
            Seconds until the next attempt, more than 0 and never past the end of the patience. ``None`` to give up: the
            patience is over, or would be before the server wants to be asked again.
        """
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        asked = self._next if retry_after is None else max(retry_after, _SHORTEST_PAUSE)
        if retry_after is None:
            self._next = min(_GROWTH * self._next, LONGEST_PAUSE)
        pause = asked * (1 + _JITTER * self._jitter())
        if self._patience is None:
            return pause
        left = self._failing_since + self._patience - now
        if left <= 0 or (retry_after is not None and retry_after > left):
            return None
        return min(pause, left)


def retry_while_busy(call: Callable[[], R], patience: float = _BUSY_PATIENCE) -> R:
    """Make a call, and make it again while the server is busy and says when to come back.

    Args:
        call: makes the call once.
        patience: seconds to keep trying.

    Raises:
        FacetError: the call failed for another reason, or the server stayed busy.
    """
    retry = Retry(patience)
    while True:
        try:
            return call()
        except ResourceExhausted as error:
            time.sleep(_busy_pause(retry, error))


async def retry_while_busy_async(call: Callable[[], Awaitable[R]], patience: float = _BUSY_PATIENCE) -> R:
    """As :func:`retry_while_busy`, on asyncio."""
    retry = Retry(patience)
    while True:
        try:
            return await call()
        except ResourceExhausted as error:
            await asyncio.sleep(_busy_pause(retry, error))


def _busy_pause(retry: Retry, error: ResourceExhausted) -> float:
    """Seconds to wait; raises the error if waiting is in vain: the request is too large, or the patience is over."""
    if error.retry_after is None or (pause := retry.failed(error.retry_after)) is None:
        raise error
    return pause


def service_config(repeatable: Iterable[tuple[str, str]], *, round_robin: bool = False) -> dict[str, Any]:
    """The gRPC service config that repeats calls while no server answers, within their deadlines.

    A call that the program itself cancels is not repeated.

    Args:
        repeatable: service and method of the calls that may be made twice.
        round_robin: send each call to the next server of the address, instead of all calls to one.

    Returns:
        The config as gRPC reads it (https://github.com/grpc/grpc/blob/master/doc/service_config.md). gRPC varies each
        pause by a fifth at random. If the server says how long to wait (grpc-retry-pushback-ms), it waits that long.
    """
    policy = {
        "maxAttempts": _UNARY_ATTEMPTS,
        "initialBackoff": f"{FIRST_PAUSE}s",
        "maxBackoff": f"{LONGEST_PAUSE}s",
        "backoffMultiplier": _GROWTH,
        "retryableStatusCodes": [code.name for code in _REPEATED],
    }
    names = [{"service": service, "method": method} for service, method in repeatable]
    config: dict[str, Any] = {"methodConfig": [{"name": names, "retryPolicy": policy}]}
    return config | {"loadBalancingConfig": [{"round_robin": {}}]} if round_robin else config
