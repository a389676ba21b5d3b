"""Reads the observations of a gallery: what is recent, and what the reference period is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from gallery.errors import GalleryNotFound
from gallery.estimation.drift import MIN_REFERENCE, WINDOW, Drift, drift, too_little_reference
from gallery.estimation.reference import reference
from gallery.observations.records import HOUR, Observation, start_of, total
from gallery.records.galleries import Gallery
from gallery.stores.base import Store
from gallery.stores.logs import ObservationLog
from gallery.times import LATEST

REFERENCE_SPAN = timedelta(days=7)
REFERENCE_FACES = max(2000, MIN_REFERENCE)
"""A reference period that nobody chose has at least this span, so that it has a weekend, and so many faces."""
MAX_LOOK_BACK = timedelta(days=14)
"""How old the newest faces, and the beginning of a change, may be."""
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Period:
    """A part of the history of a source.

    Attributes:
        hours: its observations, the oldest first.
        is_whole: whether it can be a reference period: it has its span and its faces, or somebody chose it.
    """

    hours: tuple[Observation, ...] = ()
    is_whole: bool = True

    @property
    def since(self) -> datetime | None:
        """When it begins; ``None`` if it is empty."""
        return self.hours[0].start if self.hours else None

    @property
    def until(self) -> datetime | None:
        """When it ends; ``None`` if it is empty."""
        return self.hours[-1].end if self.hours else None


@dataclass(frozen=True, slots=True)
class ComparedSource:
    """The newest faces of a source, compared with its reference period.

    Attributes:
        drift: the comparison.
        reference: the reference period.
        alarm_since: when the first hour begins of those that differ without a break; ``None`` without an alarm.
    """

    drift: Drift
    reference: Period
    alarm_since: datetime | None


class ObservationHistory:
    """Reads and writes the observations of all galleries.

    Every method may raise :class:`gallery.errors.GalleryNotFound` and :class:`gallery.errors.StorageError`.

    Args:
        store: where they are stored.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.log: ObservationLog = store.observations

    def add(self, observations: Sequence[Observation]) -> None:
        """Add what was counted, see :meth:`gallery.stores.logs.ObservationLog.add`, without that of other galleries."""
        self.log.add(self.without_predecessors(observations))

    def without_predecessors(self, observations: Sequence[Observation]) -> list[Observation]:
        """Leave out what was counted of galleries that were deleted, also if others have their ids now."""
        created: dict[str, datetime | None] = {}
        for gallery_id in {each.gallery_id for each in observations}:
            with suppress(GalleryNotFound):
                created[gallery_id] = self._store.gallery(gallery_id).create_time
        return [each for each in observations if _is_of(each, created.get(each.gallery_id))]

    def sources(self, gallery_id: str, *, since: datetime) -> Sequence[str]:
        """Return the sources that have observations since a time."""
        return self.log.sources(gallery_id, since=since)

    def period(self, gallery_id: str, source: str, *, since: datetime, until: datetime) -> Period:
        """Return the observations of a source that begin in a period."""
        return Period(tuple(self._observations(gallery_id, source, since, until)))

    def begin_reference(self, gallery_id: str, source: str, start: datetime) -> None:
        """Begin a new reference period of a source, or of all if it is empty: faces are usual from then on."""
        self.log.begin_reference(gallery_id, source, start)

    def reference_since(self, gallery: Gallery, source: str) -> datetime:
        """Return from when on the faces of a source are usual.

        Beginning a period of all sources forgets the starts of single ones, so a source's own start is the later call.
        """
        starts = self.log.reference_starts(gallery.gallery_id)
        comparable = comparable_since(gallery)
        return max(comparable, starts.get(source, starts.get("", comparable)))

    def default_reference(self, gallery: Gallery, source: str) -> Period:
        """Return the first hours of a source after the gallery's calibration, or after somebody began a new period.

        They are at least :data:`REFERENCE_SPAN` and :data:`REFERENCE_FACES`, or all there are: then the period is not
        whole. Days, whose hours are not kept, are left out, and so are hours without a face.
        """
        hours: list[Observation] = []
        faces = 0
        for each in self._observations(gallery.gallery_id, source, self.reference_since(gallery, source), LATEST):
            if each.span != HOUR or not each.counts.faces:
                continue
            hours.append(each)
            faces += each.counts.faces
            if faces >= REFERENCE_FACES and each.end - hours[0].start >= REFERENCE_SPAN:
                return Period(tuple(hours))
        return Period(tuple(hours), is_whole=False)

    def compare(self, gallery_id: str, source: str, of_reference: Period, *, until: datetime) -> ComparedSource:
        """Compare the newest faces of a source with a reference period.

        Args:
            gallery_id: the gallery.
            source: the source.
            of_reference: the reference period. Days in it, whose hours are not kept, do not count.
            until: only faces of hours that begin before this time.
        """
        if not of_reference.is_whole:
            found = total(each.counts for each in of_reference.hours).faces
            return ComparedSource(too_little_reference(found), of_reference, None)
        usual = reference(each.counts for each in of_reference.hours if each.span == HOUR)
        since = max(of_reference.until or until, until - MAX_LOOK_BACK)
        windows = _windows(self.period(gallery_id, source, since=since, until=until).hours)
        newest = drift(total(each.counts for each in next(windows, ())), usual)
        alarm_since = None
        if newest.alarm:
            alarm_since = until
            for window in _windows(self.period(gallery_id, source, since=since, until=until).hours):
                if not drift(total(each.counts for each in window), usual).alarm:
                    break
                alarm_since = window[-1].start
        return ComparedSource(newest, of_reference, alarm_since)

    def tidy(self, *, days_before: datetime, keep_since: datetime) -> None:
        """Delete what is too old, and make days of old hours, but not of those of reference periods."""
        after = ""
        while galleries := self._store.galleries(after=after, limit=_PAGE):
            for gallery in galleries:
                with suppress(GalleryNotFound):
                    self._tidy(gallery, days_before, keep_since)
            after = galleries[-1].gallery_id

    def _tidy(self, gallery: Gallery, days_before: datetime, keep_since: datetime) -> None:
        keep = {}
        for source in self.log.sources(gallery.gallery_id, since=comparable_since(gallery)):
            if hours := self.default_reference(gallery, source).hours:
                keep[source] = hours[0].start, hours[-1].end
        self.log.tidy(gallery.gallery_id, days_before=days_before, keep_since=keep_since, keep_hours=keep)

    def _observations(self, gallery_id: str, source: str, since: datetime, until: datetime) -> Iterator[Observation]:
        after: tuple[datetime, str] | None = None
        while True:
            page = self.log.find(gallery_id, since=since, until=until, source=source, after=after, limit=_PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].start, page[-1].source


def comparable_since(gallery: Gallery) -> datetime:
    """Return from when on the similarities of a gallery are like those of its calibration, and of the same model."""
    if gallery.calibration is None:
        since = gallery.create_time - HOUR
    else:
        since = max(gallery.create_time, gallery.calibration.create_time - HOUR)
    if gallery.migration is None or gallery.migration.switch_time is None:
        return since
    return max(since, start_of(gallery.migration.switch_time, HOUR) + HOUR)  # the hour of a switch has both models


def _is_of(observation: Observation, created: datetime | None) -> bool:
    return created is not None and (observation.counted_since is None or observation.counted_since >= created)


def _windows(hours: Sequence[Observation]) -> Iterator[list[Observation]]:
    """Join hours, the newest first, until they have enough faces; the oldest that are left over are dropped."""
    window: list[Observation] = []
    faces = 0
    for each in reversed(hours):
        window.append(each)
        faces += each.counts.faces
        if faces >= WINDOW:
            yield window
            window, faces = [], 0
    if window and len(window) == len(hours):
        yield window
