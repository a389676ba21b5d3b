"""The audit of one call: its intent before it changes something, its outcome, and what it is counted as."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from facet.server.access import identity
from facet.server.access.share import address_of, network_of
from facet.server.audit.actions import Action, action_of, facts_of, text_at
from facet.server.audit.chain.entry import BEGUN
from facet.server.audit.protocol import OTHER_SUBJECT, Fact
from facet.server.audit.tallies import Row
from facet.server.audit.trail import AuditTrail, Begun, Who, enter
from facet.server.wire.errors import outcome_of
from gallery import names

_T = TypeVar("_T")

_DENIED = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})


class CallAudit:
    """The audit of a call that leaves nothing in the log; :class:`_Audited` does."""

    __slots__ = ()

    def admitted(self) -> None:
        """The call's caller is known."""

    def requested(self, request: Any) -> None:
        """A request of the call has arrived, and its caller may make it."""

    def refused(self, request: Any) -> None:
        """A request of the call has arrived, and its caller may not make it."""

    async def begin(self) -> None:
        """The call begins, after its first request.

        Raises:
            AuditUnavailable: it would change something, and its intent cannot be written.
        """

    async def before_change(self) -> None:
        """The call changes something now; see :func:`before_change`."""

    def answered(self, response: Any) -> None:
        """A response is sent."""

    def ended(self, code: str, reason: str) -> None:
        """The call has ended, with the name of a status code and a reason."""

    async def item(self, _request: Any, answer: Callable[[], Awaitable[_T]]) -> _T:
        """Answer one request of a stream; see :func:`item`."""
        return await answer()


NOT_AUDITED = CallAudit()
_current: ContextVar[CallAudit] = ContextVar("call_audit", default=NOT_AUDITED)


def begin_call(trail: AuditTrail | None, path: str, peer: str) -> CallAudit:
    """The audit of a call, which becomes that of the current asyncio task and its children.

    Args:
        trail: the server's; ``None`` for no audit.
        path: the method, such as ``/facet.v1.GalleryService/EnrollFace``.
        peer: the client, as gRPC names it.
    """
    if trail is None:
        return NOT_AUDITED
    call = _Audited(trail, action_of(path), address_of(peer))
    _current.set(call)
    enter(Who("", call.address))
    return call


def current() -> CallAudit:
    """The audit of the current call."""
    return _current.get()


async def item(request: Any, answer: Callable[[], Awaitable[_T]]) -> _T:
    """Answer one request of a stream, with an intent and an outcome of its own if it changes something.

    Raises:
        AuditUnavailable: its intent cannot be written.
    """
    return await _current.get().item(request, answer)


async def before_change() -> None:
    """Wait until the intent of the current call, or of its current item, is as durable as it must be.

    Raises:
        AuditUnavailable: it cannot be written, so nothing may be changed.
    """
    await _current.get().before_change()


class _Audited(CallAudit):
    __slots__ = (
        "_action",
        "_asked",
        "_begun",
        "_caller",
        "_facts",
        "_gallery",
        "_subject",
        "_trail",
        "_tried",
        "address",
    )

    def __init__(self, trail: AuditTrail, action: Action, address: str) -> None:
        self._trail = trail
        self._action = action
        self.address = address
        self._caller = self._gallery = self._subject = self._tried = ""
        self._asked: dict[str, Fact] = {}
        self._facts: dict[str, Fact] = {}
        self._begun: Begun | None = None

    def admitted(self) -> None:
        self._caller = identity.current().id
        enter(Who(self._caller, self.address))
        self._trail.tallies.log_in(self._caller, self.address)

    def requested(self, request: Any) -> None:
        action = self._action
        if action.kind == "nothing" or action.by_item:
            return
        if not self._gallery or action.each == "request":
            self._gallery = _gallery_id(text_at(request, action.gallery))
        if action.each == "request":
            self._count(action, 1)
        elif action.kind == "change" and not self._asked:
            self._subject = self._subject or _subject_id(text_at(request, action.subject))
            self._asked = _asked(request, action)

    def refused(self, request: Any) -> None:
        if self._action.kind != "nothing":
            self._tried = _gallery_id(text_at(request, self._action.gallery))

    async def begin(self) -> None:
        if self._action.kind == "change" and not self._action.by_item:
            self._write_intent()
            if not self._action.is_late:
                await self.before_change()

    async def before_change(self) -> None:
        if self._begun is not None:
            await self._begun.durable()

    def answered(self, response: Any) -> None:
        action = self._action
        if action.each == "answer":
            if not response.end_of_stream:  # that one is about no frame
                self._count(action, 1)
        elif action.answered and not action.by_item:
            self._learn(facts_of(response, action.answered))

    def ended(self, code: str, reason: str) -> None:
        action = self._action
        if self._begun is not None:
            self._end(self._begun, code, reason)
        elif code in _DENIED:
            who = identity.current().id if code == "PERMISSION_DENIED" else self._caller
            row = Row("refused", who, network_of(self.address), self._tried, code, reason)
            self._trail.tallies.count(row, calls=1)
        elif action.kind == "search":
            row = Row(action.name, self._caller, self.address, self._gallery, code, reason)
            if action.each == "call" and action.counted != "calls":
                self._trail.tallies.count(row, calls=1, **{action.counted: 1})
            else:
                self._trail.tallies.count(row, calls=1)

    async def item(self, _request: Any, answer: Callable[[], Awaitable[_T]]) -> _T:
        action, request = self._action, _request
        if not action.by_item:
            return await answer()
        part = _Audited(self._trail, action, self.address)
        part._gallery = _gallery_id(text_at(request, action.gallery))
        part._subject = _subject_id(text_at(request, action.subject))
        part._asked = _asked(request, action)
        begun = part._write_intent()
        code, reason = "OK", ""
        before = _current.set(part)
        try:
            if not action.is_late:
                await begun.durable()
            response = await answer()
            part._learn(facts_of(response, action.answered))
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except Exception as error:
            code, reason = outcome_of(error)
            raise
        else:
            return response
        finally:
            _current.reset(before)
            part._end(begun, code, reason)

    def _write_intent(self) -> Begun:
        draft = self._trail.draft(self._action.name, self._gallery, self._subject, outcome=BEGUN, facts=self._asked)
        self._begun = self._trail.begin(draft)
        return self._begun

    def _learn(self, facts: dict[str, Fact]) -> None:
        """Take the facts of an answer. Ids that the server has chosen are kept as those of a request are."""
        gallery, subject = facts.pop("gallery", ""), facts.pop("subject", "")
        self._gallery = self._gallery or str(gallery)
        self._subject = self._subject or str(subject)
        self._facts = facts

    def _end(self, begun: Begun, code: str, reason: str) -> None:
        self._trail.end(begun, code, reason, gallery_id=self._gallery, subject_id=self._subject, facts=self._facts)

    def _count(self, action: Action, number: int) -> None:
        row = Row(action.name, self._caller, self.address, self._gallery)
        self._trail.tallies.count(row, **{action.counted: number})


def _asked(request: Any, action: Action) -> dict[str, Fact]:
    facts = facts_of(request, action.asked)
    if other := _subject_id(str(facts.pop(OTHER_SUBJECT, ""))):
        facts[OTHER_SUBJECT] = other
    return facts


def _gallery_id(text: str) -> str:
    """The id, if it is one: what else clients send is not kept."""
    try:
        return names.gallery_id(text)
    except names.InvalidName:
        return ""


def _subject_id(text: str) -> str:
    """The id in the form in which it is kept, if it is one."""
    try:
        return names.identifier(text) if text else ""
    except names.InvalidName:
        return ""
