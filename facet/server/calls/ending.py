"""Ends a call at once, with its stream: what gRPC's asyncio server offers for no call."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

_Coroutine: TypeAlias = Coroutine[Any, Any, Any] | Generator[Any, None, Any]

_HANDLER = "_handle_exceptions"
"""The coroutine of gRPC that runs a handler. The task that starts it waits for the call's end, and keeps it open."""


class CallTasks:
    """The two asyncio tasks of each call: one runs its handler, and one waits until the client has taken its status.

    A client that does not read keeps the second one waiting for ever, and with it the call's memory. When both tasks
    are cancelled, gRPC drops the call and resets its stream.
    """

    def __init__(self) -> None:
        self._watching: WeakKeyDictionary[asyncio.Task[Any], asyncio.Task[Any]] = WeakKeyDictionary()

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Learn the tasks of all calls that start on this loop."""
        loop.set_task_factory(self._create)

    def end(self, handler: asyncio.Task[Any]) -> None:
        """End the call that a task handles, without a status if none has been sent."""
        watching = self._watching.get(handler)
        if watching is not None:
            # If the client has left, the second task waits for the first. gRPC prints a traceback if it is cancelled
            # just when the first is done, so it may learn that before.
            loop = handler.get_loop()
            handler.add_done_callback(lambda _: loop.call_soon(watching.cancel))
        handler.cancel()

    def _create(self, loop: asyncio.AbstractEventLoop, coroutine: _Coroutine, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
        if getattr(coroutine, "__name__", "") == _HANDLER and (parent := asyncio.current_task(loop)) is not None:
            self._watching[task] = parent
        return task
