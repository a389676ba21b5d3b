"""Concurrent calls to a server; an error of one item is kept apart from a server that went away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from facet import (
    DeadlineExceeded,
    FacetError,
    FailedPrecondition,
    InternalError,
    InvalidArgument,
    ResourceExhausted,
)

T = TypeVar("T")
R = TypeVar("R")

IN_FLIGHT = 4
"""Concurrent calls."""
ITEM_ERRORS = (InvalidArgument, FailedPrecondition, ResourceExhausted, DeadlineExceeded, InternalError, OSError)
"""Errors that concern one item, including a picture that cannot be read. Any other error ends the run."""
UNREADABLE = "UNREADABLE"
"""The reason for a picture that cannot be read."""
TOO_LARGE = "PICTURE_TOO_LARGE"
"""The reason for a picture that has too many pixels or does not fit into a request."""

_MESSAGE_TOO_LARGE = "larger than max"
"""Part of gRPC's own message: it refuses a request over its limit before the service can give a reason."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where a run ended because the server went away or refused to continue.

    Attributes:
        at: the item, such as the path of a picture.
        done: number of answered items.
        of: number of all items.
        reason: the stable reason.
    """

    at: str
    done: int
    of: int
    reason: str


@dataclass(frozen=True, slots=True)
class Answers(Generic[R]):
    """The answers of a run.

    Attributes:
        by_item: the answers by the index of their item, rising; all items unless the run stopped.
        stopped: where the run ended; ``None`` if all items were answered.
    """

    by_item: dict[int, R]
    stopped: Stopped | None


async def call_all(
    items: Sequence[T], call: Callable[[T], Awaitable[R]], *, name: Callable[[T], str] = str, in_flight: int = IN_FLIGHT
) -> Answers[R]:
    """Make one call per item, several at a time, until all are answered or the server goes away.

    Args:
        items: the items.
        call: makes the call for an item. A ``FacetError`` that it raises ends the run.
        name: names an item in a message.
        in_flight: number of concurrent calls.

    Raises:
        FacetError: the server went away before it answered anything.
    """
    answers: dict[int, R] = {}
    failures: list[tuple[int, FacetError]] = []
    remaining = iter(enumerate(items))

    async def work() -> None:
        for index, item in remaining:
            if failures:
                return
            try:
                answers[index] = await call(item)
            except FacetError as error:
                failures.append((index, error))

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(in_flight):
                tasks.create_task(work())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    if failures and not answers:
        raise failures[0][1]
    stopped = None
    if failures:
        index, error = min(failures, key=lambda failure: failure[0])
        stopped = Stopped(name(items[index]), len(answers), len(items), reason_of(error))
    return Answers(dict(sorted(answers.items())), stopped)


def reason_of(error: FacetError | OSError) -> str:
    """The stable reason for the failure of an item."""
    if isinstance(error, OSError):
        return UNREADABLE
    if isinstance(error, ResourceExhausted) and not error.reason and _MESSAGE_TOO_LARGE in error.message:
        return TOO_LARGE
    return error.reason or error.code.name
