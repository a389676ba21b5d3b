"""Either client, called the same way."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from facet import AsyncClient, Client

if TYPE_CHECKING:
    from tests.conftest import Serving

Call = Callable[..., Awaitable[Any]]


def caller(client: Client | AsyncClient) -> Call:
    """Call a method by its name, and wait for all that it answers."""

    async def call(name: str, *arguments: Any, **named: Any) -> Any:
        answer = getattr(client, name)(*arguments, **named)
        if isinstance(answer, AsyncIterable):
            return [each async for each in answer]
        if isinstance(answer, Iterator):
            return list(answer)
        return await answer if inspect.isawaitable(answer) else answer

    return call


@pytest.fixture(params=[Client, AsyncClient])
async def call(request: pytest.FixtureRequest, server: Serving) -> AsyncIterator[Call]:
    """The methods of the synchronous client, then those of the asynchronous one."""
    if request.param is Client:
        with Client(server.address) as client:
            yield caller(client)
    else:
        async with AsyncClient(server.address) as connected:
            yield caller(connected)
