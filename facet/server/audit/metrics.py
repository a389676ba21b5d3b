"""Metrics of the audit log for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from facet.server.audit.trail import AuditTrail


class AuditMetrics(Collector):
    """Collects the metrics when Prometheus scrapes them.

    Args:
        trail: the audit of the server; ``None`` if there is none, and so no values.
    """

    def __init__(self, trail: AuditTrail | None) -> None:
        self._writer = trail.writer if trail is not None else None

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics."""
        entries = CounterMetricFamily("facet_audit_entries", "Entries written to the audit log.", labels=["action"])
        lost = CounterMetricFamily(
            "facet_audit_lost_entries", "Entries lost because the audit log could not be written."
        )
        writable = GaugeMetricFamily(
            "facet_audit_writable", "1 if the audit log can be written, 0 if not: changes are refused."
        )
        if (writer := self._writer) is not None:
            for action, number in sorted(writer.entries.copy().items()):
                entries.add_metric([action], number)
            lost.add_metric([], writer.lost)
            writable.add_metric([], not writer.problem)
        yield from (entries, lost, writable)
