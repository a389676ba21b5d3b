"""The methods of GalleryService for what searches looked like, and for what follows from that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from facet.client.aio.calls import pages
from facet.client.aio.connection import Connection
from facet.client.requests import timestamp_of
from facet.v1 import observations_pb2 as pb


class ObservationMethods(Connection):
    """Read counts of searches, and the errors and drift that they show."""

    async def list_observations(
        self,
        gallery_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        source: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> pb.ListObservationsResponse:
        """Return a page of a gallery's counts by hour and source; :meth:`iter_observations` returns them all.

        Args:
            gallery_id: the gallery.
            since: only hours that begin at this time, which has a time zone, or later; ``None`` for all.
            until: only hours that begin before this time; ``None`` for all.
            source: only this camera or caller, such as ``camera:door``; empty for all.
            page_size: the most observations to return, 1 to 1000; 0 for 100.
            page_token: ``next_page_token`` of the page before; empty for the first page.
            timeout: seconds the call may take; ``None`` for the client's.
        """
        request = pb.ListObservationsRequest(
            gallery_id=gallery_id,
            since=None if since is None else timestamp_of(since),
            until=None if until is None else timestamp_of(until),
            source=source,
            page_size=page_size,
            page_token=page_token,
        )
        return await self.galleries.ListObservations(request, timeout=timeout)

    async def iter_observations(
        self,
        gallery_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        source: str = "",
        page_size: int = 0,
        timeout: float | None = None,
    ) -> AsyncIterator[pb.Observation]:
        """Iterate over a gallery's counts by hour and source. Pages are asked for as they are needed.

        Args:
            gallery_id: the gallery.
            since: only hours that begin at this time, which has a time zone, or later; ``None`` for all.
            until: only hours that begin before this time; ``None`` for all.
            source: only this camera or caller, such as ``camera:door``; empty for all.
            page_size: observations a page, 1 to 1000; 0 for 100.
            timeout: seconds the call for a page may take; ``None`` for the client's.
        """
        async for page in pages(
            lambda token: self.list_observations(
                gallery_id,
                since=since,
                until=until,
                source=source,
                page_size=page_size,
                page_token=token,
                timeout=timeout,
            )
        ):
            for observation in page.observations:
                yield observation

    async def assess_gallery(
        self,
        gallery_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        reference_since: datetime | None = None,
        reference_until: datetime | None = None,
        timeout: float | None = None,
    ) -> pb.AssessGalleryResponse:
        """Estimate a gallery's errors without labels, and compare its newest faces with a reference period.

        Args:
            gallery_id: the gallery.
            since: when the period begins whose errors are estimated, with a time zone; ``None`` for the last day, but
                not before the gallery's calibration, its switch to another model, or a new reference period of all
                sources.
            until: when it ends; ``None`` for now.
            reference_since: when the reference period begins; ``None`` for the first hours after the calibration, or
                after :meth:`begin_reference_period`.
            reference_until: when it ends; ``None`` for after 7 days and 2,000 faces.
            timeout: seconds the call may take; ``None`` for the client's.
        """
        request = pb.AssessGalleryRequest(
            gallery_id=gallery_id,
            since=None if since is None else timestamp_of(since),
            until=None if until is None else timestamp_of(until),
            reference_since=None if reference_since is None else timestamp_of(reference_since),
            reference_until=None if reference_until is None else timestamp_of(reference_until),
        )
        return await self.galleries.AssessGallery(request, timeout=timeout)

    async def begin_reference_period(
        self, gallery_id: str, source: str = "", *, start_time: datetime | None = None, timeout: float | None = None
    ) -> datetime:
        """Begin a new reference period: how faces look from then on is usual. Returns when it begins.

        Args:
            gallery_id: the gallery.
            source: the camera or caller, such as ``camera:door``; empty for all.
            start_time: the period begins with the first hour that begins at this time or later, with a time zone;
                ``None`` for now.
            timeout: seconds the call may take; ``None`` for the client's.
        """
        request = pb.BeginReferencePeriodRequest(
            gallery_id=gallery_id, source=source, start_time=None if start_time is None else timestamp_of(start_time)
        )
        response = await self.galleries.BeginReferencePeriod(request, timeout=timeout)
        return response.start_time.ToDatetime(UTC)
