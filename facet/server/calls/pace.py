"""How long the client of a transfer may keep the server waiting: uploads and downloads that trickle end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakSet

from facet.server.errors import ServerError, ShuttingDown, TransferStalled

_BRISK_BYTES_PER_SECOND = 2**20
"""A transfer at this pace lags behind nobody, however long it takes."""
_DRAIN_SECONDS = 2.0
"""What the client of a transfer has left while the server shuts down, at that pace."""


class Pace:
    """The patience with the client of one transfer. Use it from one event loop.

    While the server waits for its client, the patience shrinks second by second. Every byte that moves wins some of it
    back, up to the whole of it (a token bucket). So the average over that time counts, and not each message.

    Args:
        seconds: the patience.
        bytes_per_second: the least pace at which it does not shrink.

    Attributes:
        is_waiting: whether the server waits for the client now.
    """

    def __init__(self, seconds: float, bytes_per_second: float) -> None:
        self._seconds = self._patience = seconds
        self._bytes_per_second = bytes_per_second
        self._lag = self._since = 0.0
        self._limit: asyncio.Timeout | None = None
        self._refusal: type[ServerError] = TransferStalled

    @property
    def is_waiting(self) -> bool:
        """See the class."""
        return self._limit is not None

    @property
    def lag_seconds(self) -> float:
        """How long the server has waited in vain: not counted is the time that the bytes need at 1 MiB a second."""
        self._count()
        return self._lag

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Limit the time that the body waits for the client.

        Raises:
            TransferStalled: the patience is over; or the error that :meth:`end` names.
        """
        self._since = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._patience) as self._limit:
                yield
        except TimeoutError:
            raise self._refusal from None
        finally:
            self._count()
            self._limit = None

    def moved(self, size: int) -> None:
        """Note that the transfer has moved so many bytes."""
        self._patience = min(self._patience + size / self._bytes_per_second, self._seconds)
        self._lag = max(self._lag - size / _BRISK_BYTES_PER_SECOND, 0.0)

    def end(self, refusal: type[ServerError]) -> None:
        """End the transfer with a refusal as soon as the server waits for its client, or at once if it does."""
        self._hurry(0.0, refusal)

    def hurry(self) -> None:
        """End the transfer soon unless it is brisk, because the server shuts down."""
        self._bytes_per_second = _BRISK_BYTES_PER_SECOND
        self._hurry(_DRAIN_SECONDS, ShuttingDown)

    def _hurry(self, seconds: float, refusal: type[ServerError]) -> None:
        self._count()
        self._seconds, self._refusal = seconds, refusal
        self._patience = min(self._patience, seconds)
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + self._patience)

    def _count(self) -> None:
        """Count the time of the current wait so far."""
        if self._limit is not None:
            now = asyncio.get_running_loop().time()
            self._patience -= now - self._since
            self._lag += now - self._since
            self._since = now


class Paces:
    """The paces of all transfers of a server.

    Args:
        seconds: the patience with the client of each.
        bytes_per_second: the least pace of each.
    """

    def __init__(self, seconds: float, bytes_per_second: float) -> None:
        self._seconds, self._bytes_per_second = seconds, bytes_per_second
        self._open: WeakSet[Pace] = WeakSet()

    def begin(self) -> Pace:
        """The pace of a new transfer."""
        pace = Pace(self._seconds, self._bytes_per_second)
        self._open.add(pace)
        return pace

    def drain(self) -> None:
        """Let brisk transfers go on, and end the others soon."""
        for pace in list(self._open):
            pace.hurry()
