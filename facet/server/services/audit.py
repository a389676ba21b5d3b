"""Reads the audit log for ListAuditEntries."""

from __future__ import annotations

import asyncio
import json
import re
from functools import partial
from typing import TYPE_CHECKING

from facet.server.access import identity
from facet.server.audit.reading import Position, Wanted, page
from facet.server.errors import AuditUnavailable, NoAuditLog
from facet.server.wire import validate
from facet.v1 import server_service_pb2 as pb
from gallery.errors import InvalidPageToken
from gallery.names import MAX_ID
from gallery.times import from_microseconds

if TYPE_CHECKING:
    from datetime import datetime

    from google.protobuf.timestamp_pb2 import Timestamp

    from facet.server.audit.chain.entry import Entry
    from facet.server.audit.trail import AuditTrail

_PAGE_BYTES = 4 * 2**20
"""Bytes of the log that are read for a page: about a tenth of a second of a core."""
_TOKEN = re.compile(r"(\d{1,18})-(\d{1,18})")


class AuditEntries:
    """Answers with entries of the audit log. One page is read at a time.

    Args:
        trail: the audit of the server; ``None`` if there is none.
    """

    def __init__(self, trail: AuditTrail | None) -> None:
        self._trail = trail
        self._reading = asyncio.Lock()

    async def list(self, request: pb.ListAuditEntriesRequest) -> pb.ListAuditEntriesResponse:
        """Read a page.

        Raises:
            NoAuditLog: there is no log.
            InvalidField: a field is out of range.
            InvalidPageToken: the token is malformed.
            AuditUnavailable: the log cannot be read.
        """
        trail = self._trail
        if trail is None:
            raise NoAuditLog
        size, start = validate.page_size(request.page_size), _position(request.page_token)
        task = partial(
            page, trail.settings.folder, self._wanted(request, trail), start, most=size, most_bytes=_PAGE_BYTES
        )
        async with self._reading:
            try:
                found = await asyncio.to_thread(task)
            except OSError:
                raise AuditUnavailable("the audit log cannot be read now") from None
        following = found.following
        token = "" if following is None else f"{following.seq}-{following.offset}"
        return pb.ListAuditEntriesResponse(entries=map(_message, found.entries), next_page_token=token)

    def _wanted(self, request: pb.ListAuditEntriesRequest, trail: AuditTrail) -> Wanted:
        galleries = identity.current().galleries
        for field in ("caller", "action"):
            validate.at_most(getattr(request, field), MAX_ID, field)
        subject_id = validate.subject_id(request.subject_id) if request.subject_id else ""
        return Wanted(
            since=_moment(request.since, "since") if request.HasField("since") else None,
            until=_moment(request.until, "until") if request.HasField("until") else None,
            caller=request.caller,
            gallery=validate.gallery_id(request.gallery_id) if request.gallery_id else "",
            subjects=(subject_id, trail.hash_of_subject(subject_id)) if subject_id else (),
            action=request.action,
            permits=lambda gallery: galleries.are_all or (bool(gallery) and galleries.allows(gallery)),
        )


def _position(token: str) -> Position:
    if not token:
        return Position()
    if not (found := _TOKEN.fullmatch(token)):
        raise InvalidPageToken
    return Position(int(found[1]), int(found[2]))


def _moment(value: Timestamp, field: str) -> datetime:
    validate.moment(value, field)
    return from_microseconds(value.seconds * 1_000_000 + value.nanos // 1000)


def _message(entry: Entry) -> pb.AuditEntry:
    draft = entry.draft
    return pb.AuditEntry(
        seq=entry.seq,
        time=draft.time,
        caller=draft.caller,
        address=draft.address,
        action=draft.action,
        gallery=draft.gallery,
        subject=draft.subject,
        outcome=draft.outcome,
        reason=draft.reason,
        intent=draft.intent,
        facts={name: json.dumps(value) for name, value in draft.facts.items()},
        prev=entry.prev,
        hash=entry.hash,
        mac=entry.mac,
    )
