"""The open calls, which end when their callers lose the right to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from facet.server.access.grants import Grant
from facet.server.errors import PermissionDenied, Unauthenticated


@dataclass(slots=True, eq=False)
class _OpenCall:
    grant: Grant
    task: asyncio.Task[Any]
    refusal: Unauthenticated | PermissionDenied | None = None


class OpenCalls:
    """The calls in progress, with what they were granted. Use it from one event loop."""

    def __init__(self) -> None:
        self._calls: set[_OpenCall] = set()

    @contextmanager
    def entered(self, grant: Grant) -> Iterator[None]:
        """Run the body, a call of the current task, as long as the caller may make it.

        Raises:
            Unauthenticated: the credentials expired, or were revoked or replaced.
            PermissionDenied: the caller has lost the method's scope, or a gallery that the call uses.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - every call has one
        call = _OpenCall(grant, task)
        self._calls.add(call)
        try:
            yield
        except asyncio.CancelledError:
            if call.refusal is None:
                raise
            task.uncancel()
            raise call.refusal from None
        finally:
            self._calls.discard(call)

    def review(self) -> None:
        """End the calls whose callers may not make them any more."""
        for call in list(self._calls):
            if call.refusal is not None:
                continue
            try:
                call.grant.renew()
            except (Unauthenticated, PermissionDenied) as error:
                call.refusal = error.with_traceback(None)
                call.task.cancel()
