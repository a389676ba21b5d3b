"""The open calls, which end when they lose the right to go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from facet.server.errors import PermissionDenied, Unauthenticated


@dataclass(slots=True, eq=False)
class _OpenCall:
    check: Callable[[], None]
    task: asyncio.Task[Any]
    refusal: Unauthenticated | PermissionDenied | None = None


class OpenCalls:
    """The calls in progress, each with what checks its right. Use it from one event loop."""

    def __init__(self) -> None:
        self._calls: set[_OpenCall] = set()

    @contextmanager
    def entered(self, check: Callable[[], None]) -> Iterator[None]:
        """Run the body, a call of the current task, as long as it has the right.

        Args:
            check: called by :meth:`review`; raises one of the errors below when the right is gone.

        Raises:
            Unauthenticated: the credentials are not good any more.
            PermissionDenied: the caller may not make the call any more.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - every call has one
        call = _OpenCall(check, task)
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
        """End the calls that have lost their right."""
        for call in list(self._calls):
            if call.refusal is not None:
                continue
            try:
                call.check()
            except (Unauthenticated, PermissionDenied) as error:
                call.refusal = error.with_traceback(None)
                call.task.cancel()
