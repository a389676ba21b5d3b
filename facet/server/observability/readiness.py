"""Whether the server is alive, and whether it should be sent calls."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import StrEnum

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gallery.errors import StorageError

_BEAT_SECONDS = 0.1
_CHECK_SECONDS = 1.0
_MAX_LAG_SECONDS = 2.0
"""An event loop that is later than this keeps callers waiting."""
_DEAD_SECONDS = 30.0
"""An event loop that is later than this has hung."""


class Phase(StrEnum):
    """What the server is doing."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


class Readiness(Collector):
    """Watches the event loop and the store. It is read from other threads, so it answers also if the loop does not.

    Args:
        check_store: raises StorageError if changes cannot be stored. It may wait for a change, so it runs on its own
            thread, every second.
        clock: monotonic seconds.
        searches_alone: searches go on without the store, so that the server is only degraded without it.

    Attributes:
        phase: what the server is doing; set by the server.
    """

    def __init__(
        self,
        check_store: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        searches_alone: bool = False,
    ) -> None:
        self._searches_alone = searches_alone
        self._check_store = check_store
        self._store_problem = ""
        self._stopped = threading.Event()
        self._checking = threading.Thread(target=self._keep_checking, name="store-check", daemon=True)
        self._clock = clock
        self._beat = clock()
        self._beating: asyncio.Task[None] | None = None
        self.phase = Phase.STARTING

    @property
    def lag_seconds(self) -> float:
        """How late the event loop is, seconds; at least 0."""
        return max(0.0, self._clock() - self._beat - _BEAT_SECONDS) if self._beating else 0.0

    def why_not_alive(self) -> str:
        """Why the process should be restarted; empty if it need not be."""
        return f"the event loop has not run for {self.lag_seconds:.0f} s" if self.lag_seconds > _DEAD_SECONDS else ""

    def why_not_ready(self) -> str:
        """Why no calls should be sent; empty if they are served."""
        if self.phase is not Phase.SERVING:
            return str(self.phase)
        if self.lag_seconds > _MAX_LAG_SECONDS:
            return f"the event loop is {self.lag_seconds:.1f} s late"
        return "" if self._searches_alone else self._store_problem

    def why_degraded(self) -> str:
        """What the server cannot do although it is ready; empty if it can do everything."""
        if not self._store_problem or not self._searches_alone:
            return ""
        return f"DEGRADED: {self._store_problem}; searches go on, changes are refused"

    def start(self) -> None:
        """Watch the running event loop, and the store."""
        self._checking.start()
        self._beat = self._clock()
        self._beating = asyncio.create_task(self._keep_beating())

    async def stop(self) -> None:
        """Stop watching them."""
        self._stopped.set()
        if self._checking.is_alive():
            await asyncio.to_thread(self._checking.join, _CHECK_SECONDS)
        if self._beating is not None:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating
            self._beating = None

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics."""
        yield GaugeMetricFamily("facet_ready", "1 if calls are served, else 0.", int(not self.why_not_ready()))
        yield GaugeMetricFamily(
            "facet_store_available", "1 if changes can be stored, else 0.", int(not self._store_problem)
        )
        yield GaugeMetricFamily("facet_event_loop_lag_seconds", "How late the event loop is.", self.lag_seconds)

    def _keep_checking(self) -> None:
        while not self._stopped.wait(_CHECK_SECONDS):
            self._check_now()

    def _check_now(self) -> None:
        try:
            self._check_store()
            self._store_problem = ""
        except StorageError as error:
            self._store_problem = error.public_text

    async def _keep_beating(self) -> None:
        while True:
            self._beat = self._clock()
            await asyncio.sleep(_BEAT_SECONDS)
