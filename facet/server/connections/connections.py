"""The connections of a server: their limits, their calls, and their metrics."""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from facet.server.config import ServerConfig
from facet.server.connections import sockets
from facet.server.connections.activity import Activity
from facet.server.connections.descriptors import reserve
from facet.server.connections.gate import Gate
from facet.server.connections.guard import Guard
from facet.server.connections.interceptor import ActivityInterceptor
from facet.server.connections.policy import Limits

_GRACE_SECONDS = 10.0
"""gRPC closes an idle connection itself, and tells its client first. One that is still there after this is ended."""

_UNFINISHED_SHARE, _MIN_UNFINISHED_BYTES = 2, 32 * 2**20
"""How many bytes gRPC may hold of messages that have not arrived in full, in budgets of messages in progress. Up to
256 KB of each call are received in any case."""

_log = structlog.get_logger("facet.connections")


class Connections(Collector):
    """Reserves file descriptors for the connections, and ends those that exceed the limits.

    Needs Linux. Elsewhere, gRPC closes idle connections, and refuses new ones if there are too many.

    Args:
        config: the limits.
        registry: where the metrics are registered.

    Attributes:
        interceptor: counts the calls of each connection; must be the first of the server.
        gate: drops calls of misused connections; must be installed on the server's event loop.
        room: how many connections gRPC must accept.
    """

    def __init__(self, config: ServerConfig, registry: CollectorRegistry) -> None:
        self._activity = Activity()
        self.interceptor = ActivityInterceptor(self._activity)
        self.gate = Gate(self._activity)
        permitted, room = reserve(config.max_connections)
        self.room = room if sockets.SUPPORTED else permitted
        idle_seconds = config.idle_seconds + _GRACE_SECONDS
        self._limits = Limits(
            permitted,
            config.max_connections_per_address,
            idle_seconds,
            message_bytes=config.receivable_bytes,
            unfinished_bytes=max(_UNFINISHED_SHARE * config.request_budget, _MIN_UNFINISHED_BYTES),
        )
        self._guard: Guard | None = None
        registry.register(self)

    def watch(self, address: str) -> None:
        """Watch the connections of a port.

        Args:
            address: ``host:port`` that the server listens on.
        """
        if sockets.SUPPORTED:
            self._guard = Guard(int(address.rpartition(":")[2]), self._limits, self._activity)
        else:
            _log.warning(
                "this system cannot tell connections apart: beyond server.max_connections, new ones are refused"
            )

    def close(self) -> None:
        """Stop watching."""
        if self._guard is not None:
            self._guard.close()

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics."""
        if self._guard is None:
            return
        yield GaugeMetricFamily("facet_connections", "Open connections.", self._guard.open)
        yield GaugeMetricFamily(
            "facet_connections_max", "Maximum number of open connections.", self._limits.connections
        )
        ended = CounterMetricFamily("facet_connections_ended", "Connections that were ended.", labels=["reason"])
        for reason, count in self._guard.ended.items():
            ended.add_metric([reason], count)
        yield ended
