"""Compares the faces of each camera and caller with its reference period, as they come."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gallery.errors import GalleryError, GalleryNotFound
from gallery.estimation.drift import WINDOW, Drift, drift
from gallery.estimation.reference import NAMES, Reference, reference
from gallery.galleries import Galleries
from gallery.observations.records import Counts, Observation
from gallery.times import Clock, now

MAX_GALLERIES = 100
"""Galleries that have metrics of their own."""
MAX_SOURCES = 1000
"""Cameras and callers of all galleries that are watched; those that were seen last are kept."""
_GONE_AFTER = timedelta(days=3)
"""Sources without a face for this long are in no metric: a camera that was renamed or taken away has no alarm."""
_REREAD = timedelta(minutes=10)
"""How long a reference period is used before it is read again: it grows, or the gallery is calibrated anew."""

_log = structlog.get_logger("facet.monitoring")


@dataclass(frozen=True, slots=True)
class DriftState:
    """The last comparison of a source.

    Attributes:
        drift: the comparison.
        since: when the first of the comparisons was made that found a change without a break; ``None`` without one.
    """

    drift: Drift
    since: datetime | None


@dataclass(slots=True)
class _Watched:
    """A source: when it had a face, its faces since the last comparison, its reference period, and the result.

    A gallery that was created at another time is another gallery.
    """

    created: datetime | None
    seen: datetime
    window: Counts | None = None
    usual: Reference | None = None
    usual_until: datetime | None = None
    read_time: datetime | None = None
    state: DriftState | None = None


class DriftWatch(Collector):
    """Compares each :data:`gallery.estimation.drift.WINDOW` faces of a source with its default reference period.

    A face is in one comparison only, so that chance alone seldom gives an alarm.

    Args:
        galleries: the galleries.
        clock: tells when a change was noticed.
    """

    def __init__(self, galleries: Galleries, clock: Clock = now) -> None:
        self._galleries = galleries
        self._clock = clock
        self._watched: OrderedDict[tuple[str, str], _Watched] = OrderedDict()
        self._lock = threading.Lock()

    def see(self, observations: Sequence[Observation]) -> None:
        """Add new observations, which are stored already. Calls must not overlap."""
        moment = self._clock()
        with self._lock:
            watched_ids = {gallery_id for gallery_id, _ in self._watched}
        created = self._created({*watched_ids, *(each.gallery_id for each in observations)})
        for each in observations:
            since = created.get(each.gallery_id)
            if since is None or not each.counts.faces:
                continue
            place = each.gallery_id, each.source
            with self._lock:
                watched = self._watched.setdefault(place, _Watched(since, moment))
                watched.seen = moment
                self._watched.move_to_end(place)
                while len(self._watched) > MAX_SOURCES:
                    self._watched.popitem(last=False)
            watched.window = each.counts if watched.window is None else watched.window + each.counts
            if watched.window.faces < WINDOW:
                continue
            window, watched.window = watched.window, None
            try:
                self._compare(place, watched, window, each.start)
            except GalleryError as error:
                _log.warning("cannot compare faces with the reference period", error=str(error))

    def _created(self, gallery_ids: Iterable[str]) -> Mapping[str, datetime | None]:
        """When galleries were created; what is known of others that had the same id, or were deleted, is forgotten."""
        created: dict[str, datetime | None] = {}
        for gallery_id in gallery_ids:
            try:
                created[gallery_id] = self._galleries.get_gallery(gallery_id).create_time
            except GalleryNotFound:
                created[gallery_id] = None
            except GalleryError as error:
                _log.warning("cannot compare faces with the reference period", error=str(error))
        with self._lock:
            for place, watched in list(self._watched.items()):
                if place[0] in created and created[place[0]] != watched.created:
                    del self._watched[place]
        return created

    def forget(self, gallery_id: str, source: str) -> None:
        """Forget what is known of a source, or of all of a gallery if it is empty: its reference period is another."""
        with self._lock:
            for place in list(self._watched):
                if place[0] == gallery_id and source in ("", place[1]):
                    del self._watched[place]

    def states(self) -> Mapping[str, Mapping[str, DriftState]]:
        """The last comparison of each source, by gallery; without sources that are gone or have no reference period.

        Galleries whose faces have changed come first, then those with a comparison.
        """
        with self._lock:
            gone = self._clock() - _GONE_AFTER
            watched = [(place, each.state) for place, each in self._watched.items() if each.seen > gone]
        states: dict[str, dict[str, DriftState]] = {}
        for (gallery_id, source), state in sorted(watched, key=lambda each: each[0]):
            of_gallery = states.setdefault(gallery_id, {})
            if state is not None:
                of_gallery[source] = state
        return dict(sorted(states.items(), key=lambda each: _rank(each[1])))

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics."""
        compared = GaugeMetricFamily(
            "facet_drift_sources", "Cameras and callers that are compared with a reference period.", labels=["gallery"]
        )
        changed = GaugeMetricFamily(
            "facet_drift_changed_sources", "Those whose faces have changed.", labels=["gallery"]
        )
        quantities = GaugeMetricFamily(
            "facet_drift_changed", "Sources in which a quantity has moved.", labels=["gallery", "quantity"]
        )
        for gallery_id, sources in list(self.states().items())[:MAX_GALLERIES]:
            compared.add_metric([gallery_id], len(sources))
            changed.add_metric([gallery_id], sum(state.since is not None for state in sources.values()))
            moved = [shift.name for state in sources.values() for shift in state.drift.moved]
            for name in NAMES:
                quantities.add_metric([gallery_id, name], moved.count(name))
        yield from (compared, changed, quantities)

    def _compare(self, place: tuple[str, str], watched: _Watched, window: Counts, start: datetime) -> None:
        moment = self._clock()
        if watched.read_time is None or moment - watched.read_time >= _REREAD:
            watched.read_time = moment
            self._read_reference(place, watched)
        if watched.usual is None or watched.usual_until is None or start < watched.usual_until:
            return  # the faces belong to the reference period themselves
        found = drift(window, watched.usual)
        if found.reason is not None:
            return
        before = watched.state
        since = None
        if found.alarm:
            since = before.since if before is not None and before.since is not None else moment
            if before is None or before.since is None:
                # The name of a camera is the operator's, and names nobody.
                _log.warning("faces have changed", gallery=place[0], quantities=[each.name for each in found.moved])
        watched.state = DriftState(found, since)

    def _read_reference(self, place: tuple[str, str], watched: _Watched) -> None:
        gallery = self._galleries.get_gallery(place[0])
        history = self._galleries.observations
        if watched.usual_until is not None and watched.usual_until < history.reference_since(gallery, place[1]):
            watched.state = None  # the gallery was calibrated anew, or somebody began a new reference period
        period = history.default_reference(gallery, place[1])
        watched.usual_until = period.until
        watched.usual = reference(each.counts for each in period.hours) if period.is_whole else None


def _rank(sources: Mapping[str, DriftState]) -> int:
    if any(state.since is not None for state in sources.values()):
        return 0
    return 1 if sources else 2
