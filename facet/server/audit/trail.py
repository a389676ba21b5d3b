"""The audit of a running server: entries that are written now, and tallies that are written once a minute."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Literal

from facet.server.audit.entry import Draft
from facet.server.audit.log import SERVER, AuditLog, LogSettings, time_text
from facet.server.audit.protocol import Fact
from facet.server.audit.tallies import Tallies
from facet.server.audit.writer import Writer
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
        AuditError: see :class:`facet.server.audit.log.AuditLog`.
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
        intent: int = 0,
        facts: dict[str, Fact] | None = None,
    ) -> Draft:
        """An entry of now, of whoever acts in the current task."""
        who = _who.get()
        return Draft(
            time=time_text(times.now()),
            action=action,
            caller=who.caller,
            address=who.address,
            gallery=gallery_id,
            subject=self._subject(subject_id),
            outcome=outcome,
            reason=reason,
            intent=intent,
            facts=facts or {},
        )

    async def begin(self, draft: Draft) -> int:
        """Write the intent of a change; returns its number once it is as durable as ``fsync`` asks.

        Raises:
            AuditUnavailable: it cannot be written, so the change must not be made.
        """
        loop = asyncio.get_running_loop()
        written: asyncio.Future[int] = loop.create_future()

        def settle(number: int, failure: Exception | None) -> None:
            if written.cancelled():  # the change is not made
                if number:
                    self.writer.write(replace(draft, outcome="CANCELLED", intent=number, facts={}))
            elif failure is None:
                written.set_result(number)
            else:
                if number:
                    refused = replace(draft, outcome="UNAVAILABLE", reason=AuditUnavailable.reason, intent=number)
                    self.writer.write(replace(refused, facts={}))
                written.set_exception(AuditUnavailable())

        def done(number: int, failure: Exception | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, number, failure)

        self.writer.write(draft, done)
        return await written

    def close(self) -> None:
        """Write what waits, and release the log."""
        self.writer.close()

    def hash_of_subject(self, subject_id: str) -> str:
        """What stands for a subject if ids are hashed."""
        return self._key.hash_of_subject(subject_id)

    def _subject(self, subject_id: str) -> str:
        return subject_id if self._plain or not subject_id else self.hash_of_subject(subject_id)
