"""Tells the log, the metrics and the audit log what became of erasures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import structlog
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from facet.server.audit.protocol import Audit
from gallery.erasure.erasure_reports import ErasureReports
from gallery.records.erasures import Erasure, ErasureOutcome

_log = structlog.get_logger("facet.erasures")


class ErasureWatch(Collector):
    """Counts erasures whose bytes are gone, and warns of those whose bytes are not.

    Args:
        erasures: the records.
        audit: is told the outcome of each.
    """

    def __init__(self, erasures: ErasureReports, audit: Audit) -> None:
        self._audit = audit
        self._counts: Counter[tuple[str, str]] = Counter()
        erasures.watch(self._note)

    def collect(self) -> Iterable[Metric]:
        """Collect the metric."""
        counted = CounterMetricFamily(
            "facet_erasures", "Erasures whose records are complete.", labels=["cause", "outcome"]
        )
        for labels, count in tuple(self._counts.items()):
            counted.add_metric(labels, count)
        yield counted

    def _note(self, erasure: Erasure) -> None:
        cause, outcome = erasure.cause.value, erasure.outcome.value
        self._counts[cause, outcome] += 1
        self._audit.note("erasure_checked", erasure.gallery_id, erasure=erasure.erasure_id, outcome=outcome)
        if erasure.outcome is ErasureOutcome.FOUND:
            _log.error(
                "erased bytes are still in the files of the database: see facet people erasure-report",
                gallery_id=erasure.gallery_id,
                erasure_id=erasure.erasure_id,
            )
