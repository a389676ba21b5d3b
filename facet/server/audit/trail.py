"""The audit of a running server: entries that are written now, and tallies that are written once a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Literal

from facet.server.audit.chain.entry import Draft
from facet.server.audit.chain.log import SERVER, AuditLog, LogSettings, time_text
from facet.server.audit.protocol import OTHER_SUBJECT, Fact
from facet.server.audit.tallies import Tallies
from facet.server.audit.writer import MakeDraft, Ticket, Writer
from facet.server.errors import AuditUnavailable
from gallery import times

SubjectIds = Literal["hashed", "plain"]


@dataclass(frozen=True, slots=True)
class Who:
    """Who does something.

    Attributes:
        caller: the id of the identity.
        address: the address, without its port; empty if there is none.
    """

    caller: str
    address: str = ""


_SERVER = Who(SERVER)
_who: ContextVar[Who] = ContextVar("audited", default=_SERVER)


def enter(who: Who) -> None:
    """Make somebody the one who acts in the current asyncio task and its children."""
    _who.set(who)


@dataclass(frozen=True, slots=True)
class Begun:
    """A change that has begun.

    Attributes:
        ticket: its intent.
        written: becomes whether the intent is as durable as ``fsync`` asks.
    """

    ticket: Ticket
    written: asyncio.Future[bool]

    async def durable(self) -> None:
        """Wait until the change may be made.

        Raises:
            AuditUnavailable: the intent cannot be written, so it may not.
        """
        if not await self.written:
            raise AuditUnavailable


class AuditTrail:
    """Keeps the audit log of a server.

    Args:
        settings: the log.
        fsync_seconds: how often entries are brought to disk, unless ``settings.fsync`` is ``always``.
        subject_ids: whether ids of subjects are kept as keyed hashes, or as they are.

    Attributes:
        tallies: what is counted, rather than noted one by one.
        settings: see above.

    Raises:
        AuditError: see :class:`facet.server.audit.chain.log.AuditLog`.
    """

    def __init__(
        self, settings: LogSettings, *, fsync_seconds: float = 1.0, subject_ids: SubjectIds = "hashed"
    ) -> None:
        self.settings = settings
        log = AuditLog(settings)
        self._key = log.key
        self._plain = subject_ids == "plain"
        self.tallies = Tallies()
        self.writer = Writer(log, self.tallies, fsync=settings.fsync, fsync_seconds=fsync_seconds)

    def note(self, action: str, gallery_id: str = "", subject_id: str = "", **facts: Fact) -> None:
        """See :meth:`facet.server.audit.protocol.Audit.note`."""
        self.writer.write(self.draft(action, gallery_id, subject_id, facts=facts))

    def draft(
        self,
        action: str,
        gallery_id: str = "",
        subject_id: str = "",
        *,
        outcome: str = "OK",
        reason: str = "",
        facts: Mapping[str, Fact] | None = None,
    ) -> MakeDraft:
        """What makes an entry of now, of whoever acts in the current task."""
        return partial(
            self._draft, times.now(), _who.get(), action, gallery_id, subject_id, outcome, reason, facts or {}
        )

    def begin(self, draft: MakeDraft) -> Begun:
        """Write the intent of a change, while the current task goes on; the change must wait for it."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[bool] = loop.create_future()

        def settle(is_written: bool) -> None:
            if not written.done():
                written.set_result(is_written)

        def done(is_written: bool) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, is_written)

        return Begun(self.writer.write(draft, done), written)

    def end(
        self,
        begun: Begun,
        outcome: str = "OK",
        reason: str = "",
        *,
        gallery_id: str = "",
        subject_id: str = "",
        facts: Mapping[str, Fact] | None = None,
    ) -> None:
        """Write the outcome of a change.

        Args:
            begun: the change.
            outcome: the name of the status code.
            reason: the reason of an error.
            gallery_id: the gallery, if its intent did not know it.
            subject_id: the subject, likewise.
            facts: counts and the like, by name.
        """
        make = partial(
            self._ended, begun.ticket.make, times.now(), gallery_id, subject_id, outcome, reason, facts or {}
        )
        self.writer.write(make, of=begun.ticket)

    def close(self) -> None:
        """Write what waits, and release the log."""
        self.writer.close()

    def hash_of_subject(self, subject_id: str) -> str:
        """What stands for a subject if ids are hashed."""
        return self._key.hash_of_subject(subject_id)

    def _draft(
        self,
        moment: datetime,
        who: Who,
        action: str,
        gallery_id: str,
        subject_id: str,
        outcome: str,
        reason: str,
        facts: Mapping[str, Fact],
    ) -> Draft:
        return Draft(
            time=time_text(moment),
            action=action,
            caller=who.caller,
            address=who.address,
            gallery=gallery_id,
            subject=self._subject(subject_id),
            outcome=outcome,
            reason=reason,
            facts=self._kept(facts),
        )

    def _ended(
        self,
        make: MakeDraft,
        moment: datetime,
        gallery_id: str,
        subject_id: str,
        outcome: str,
        reason: str,
        facts: Mapping[str, Fact],
    ) -> Draft:
        intent = make()
        return replace(
            intent,
            time=time_text(moment),
            gallery=intent.gallery or gallery_id,
            subject=intent.subject or self._subject(subject_id),
            outcome=outcome,
            reason=reason,
            facts=self._kept(facts),
        )

    def _kept(self, facts: Mapping[str, Fact]) -> Mapping[str, Fact]:
        other = facts.get(OTHER_SUBJECT)
        return facts if other is None else {**facts, OTHER_SUBJECT: self._subject(str(other))}

    def _subject(self, subject_id: str) -> str:
        return subject_id if self._plain or not subject_id else self.hash_of_subject(subject_id)
