"""What Prometheus is told of the server as it is now: its queue, its workers, its galleries."""

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
from facet.server.scheduling.workers import Workers
from gallery.errors import StorageError
from gallery.galleries import Galleries
from gallery.records.records import Gallery

MOST_GALLERIES = 100
"""Galleries with a series of their own, the largest."""

_ASKED_SECONDS = 5.0
_PATIENCE_SECONDS = 1.0
_PAGE = 1000

_log = structlog.get_logger("facet.metrics")


class Gauges(Collector):
    """Reads the figures when it is asked for them.

    Args:
        workers: whose queue it is.
        open_calls: how many calls are open now.
        galleries: whose sizes are told.
    """

    def __init__(self, workers: Workers, open_calls: Callable[[], int], galleries: Galleries) -> None:
        self._workers = workers
        self._open_calls = open_calls
        self._sizes = GallerySizes(galleries)

    def collect(self) -> Iterable[Metric]:
        """The metrics."""
        workers = self._workers
        yield InfoMetricFamily("facet", "What is running.", {"version": __version__})
        waiting = GaugeMetricFamily("facet_queue_waiting", "Requests that wait for a worker.", labels=["priority"])
        for priority, count in workers.waiting.items():
            waiting.add_metric([priority.name.lower()], count)
        yield waiting
        yield GaugeMetricFamily("facet_queue_max", "Requests that may wait for a worker.", workers.max_queue)
        yield GaugeMetricFamily("facet_workers_busy", "Workers that work.", workers.busy)
        yield GaugeMetricFamily("facet_workers", "Workers there are.", workers.threads)
        yield GaugeMetricFamily("facet_open_calls", "Calls that are open.", self._open_calls())
        templates = GaugeMetricFamily("facet_gallery_templates", "Templates of a gallery.", labels=["gallery"])
        subjects = GaugeMetricFamily("facet_gallery_subjects", "Subjects of a gallery.", labels=["gallery"])
        for gallery in self._sizes.largest():
            templates.add_metric([gallery.gallery_id], gallery.template_count)
            subjects.add_metric([gallery.gallery_id], gallery.subject_count)
        yield from (templates, subjects)

    def close(self) -> None:
        """Ask the galleries no more."""
        self._sizes.close()


class GallerySizes:
    """The largest galleries as they were a few seconds ago, so that a store that does not answer holds up nobody.

    Args:
        galleries: whose.
        clock: seconds that never go back.
    """

    def __init__(self, galleries: Galleries, clock: Callable[[], float] = time.monotonic) -> None:
        self._galleries = galleries
        self._clock = clock
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="gallery-sizes")
        self._lock = threading.Lock()
        self._asking: Future[None] | None = None
        self._good_until = clock()
        self._known: Sequence[Gallery] = ()
        self._closed = False

    def largest(self) -> Sequence[Gallery]:
        """At most :data:`MOST_GALLERIES`, the largest first; none where the store cannot be asked."""
        with self._lock:
            idle = self._asking is None or self._asking.done()
            if idle and not self._closed and self._clock() >= self._good_until:
                self._asking = self._pool.submit(self._ask)
            asking = self._asking
        if asking is not None:
            wait([asking], _PATIENCE_SECONDS)
        return self._known

    def close(self) -> None:
        """Wait for the store to answer; it is asked no more."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=True)

    def _ask(self) -> None:
        found: list[Gallery] = []
        try:
            token = ""
            while True:
                page = self._galleries.list_galleries(page_size=_PAGE, page_token=token)
                found = heapq.nlargest(
                    MOST_GALLERIES, (*found, *page.items), key=lambda gallery: gallery.template_count
                )
                token = page.next_page_token
                if not token:
                    break
        except StorageError as error:
            # Figures that are known to be old would be taken for those of now.
            found = []
            _log.warning("the sizes of the galleries are not known", error=str(error))
        self._known = found
        self._good_until = self._clock() + _ASKED_SECONDS
