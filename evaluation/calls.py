"""Calls to a server: several in flight, patient where it is busy, and telling a bad picture from a lost server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

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
_ATTEMPTS = 60

OF_ONE_ITEM = (InvalidArgument, FailedPrecondition, ResourceExhausted, DeadlineExceeded, InternalError)
"""Errors that say something of one request; after any other the rest cannot be asked either."""


async def all_of(items: Sequence[T], ask: Callable[[T], Awaitable[R]]) -> list[R]:
    """Ask for all items, :data:`IN_FLIGHT` at a time; the answers in the order of the items.

    Raises:
        FacetError: what the first call to fail raised; the others are cancelled.
    """
    answers: dict[int, R] = {}
    waiting = iter(enumerate(items))

    async def work() -> None:
        for index, item in waiting:
            answers[index] = await ask(item)

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(work())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return [answers[index] for index in range(len(items))]


async def patiently(call: Callable[[], Awaitable[R]]) -> R:
    """Make a call, again where the server was busy with others: being busy says nothing of how well it recognises.

    Raises:
        FacetError: it failed for another reason, or the server is busy all the time.
    """
    for _ in range(_ATTEMPTS):
        try:
            return await call()
        except ResourceExhausted as error:
            await asyncio.sleep(_pause(error))
    return await call()


def patiently_blocking(call: Callable[[], R]) -> R:
    """As :func:`patiently`, for a program that waits for each answer."""
    for _ in range(_ATTEMPTS):
        try:
            return call()
        except ResourceExhausted as error:
            time.sleep(_pause(error))
    return call()


def _pause(error: ResourceExhausted) -> float:
    """Seconds until the server may have room; raises the error where it is about the request and waiting is vain."""
    if error.retry_after is None:
        raise error
    return error.retry_after


def reason_of(error: FacetError) -> str:
    """Why an item failed, in one stable word."""
    return error.reason or error.code.name
