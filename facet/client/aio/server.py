"""The methods of ServerService and of the standard health service."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime

from google.protobuf.wrappers_pb2 import StringValue

from facet.client.aio.calls import download, pages
from facet.client.aio.connection import Connection
from facet.client.health import ServingStatus
from facet.client.requests import timestamp_of
from facet.v1 import server_service_pb2 as pb


class ServerMethods(Connection):
    """Ask what is running, and whether it serves."""

    async def get_server_info(self, *, timeout: float | None = None) -> pb.GetServerInfoResponse:
        """Return version, models, embedding contract, limits and latencies of the server.

        Args:
            timeout: seconds the call may take; ``None`` for the client's.
        """
        return await self.server.GetServerInfo(pb.GetServerInfoRequest(), timeout=timeout)

    async def list_audit_entries(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        caller: str = "",
        gallery_id: str = "",
        subject_id: str = "",
        action: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> pb.ListAuditEntriesResponse:
        """Return a page of the audit log; :meth:`iter_audit_entries` returns them all.

        Args:
            since: the earliest time, with a time zone; ``None`` for any.
            until: the time before which the entries were written, with a time zone; ``None`` for any.
            caller: the id of the caller, such as ``key:...``; empty for all.
            gallery_id: the gallery; empty for all.
            subject_id: the subject; empty for all.
            action: what was done, such as ``enrolled``; empty for all.
            page_size: the most entries to return, 1 to 1000; 0 for 100. There may be fewer although more follow.
            page_token: ``next_page_token`` of the page before; empty for the first page.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the server keeps no audit log.
        """
        request = pb.ListAuditEntriesRequest(
            since=None if since is None else timestamp_of(since),
            until=None if until is None else timestamp_of(until),
            caller=caller,
            gallery_id=gallery_id,
            subject_id=subject_id,
            action=action,
            page_size=page_size,
            page_token=page_token,
        )
        return await self.server.ListAuditEntries(request, timeout=timeout)

    async def iter_audit_entries(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        caller: str = "",
        gallery_id: str = "",
        subject_id: str = "",
        action: str = "",
        page_size: int = 0,
        timeout: float | None = None,
    ) -> AsyncIterator[pb.AuditEntry]:
        """Iterate over the audit log. Pages are asked for as they are needed.

        Args:
            since: the earliest time, with a time zone; ``None`` for any.
            until: the time before which the entries were written, with a time zone; ``None`` for any.
            caller: the id of the caller, such as ``key:...``; empty for all.
            gallery_id: the gallery; empty for all.
            subject_id: the subject; empty for all.
            action: what was done, such as ``enrolled``; empty for all.
            page_size: entries a page, 1 to 1000; 0 for 100.
            timeout: seconds the call for a page may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the server keeps no audit log.
        """
        async for page in pages(
            lambda token: self.list_audit_entries(
                since=since,
                until=until,
                caller=caller,
                gallery_id=gallery_id,
                subject_id=subject_id,
                action=action,
                page_size=page_size,
                page_token=token,
                timeout=timeout,
            )
        ):
            for entry in page.entries:
                yield entry

    async def check_health(self, service: str = "", *, timeout: float | None = None) -> ServingStatus:
        """Ask whether the server serves. This call needs no token.

        Args:
            service: the full name of a service; empty for the server as a whole.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            NotFound: the server has no such service.
        """
        answer = await self._health.check(StringValue(value=service), timeout=timeout)
        return ServingStatus(answer.value)

    async def watch_health(
        self, service: str = "", *, timeout: float | None = None
    ) -> AsyncGenerator[ServingStatus, None]:
        """Report whether the server serves, now and whenever that changes.

        Args:
            service: the full name of a service; empty for the server as a whole.
            timeout: seconds to watch; ``None`` for no limit.
        """
        async with aclosing(download(self._health.watch, StringValue(value=service), timeout)) as answers:
            async for answer in answers:
                yield ServingStatus(answer.value)
