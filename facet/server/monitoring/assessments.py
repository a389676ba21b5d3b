"""What searches looked like, the errors and changes that they show, and since when they are usual."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from facet.server.background import on_a_thread
from facet.server.errors import InvalidField
from facet.server.wire import validate
from facet.server.wire.observations import drift_message, interval, observation
from facet.server.wire.terms import timestamp
from facet.v1 import observations_pb2 as pb
from gallery.errors import InvalidPageToken
from gallery.estimation.estimates import MAX_SHARE_WIDTH, estimate
from gallery.estimation.observation_history import MAX_LOOK_BACK, Period
from gallery.galleries import Galleries
from gallery.names import MAX_ID
from gallery.observations.records import HOUR, start_of, total
from gallery.pages import last_id, page_of
from gallery.records.galleries import Gallery
from gallery.records.identifications import Decision
from gallery.times import EARLIEST, LATEST, from_microseconds, to_microseconds

DEFAULT_PERIOD = timedelta(days=1)
_SEPARATOR = " "


class Assessments:
    """Reads the observations of galleries for callers.

    Args:
        galleries: the galleries.
        flush: stores what was counted until now.
        forget: forgets how a source, or all of a gallery if it is empty, was compared before.
    """

    def __init__(self, galleries: Galleries, flush: Callable[[], None], forget: Callable[[str, str], None]) -> None:
        self._galleries = galleries
        self._forget = forget
        self._history = galleries.observations
        self._flush = flush
        self._assessing = asyncio.Lock()

    async def observations(self, request: pb.ListObservationsRequest) -> pb.ListObservationsResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id)
        source = _source(request.source)
        since = _moment(request.since, "since") if request.HasField("since") else EARLIEST
        until = _moment(request.until, "until") if request.HasField("until") else LATEST
        size = validate.page_size(request.page_size)
        scope = ("observations", gallery_id, source, str(to_microseconds(since)), str(to_microseconds(until)))
        after = _place(last_id(request.page_token, scope=scope))

        def read() -> pb.ListObservationsResponse:
            if after is None:
                self._flush()
            found = self._history.log.find(
                gallery_id, since=since, until=until, source=source, after=after, limit=size + 1
            )
            ids = [f"{to_microseconds(each.start)}{_SEPARATOR}{each.source}" for each in found]
            page = page_of(found, ids, page_size=size, scope=scope)
            return pb.ListObservationsResponse(
                observations=map(observation, page.items), next_page_token=page.next_page_token
            )

        return await asyncio.to_thread(read)

    async def assess(self, request: pb.AssessGalleryRequest) -> pb.AssessGalleryResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id)
        until = _moment(request.until, "until") if request.HasField("until") else self._galleries.clock()
        if until < EARLIEST + MAX_LOOK_BACK:
            raise InvalidField("until", f"must be at least {MAX_LOOK_BACK.days} days after {EARLIEST:%Y-%m-%d}")
        since = _moment(request.since, "since") if request.HasField("since") else None
        reference = _reference(request)
        if since is not None and since >= until:
            raise InvalidField("since", "must be before until")
        stopping = threading.Event()

        def read() -> pb.AssessGalleryResponse:
            self._flush()
            gallery = self._galleries.get_gallery(gallery_id)
            first = since or max(until - DEFAULT_PERIOD, self._history.reference_since(gallery, ""))
            first = min(start_of(first, HOUR), until)  # no whole hour may have passed since a switch of the model
            response = pb.AssessGalleryResponse(
                threshold=gallery.threshold, since=timestamp(first), until=timestamp(until)
            )
            for source in self._history.sources(gallery_id, since=first):
                if stopping.is_set():
                    break
                if reference is None:
                    of_reference = self._history.default_reference(gallery, source)
                else:
                    of_reference = self._history.period(gallery_id, source, since=reference[0], until=reference[1])
                response.sources.append(self._assess(gallery, source, first, until, of_reference))
            return response

        async with self._assessing:
            return await on_a_thread(read, stopping.set)

    async def begin_reference(self, request: pb.BeginReferencePeriodRequest) -> pb.BeginReferencePeriodResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id)
        source = _source(request.source)
        moment = self._galleries.clock()
        start = _moment(request.start_time, "start_time") if request.HasField("start_time") else moment
        if start > moment:
            raise InvalidField("start_time", "must not be in the future")

        def begin() -> None:
            self._flush()
            if source and source not in self._history.sources(gallery_id, since=EARLIEST):
                raise InvalidField(
                    "source", f"{source!r} has no faces in this gallery; AssessGallery lists the sources"
                )
            self._history.begin_reference(gallery_id, source, start)
            self._forget(gallery_id, source)

        await asyncio.to_thread(begin)
        return pb.BeginReferencePeriodResponse(start_time=timestamp(start))

    def _assess(
        self, gallery: Gallery, source: str, since: datetime, until: datetime, of_reference: Period
    ) -> pb.SourceAssessment:
        period = self._history.period(gallery.gallery_id, source, since=since, until=until)
        counts = total(each.counts for each in period.hours)
        estimated = estimate(
            counts,
            gallery.calibration,
            threshold=gallery.threshold,
            contract=gallery.contract,
            mean_of_best=gallery.mean_of_best,
        )
        compared = self._history.compare(gallery.gallery_id, source, of_reference, until=until)
        return pb.SourceAssessment(
            source=source,
            faces=counts.faces,
            matches=counts.decisions[Decision.MATCH],
            refused=counts.decisions[Decision.REFUSED],
            undecoded=counts.undecoded,
            unknown_share=interval(estimated.unknown_share, MAX_SHARE_WIDTH),
            fpir=interval(estimated.fpir),
            fnir=interval(estimated.fnir),
            no_estimate="" if estimated.reason is None else estimated.reason.value,
            drift=drift_message(compared),
        )


def _reference(request: pb.AssessGalleryRequest) -> tuple[datetime, datetime] | None:
    """The reference period that a request chooses; ``None`` for the default."""
    if request.HasField("reference_since") != request.HasField("reference_until"):
        raise InvalidField("reference_until", "must be set if reference_since is, and only then")
    if not request.HasField("reference_since"):
        return None
    since = _moment(request.reference_since, "reference_since")
    until = _moment(request.reference_until, "reference_until")
    if since >= until:
        raise InvalidField("reference_since", "must be before reference_until")
    return since, until


def _moment(value: Timestamp, field: str) -> datetime:
    return from_microseconds(int(validate.moment(value, field) * 1e6))


def _source(value: str) -> str:
    if len(value) > MAX_ID + len("camera:"):
        raise InvalidField("source", f"must have at most {MAX_ID + len('camera:')} characters")
    return value


def _place(last: str) -> tuple[datetime, str] | None:
    """Start and source after which a page begins."""
    if not last:
        return None
    start, _, source = last.partition(_SEPARATOR)
    try:
        return from_microseconds(int(start)), source
    except (ValueError, OverflowError) as error:
        raise InvalidPageToken from error
