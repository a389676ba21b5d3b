"""Erases what has expired in the galleries, in the background."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from facet.server.audit.protocol import Audit
from gallery.errors import StorageError
from gallery.galleries import Galleries
from gallery.records.expired import Expired
from gallery.times import RisingClock

_RETRY_SECONDS = 30.0
"""When to try again after a failure, if the interval is longer."""

_log = structlog.get_logger("facet.expired")


class ExpiredEraser(Collector):
    """Erases expired subjects and templates from the store and its files, at start and then at an interval.

    A run that fails, because the disk is full or another process reads the database, is logged, counted and repeated.
    No answer waits for it: what has expired is in none.

    Args:
        galleries: the galleries.
        interval: seconds between two runs.
        audit: is told what was erased.
        clock: the clock of the galleries. While the machine's clock is behind it, nothing is erased: if the machine's
            clock was wrong for a moment, what has expired by it only is hidden, and a restart shows it again.
    """

    def __init__(self, galleries: Galleries, interval: float, audit: Audit, clock: RisingClock) -> None:
        self._galleries = galleries
        self._clock = clock
        self._interval = interval
        self._audit = audit
        self._erased = {"subjects": 0, "templates": 0}
        self._failures = 0
        self._waiting = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="expired", daemon=True)
        galleries.retention.note = self._note

    def start(self) -> None:
        """Begin with the first run."""
        self._thread.start()

    def close(self) -> None:
        """End the run after its current transaction."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics."""
        yield GaugeMetricFamily(
            "facet_expired_waiting", "Expired subjects and templates that the last run could not erase.", self._waiting
        )
        erased = CounterMetricFamily(
            "facet_expired_erased", "Expired subjects and templates that were erased.", labels=["kind"]
        )
        for kind, count in self._erased.items():
            erased.add_metric([kind], count)
        yield erased
        yield CounterMetricFamily("facet_expired_failures", "Runs that could not erase everything.", self._failures)

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = self._interval
            if self._clock.is_waiting:
                _log.warning("the clock went back: nothing is erased until it has caught up, or after a restart")
                self._count_waiting()
                continue
            try:
                erased = self._galleries.retention.erase(self._check)
                self._waiting = 0
                if erased:
                    _log.info("erased what has expired", count=erased)
            except _Stopping:
                return
            except Exception as error:
                pause = min(pause, _RETRY_SECONDS)
                self._failures += 1
                self._count_waiting(at_least=1)  # the traces of one
                # What nobody expects has a traceback: it is a bug, and must not end the erasures.
                _log.error(
                    "cannot erase what has expired",
                    error=str(error),
                    again_in_seconds=pause,
                    exc_info=not isinstance(error, StorageError),
                )

    def _count_waiting(self, at_least: int = 0) -> None:
        try:
            self._waiting = max(at_least, self._galleries.retention.waiting())
        except Exception:  # logged by the caller, as it failed for the same reason
            self._waiting = max(at_least, self._waiting)

    def _check(self) -> None:
        if self._stopping.is_set():
            raise _Stopping

    def _note(self, gallery_id: str, erased: Expired) -> None:
        self._erased["subjects"] += len(erased.subject_ids)
        self._erased["templates"] += len(erased.templates)
        for subject_id in erased.subject_ids:
            self._audit.note("erased", gallery_id, subject_id, cause="expired")
        for subject_id, template_id in erased.templates:
            self._audit.note("template_erased", gallery_id, subject_id, cause="expired", template=template_id)


class _Stopping(Exception):
    """The server stops."""
