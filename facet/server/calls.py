"""Runs every call: authenticates and observes it, turns errors into statuses, and logs one line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NoReturn, TypeAlias

import grpc
import structlog
from google.rpc.status_pb2 import Status

from facet.server.access import caller
from facet.server.access.authentication import Authenticator
from facet.server.errors import ShuttingDown, TransferStalled
from facet.server.observability.telemetry import Observed, Telemetry
from facet.server.wire.errors import internal, to_status, trailing_metadata
from gallery.times import new_id

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_STALLED_STATUS_SECONDS = 1.0
"""Time for a client that has already stalled to read its status."""
_CODES = {code.value[0]: code for code in grpc.StatusCode}

_log = structlog.get_logger("facet.call")


class Calls:
    """The calls of a server.

    Args:
        authenticator: checks each call.
        telemetry: observes each call.
        stall_seconds: time for a client to read the status of a failed call.
        slow_seconds: a unary call that takes longer is logged as a warning with its stages.
    """

    def __init__(
        self, authenticator: Authenticator, telemetry: Telemetry, *, stall_seconds: float, slow_seconds: float
    ) -> None:
        self._authenticator = authenticator
        self._telemetry = telemetry
        self._stall_seconds = stall_seconds
        self._slow_seconds = slow_seconds
        self._open = 0
        self._draining = False
        self._idle = asyncio.Event()

    @property
    def open(self) -> int:
        """The number of calls in progress."""
        return self._open

    async def drain(self, seconds: float) -> None:
        """Refuse new calls, and wait at most this long for those in progress."""
        self._draining = True
        if self._open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)

    async def run(self, answer: Callable[[], Awaitable[Any]], context: Context, method: str, *, is_stream: bool) -> Any:
        """Run a call to its end; an error becomes its status.

        Args:
            answer: serves the call; what it returns is the response.
            context: the call.
            method: its full name, ``/facet.v1.Service/Method``.
            is_stream: whether it streams requests or responses.
        """
        metadata = context.invocation_metadata()
        observed = self._telemetry.observe(
            method.rpartition("/")[2], is_stream=is_stream, parent=_traceparent(metadata)
        )
        caller.enter(context.peer())
        request_id = new_id()
        log = _log.bind(method=method.removeprefix("/facet.v1."), request_id=request_id)
        self._open += 1
        try:
            self._admit(metadata)
            return await answer()
        except asyncio.CancelledError:
            observed.cancelled()
            raise
        except Exception as error:
            if context.done():  # the client is gone; sending the answer is what failed
                observed.cancelled()
                return None
            observed.failed(error)
            status = to_status(error)
            if status is None:
                log.exception("call failed")
                status = internal(request_id)
            await self._abort(context, status, error)
        finally:
            self._open -= 1
            if self._draining and not self._open:
                self._idle.set()
            self._log_end(log, observed, is_stream=is_stream)

    def _admit(self, metadata: Any) -> None:
        self._authenticator.authenticate(metadata)
        if self._draining:
            raise ShuttingDown

    async def _abort(self, context: Context, status: Status, error: Exception) -> None:
        # The status comes after the messages already written. A client that does not read them does not read the
        # status either, so the call ends without one.
        seconds = _STALLED_STATUS_SECONDS if isinstance(error, TransferStalled) else self._stall_seconds
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await abort(context, status)

    def _log_end(self, log: Any, observed: Observed, *, is_stream: bool) -> None:
        seconds = observed.ended()
        fields: dict[str, Any] = {"code": observed.code, "ms": round(seconds * 1e3, 1)}
        if is_stream or seconds < self._slow_seconds:
            log.info("call", **fields)
        else:
            stages = {f"{stage}_ms": round(taken * 1e3, 1) for stage, taken in observed.stopwatch.seconds().items()}
            log.warning("call", **fields, **stages)


async def abort(context: Context, status: Status) -> NoReturn:
    """End a call with a status and its details."""
    await context.abort(_CODES[status.code], status.message, trailing_metadata=trailing_metadata(status))


def _traceparent(metadata: Any) -> str:
    return next((value for key, value in metadata or () if key == "traceparent"), "")
