"""Runs every call: authenticates, bounds and observes it, turns errors into statuses, and logs one line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, TypeAlias

import structlog
from google.rpc.status_pb2 import Status

from facet.server.access import identity, share
from facet.server.access.access import Access
from facet.server.access.grants import Grant
from facet.server.access.limits import CallerLimits
from facet.server.audit.call import begin_call
from facet.server.audit.trail import AuditTrail
from facet.server.calls.byte_budget import ByteBudget
from facet.server.calls.ending import CallTasks
from facet.server.calls.health import Refused
from facet.server.calls.messages import Context, Messages
from facet.server.calls.method import Method
from facet.server.calls.pace import Paces
from facet.server.calls.places import Arrivals, Places
from facet.server.calls.refusals import Refusal, Refusals
from facet.server.calls.strangers import Strangers
from facet.server.config import ServerConfig
from facet.server.errors import ServerError, ShuttingDown, TransferStalled, Unauthenticated, UnknownMethod
from facet.server.memory_return import MemoryReturn
from facet.server.observability.telemetry import Observed, Telemetry
from facet.server.tls.clients import Clients
from facet.server.wire.errors import ROOTS, internal, outcome_of, to_status
from gallery.times import new_id

Answer: TypeAlias = Callable[[Messages, Context], Awaitable[bytes | None]]
"""Serves a call whose first request has been read. Returns the encoded response of a method that has one."""

_MAX_ARRIVALS = 256
"""Calls that may be open without having sent their request."""
_MAX_CHECKS, _MAX_WATCHES = 16, 64
"""The same for health checks, and health watches. They need no places of others, and are answered whatever the load."""
_MAX_HEALTH_BYTES = 1 << 20
_UNKNOWN = "unknown"
"""The name of all methods that do not exist: clients choose theirs."""
_STALLED_STATUS_SECONDS = 1.0
"""Time for a client that has already stalled to read its status."""

_log = structlog.get_logger("facet.call")


class Calls:
    """The calls of a server.

    Args:
        config: the limits on calls.
        access: who may call.
        limits: how much each caller may call.
        telemetry: observes each call.
        slow_seconds: a unary call that takes longer is logged as a warning with its stages.
        clients: whose certificates are good; by default, clients need none.
        audit: notes who did what; ``None`` for no audit.

    Attributes:
        arrivals: the calls whose request has not arrived.
        budget: the bytes of requests in progress.
        tasks: the asyncio tasks of calls.
    """

    def __init__(
        self,
        config: ServerConfig,
        access: Access,
        limits: CallerLimits,
        telemetry: Telemetry,
        *,
        slow_seconds: float,
        clients: Clients | None = None,
        audit: AuditTrail | None = None,
    ) -> None:
        self._access = access
        self._limits = limits
        self._clients = clients or Clients(None)
        self._audit = audit
        self._strangers = Strangers()
        self._refusals = Refusals()
        self._telemetry = telemetry
        self._receive_seconds, self._stall_seconds = config.receive_seconds, config.stall_seconds
        self._slow_seconds = slow_seconds
        self._max_bytes = config.max_message_bytes
        self._paces = Paces(config.stall_seconds, config.min_transfer_bytes_per_second)
        self._open = 0
        self._idle = asyncio.Event()
        self._draining = False
        self.tasks = CallTasks()
        self.budget = ByteBudget(config.request_budget, MemoryReturn().freed)
        self._health_budget = ByteBudget(_MAX_HEALTH_BYTES)
        self.arrivals, self._health_arrivals = Arrivals(_MAX_ARRIVALS), Arrivals(_MAX_CHECKS)
        self._unary = Places(config.max_concurrent_calls, preemptive=False, end=self.tasks.end)
        self._streams = Places(config.max_concurrent_calls, preemptive=True, end=self.tasks.end)
        self._checks = Places(_MAX_CHECKS, preemptive=False, end=self.tasks.end)
        self._watches = Places(_MAX_WATCHES, preemptive=True, end=self.tasks.end)

    @property
    def open(self) -> int:
        """The number of calls in progress, without health checks."""
        return self._open

    async def drain(self, seconds: float) -> None:
        """Refuse new calls, and wait at most this long for those in progress. Transfers that trickle end soon."""
        self._draining = True
        self.arrivals.close()
        self._paces.drain()
        if self._open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)
        self._strangers.tell()

    async def run(self, method: Method, answer: Answer, context: Context) -> bytes | Refusal | None:
        """Run a call to its end.

        Args:
            method: its method.
            answer: serves it.
            context: the call.

        Returns:
            the encoded response of a method that has one, or what a call that failed is answered, and when.
        """
        who, metadata = share.enter(context.peer()), context.invocation_metadata()
        observed = self._telemetry.observe(method.name, is_stream=method.is_stream, parent=_traceparent(metadata))
        audit = begin_call(self._audit, method.path, context.peer())
        request_id = new_id()
        log = _log.bind(method=method.path.removeprefix("/facet.v1."), request_id=request_id)
        seconds = self._stall_seconds if method.is_stream else self._receive_seconds
        try:
            grant = await self._access.admit(method.path, context)
            who = share.current()
            log = log if grant.identity.is_shared else log.bind(caller=grant.identity.id)
            messages = self._messages(context, method, self.budget, grant)
            limited = self._limits.entered(grant, context.peer())
            with self._access.open(grant), self._clients.admitted(context), limited, closing(messages):
                audit.admitted()
                async with self.arrivals.limit(who, seconds, messages):
                    await messages.read_first()
                observed.received()
                async with (self._streams if method.is_stream else self._unary).entered(who):
                    with self._counted():
                        await audit.begin()
                        return await answer(messages, context)
        except asyncio.CancelledError:
            observed.cancelled()
            raise
        except Exception as error:
            if context.done() and not isinstance(error, Unauthenticated):  # the client is gone; sending failed
                observed.cancelled()
                return None
            observed.failed(error)
            status = to_status(error)
            if status is None:
                log.exception("call failed")
                status = internal(request_id)
            if isinstance(error, TransferStalled):
                seconds = _STALLED_STATUS_SECONDS
            refusal = self._refusals.refuse(
                who, status, is_stranger=_is_stranger(error), after_work=bool(observed.stopwatch.laps())
            )
            seconds += refusal.delay
            return refusal
        finally:
            audit.ended(observed.code, observed.reason)
            self._end_within(seconds)
            self._log_end(log, observed, is_stream=method.is_stream)

    async def refuse_unknown(self, context: Context) -> Refusal:
        """Answer a call of a method that does not exist."""
        who = share.enter(context.peer())
        observed = self._telemetry.observe(_UNKNOWN, is_stream=False)
        audit = begin_call(self._audit, _UNKNOWN, context.peer())
        error: ServerError = UnknownMethod()
        try:
            with self._clients.admitted(context):
                await self._access.admit(_UNKNOWN, context)
        except ServerError as refused:
            error = refused
        observed.failed(error)
        audit.ended(observed.code, observed.reason)
        refusal = self._refusals.refuse(who, _expected(error), is_stranger=_is_stranger(error))
        self._end_within(self._receive_seconds + refusal.delay)
        self._log_end(_log.bind(method=_UNKNOWN), observed, is_stream=False)
        return refusal

    async def run_health(self, method: Method, answer: Answer, context: Context) -> bytes | Refusal | None:
        """The same for the health service: apart from other calls, not observed, and also while the server drains."""
        who = share.enter(context.peer())
        audit = begin_call(self._audit, method.path, context.peer())
        places = self._watches if method.is_stream else self._checks
        seconds = self._receive_seconds
        try:
            grant = await self._access.admit(method.path, context)
            who = share.current()
            messages = self._messages(context, method, self._health_budget, grant)
            with self._access.open(grant), self._clients.admitted(context), closing(messages):
                async with self._health_arrivals.limit(who, self._receive_seconds, messages):
                    await messages.read_first()
                async with places.entered(who):
                    return await answer(messages, context)
        except (Refused, *ROOTS) as error:
            if not isinstance(error, Refused):
                self._telemetry.metrics.refused(method.name, error.reason)
                audit.ended(*outcome_of(error))
            status = error.status if isinstance(error, Refused) else _expected(error)
            refusal = self._refusals.refuse(who, status, is_stranger=_is_stranger(error))
            seconds += refusal.delay
            return refusal
        finally:
            self._end_within(seconds)

    def _messages(self, context: Context, method: Method, budget: ByteBudget, grant: Grant) -> Messages:
        return Messages(
            context,
            method,
            budget,
            share.current(),
            grant,
            max_bytes=self._max_bytes,
            stall_seconds=self._stall_seconds,
            pace=self._paces.begin(),
        )

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count the call as open."""
        if self._draining:
            raise ShuttingDown
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            if self._draining and not self._open:
                self._idle.set()

    def _end_within(self, seconds: float) -> None:
        """End the current call unless its client takes the answer in time, because it keeps its place until then."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - every call has one
        timer = asyncio.get_running_loop().call_later(seconds, self.tasks.end, task)
        task.add_done_callback(lambda _: timer.cancel())

    def _log_end(self, log: Any, observed: Observed, *, is_stream: bool) -> None:
        seconds = observed.ended()
        if observed.reason == Unauthenticated.reason and not self._strangers.note():
            return
        fields: dict[str, Any] = {"code": observed.code, "ms": round(seconds * 1e3, 1)}
        if not (who := identity.current()).is_shared:
            fields["caller"] = who.id
        if observed.reason:
            fields["reason"] = observed.reason
        if is_stream or seconds < self._slow_seconds:
            log.info("call", **fields)
        else:
            stages = {f"{stage}_ms": round(taken * 1e3, 1) for stage, taken in observed.stopwatch.seconds().items()}
            log.warning("call", **fields, **stages)


def _expected(error: Exception) -> Status:
    status = to_status(error)
    assert status is not None  # noqa: S101 - all expected errors have one
    return status


def _is_stranger(error: Exception) -> bool:
    """Whether a call was refused because it lacks the token."""
    return isinstance(error, Unauthenticated)


def _traceparent(metadata: Any) -> str:
    return next((value for key, value in metadata or () if key == "traceparent"), "")
