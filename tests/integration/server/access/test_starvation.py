"""Callers of one server: one that takes all it can get does not keep the others from their work."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from facet import AsyncClient, ResourceExhausted, picture
from facet.server.access.callers.callers_file import changing
from facet.server.access.callers.key import key_of
from facet.v1 import recognition_service_pb2 as pb
from tests.unit.server.access.entries import entry
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving, Start

CONNECTIONS, CALLS = 8, 16
"""Of the greedy caller: on loopback, each connection without an identity would have a share of its own."""
LIMITS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "slow": {"calls_per_second": 0.5},
    "narrow": {"concurrent_calls": 2},
    "modest": {},
}


@pytest.fixture(scope="module")
def shared(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("starvation")
    with changing(folder / "facet.callers.json") as callers:
        callers += [entry(name, name, scopes=["recognize"], **limits) for name, limits in LIMITS.items()]
    # More calls than the flood has: a slow machine would keep a call waiting for a place longer than it may wait.
    places = str(2 * CONNECTIONS * CALLS)
    serving = start(
        folder, "--models.objects", "none", "--server.max-queue", "8", "--server.max-concurrent-calls", places
    )
    yield serving
    serving.stop()


def client_of(serving: Serving, name: str) -> AsyncClient:
    """A client of a caller; its calls have time also on a machine that is slow."""
    return AsyncClient(serving.address, token=key_of(name, name), timeout=PATIENCE)


@pytest.mark.parametrize(
    ("flooding", "refusals"),
    [
        ("greedy", {"QUEUE_FULL", "DEADLINE_TOO_SHORT"}),
        ("slow", {"CALLER_RATE_EXCEEDED"}),
        ("narrow", {"CALLER_CONCURRENCY_EXCEEDED"}),
    ],
)
async def test_a_flood_of_one_key_does_not_keep_another_from_its_work(
    shared: Serving, pictures: Pictures, flooding: str, refusals: set[str]
) -> None:
    request = pb.AnalyzeFacesRequest(picture=picture(pictures.yaoming))
    seen: Counter[str] = Counter()
    stopped = asyncio.Event()

    async def flood(client: AsyncClient) -> None:
        while not stopped.is_set():
            try:
                await client.recognition.AnalyzeFaces(request)
                seen["answered"] += 1
            except ResourceExhausted as error:
                seen[error.reason if error.retry_after else "no time to come back"] += 1

    clients = [client_of(shared, flooding) for _ in range(CONNECTIONS)]
    floods = [asyncio.ensure_future(flood(client)) for client in clients for _ in range(CALLS)]
    async with client_of(shared, "modest") as modest:
        while not sum(seen[reason] for reason in refusals):
            await modest.recognition.AnalyzeFaces(request)
        for _ in range(10):
            assert (await modest.recognition.AnalyzeFaces(request)).faces
    stopped.set()
    await asyncio.gather(*floods)
    for client in clients:
        await client.close()
    assert seen["answered"]
    assert set(seen) - {"answered"} <= refusals
