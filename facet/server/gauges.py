"""Gauges for Prometheus: the current state of the queue, the workers and the galleries."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import structlog
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from facet import __version__
from facet.server.calls.calls import Calls
from facet.server.scheduling.workers import Workers
from gallery.errors import StorageError
from gallery.galleries import Galleries
from gallery.records.galleries import Gallery

MAX_GALLERIES = 100
"""The largest galleries have a series each, up to this number."""

_VALID_SECONDS = 5.0
"""Sizes are read again after this time."""
_WAIT_SECONDS = 1.0
"""A scrape waits at most this long for the store."""
_PAGE = 1000

_log = structlog.get_logger("facet.metrics")


class Gauges(Collector):
    """Collects the gauges when Prometheus scrapes them.

    Args:
        workers: the workers and their queue.
        calls: the calls.
        galleries: the galleries.
    """

    def __init__(self, workers: Workers, calls: Calls, galleries: Galleries) -> None:
        self._workers = workers
        self._calls = calls
        self._sizes = GallerySizes(galleries)
        self._follower = galleries.follower

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics."""
        workers = self._workers
        yield InfoMetricFamily("facet", "Version of the server.", {"version": __version__})
        waiting = GaugeMetricFamily("facet_queue_waiting", "Requests in the queue.", labels=["priority"])
        for priority, count in workers.waiting.items():
            waiting.add_metric([priority.name.lower()], count)
        yield waiting
        yield GaugeMetricFamily("facet_queue_max", "Maximum number of requests in the queue.", workers.max_queue)
        yield GaugeMetricFamily("facet_workers_busy", "Workers in use.", workers.busy)
        yield GaugeMetricFamily("facet_workers", "Number of workers.", workers.threads)
        calls = self._calls
        yield GaugeMetricFamily("facet_open_calls", "Calls in progress.", calls.open)
        yield GaugeMetricFamily(
            "facet_calls_without_request", "Calls whose request has not arrived.", len(calls.arrivals)
        )
        yield GaugeMetricFamily("facet_request_bytes", "Bytes of request messages in progress.", calls.budget.in_flight)
        yield GaugeMetricFamily("facet_request_bytes_max", "Maximum bytes of request messages.", calls.budget.max_bytes)
        templates = GaugeMetricFamily("facet_gallery_templates", "Templates of a gallery.", labels=["gallery"])
        subjects = GaugeMetricFamily("facet_gallery_subjects", "Subjects of a gallery.", labels=["gallery"])
        for gallery in self._sizes.largest():
            templates.add_metric([gallery.gallery_id], gallery.template_count)
            subjects.add_metric([gallery.gallery_id], gallery.subject_count)
        yield from (templates, subjects)
        lag = GaugeMetricFamily(
            "facet_store_lag_seconds", "For how long something that another server stored may be missing here, at most."
        )
        if self._follower is not None:
            lag.add_metric([], self._follower.lag_seconds)
        yield lag

    def close(self) -> None:
        """Stop reading the galleries."""
        self._sizes.close()


class GallerySizes:
    """Caches the sizes of the largest galleries for a few seconds, so that a slow store does not block a scrape.

    Args:
        galleries: the galleries.
        clock: monotonic seconds.
    """

    def __init__(self, galleries: Galleries, clock: Callable[[], float] = time.monotonic) -> None:
        self._galleries = galleries
        self._clock = clock
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="gallery-sizes")
        self._lock = threading.Lock()
        self._reading: Future[None] | None = None
        self._valid_until = clock()
        self._known: Sequence[Gallery] = ()
        self._closed = False

    def largest(self) -> Sequence[Gallery]:
        """At most :data:`MAX_GALLERIES` galleries, the largest first; none if the store fails."""
        with self._lock:
            idle = self._reading is None or self._reading.done()
            if idle and not self._closed and self._clock() >= self._valid_until:
                self._reading = self._pool.submit(self._read)
            reading = self._reading
        if reading is not None:
            wait([reading], _WAIT_SECONDS)
        return self._known

    def close(self) -> None:
        """Wait for the last read, and read no more."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=True)

    def _read(self) -> None:
        found: list[Gallery] = []
        try:
            token = ""
            while True:
                page = self._galleries.list_galleries(page_size=_PAGE, page_token=token)
                found = heapq.nlargest(MAX_GALLERIES, (*found, *page.items), key=lambda gallery: gallery.template_count)
                token = page.next_page_token
                if not token:
                    break
        except StorageError as error:
            # Report nothing, because old sizes would look current.
            found = []
            _log.warning("cannot read the sizes of the galleries", error=str(error))
        self._known = found
        self._valid_until = self._clock() + _VALID_SECONDS
