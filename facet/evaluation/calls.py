"""Calls to a server: several in flight, patient where it is busy, and telling a bad picture from a lost server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from facet import (
    AsyncClient,
    DeadlineExceeded,
    FacetError,
    FailedPrecondition,
    InternalError,
    InvalidArgument,
    ResourceExhausted,
)
from facet.v1.gallery_service_pb2 import DeleteGalleryRequest

T = TypeVar("T")
R = TypeVar("R")

IN_FLIGHT = 4

OF_ONE_ITEM = (InvalidArgument, FailedPrecondition, ResourceExhausted, DeadlineExceeded, InternalError, OSError)
"""Errors that say something of one item, a picture that cannot be read among them; after any other the rest cannot be
asked either."""
UNREADABLE = "UNREADABLE"
"""The reason of a picture that cannot be read."""
TOO_LARGE = "PICTURE_TOO_LARGE"
"""The reason of a picture that has too many pixels, or does not fit in a request."""

_OVER_THE_LIMIT = "larger than max"
"""In gRPC's own words, for a request over its limit is refused before the service could give a reason."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where a run ended, because the server went away or refuses everything.

    Attributes:
        at: what was asked for, such as a picture's path.
        done: how many items were answered.
        of: how many there are.
        reason: why, in one stable word.
    """

    at: str
    done: int
    of: int
    reason: str


@dataclass(frozen=True, slots=True)
class Answers(Generic[R]):
    """What was answered.

    Attributes:
        by_item: the answers by the position of their item, in the order of the items; all of them, unless stopped.
        stopped: where the run ended; ``None`` where every item was answered.
    """

    by_item: dict[int, R]
    stopped: Stopped | None


async def all_of(
    items: Sequence[T], ask: Callable[[T], Awaitable[R]], *, name: Callable[[T], str] = str, in_flight: int = IN_FLIGHT
) -> Answers[R]:
    """Ask for all items, some at a time, until all are answered or the server goes away.

    Args:
        items: what to ask for.
        ask: asks for one; raises ``FacetError`` only where the rest cannot be asked either.
        name: what to call an item in a message.
        in_flight: how many are asked for at a time.

    Raises:
        FacetError: the server went away before it answered anything.
    """
    answers: dict[int, R] = {}
    lost: list[tuple[int, FacetError]] = []
    waiting = iter(enumerate(items))

    async def work() -> None:
        for index, item in waiting:
            if lost:
                return
            try:
                answers[index] = await ask(item)
            except FacetError as error:
                lost.append((index, error))

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(in_flight):
                tasks.create_task(work())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    if lost and not answers:
        raise lost[0][1]
    stopped = None
    if lost:
        index, error = min(lost, key=lambda each: each[0])
        stopped = Stopped(name(items[index]), len(answers), len(items), reason_of(error))
    return Answers(dict(sorted(answers.items())), stopped)


async def deleted(client: AsyncClient, gallery_id: str) -> bool:
    """Delete a gallery; whether that succeeded, for a server that went away cannot."""
    try:
        await client.galleries.DeleteGallery(DeleteGalleryRequest(gallery_id=gallery_id, force=True))
    except FacetError:
        return False
    return True


def reason_of(error: FacetError | OSError) -> str:
    """Why an item failed, in one stable word."""
    if isinstance(error, OSError):
        return UNREADABLE
    if isinstance(error, ResourceExhausted) and not error.reason and _OVER_THE_LIMIT in error.message:
        return TOO_LARGE
    return error.reason or error.code.name
