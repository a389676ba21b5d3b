"""Estimates the errors of galleries once an hour, for metrics."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gallery.errors import GalleryError, GalleryNotFound
from gallery.estimation.estimates import Interval, estimate
from gallery.galleries import Galleries
from gallery.observations.records import Observation, total
from gallery.records.galleries import Gallery
from gallery.times import Clock, now

MAX_GALLERIES = 100
"""Galleries that have metrics of their own: those that had an estimate first since the start."""
MIN_SEARCHES = 250
_PERIOD = timedelta(days=1)
_INTERVAL = timedelta(hours=1)

_log = structlog.get_logger("facet.monitoring")


@dataclass(slots=True)
class _Estimated:
    """When the errors of a gallery were last estimated, and the figures by name; none without an estimate."""

    created: datetime | None
    time: datetime
    figures: Mapping[str, Interval]


class ErrorEstimates(Collector):
    """Estimates the errors of the last day, of all cameras and callers of a gallery together.

    An estimate takes some tenths of a second, so a gallery has one an hour at most, while it is searched.

    Args:
        galleries: the galleries.
        clock: tells the hour.
    """

    def __init__(self, galleries: Galleries, clock: Clock = now) -> None:
        self._galleries = galleries
        self._clock = clock
        self._estimated: dict[str, _Estimated] = {}
        self._lock = threading.Lock()

    def see(self, observations: Sequence[Observation]) -> None:
        """Estimate the errors of galleries that were searched, where that is due. Calls must not overlap."""
        moment = self._clock()
        self._forget(moment)
        for gallery_id in dict.fromkeys(each.gallery_id for each in observations):
            before = self._estimated.get(gallery_id)
            is_due = before is None or moment - before.time >= _INTERVAL
            if not is_due or (before is None and sum(map(bool, self._figures().values())) >= MAX_GALLERIES):
                continue
            created: datetime | None = None
            figures: Mapping[str, Interval] = {}
            try:
                gallery = self._galleries.get_gallery(gallery_id)
                created, figures = gallery.create_time, self._estimate(gallery, moment)
            except GalleryError as error:
                _log.warning("cannot estimate errors", error=str(error))
            with self._lock:
                self._estimated[gallery_id] = _Estimated(created, moment, figures)

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics."""
        shares = GaugeMetricFamily(
            "facet_estimated_share",
            "Share of unknown people, FPIR and FNIR of the last day, estimated without labels, and the 95 % interval.",
            labels=["gallery", "figure", "bound"],
        )
        for gallery_id, figures in self._figures().items():
            for name, share in figures.items():
                for bound, value in (("value", share.value), ("low", share.low), ("high", share.high)):
                    shares.add_metric([gallery_id, name, bound], value)
        yield shares

    def _figures(self) -> Mapping[str, Mapping[str, Interval]]:
        with self._lock:
            return {gallery_id: each.figures for gallery_id, each in self._estimated.items()}

    def _forget(self, moment: datetime) -> None:
        """Forget galleries that are gone, also if another has their id now, and those without figures after a while."""
        for gallery_id, each in list(self._estimated.items()):
            try:
                is_gone = self._galleries.get_gallery(gallery_id).create_time != each.created
            except GalleryNotFound:
                is_gone = True
            except GalleryError:
                is_gone = False
            if is_gone or (not each.figures and moment - each.time >= _INTERVAL):
                with self._lock:
                    del self._estimated[gallery_id]

    def _estimate(self, gallery: Gallery, moment: datetime) -> Mapping[str, Interval]:
        if gallery.calibration is None:
            return {}
        since = max(moment - _PERIOD, self._galleries.observations.reference_since(gallery, ""))
        period = self._galleries.observations.period(gallery.gallery_id, "", since=since, until=moment)
        counts = total(each.counts for each in period.hours)
        if counts.searches < MIN_SEARCHES:
            return {}
        found = estimate(
            counts,
            gallery.calibration,
            threshold=gallery.threshold,
            contract=gallery.contract,
            mean_of_best=gallery.mean_of_best,
        )
        named = {"unknown_share": found.unknown_share, "fpir": found.fpir, "fnir": found.fnir}
        return {name: share for name, share in named.items() if share is not None}
