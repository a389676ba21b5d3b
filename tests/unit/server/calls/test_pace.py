"""The pace of transfers: those that trickle end, others go on."""

from __future__ import annotations

import asyncio

import pytest

from facet.server.calls import pace as pace_module
from facet.server.calls.pace import Pace, Paces
from facet.server.errors import ServerError, ShuttingDown, TooManyTransfers, TransferStalled
from tests.waiting import turns, until_in_loop

FOREVER = 3600.0


async def trickle(pace: Pace) -> None:
    """Move a byte every 10 ms, as a slow peer does: the pace is measured in real time."""
    while True:
        async with pace.waiting():
            await asyncio.sleep(0.01)
        pace.moved(1)


async def never(pace: Pace) -> None:
    """Move nothing."""
    async with pace.waiting():
        await asyncio.Event().wait()


async def failed(transfer: asyncio.Task[None]) -> type[BaseException]:
    """The error with which a transfer ends."""
    with pytest.raises(ServerError) as caught:
        await transfer
    return caught.type


@pytest.mark.parametrize("client", [trickle, never])
async def test_a_transfer_below_the_minimum_pace_ends(client: type) -> None:
    assert await failed(asyncio.ensure_future(client(Pace(0.1, 2**20)))) is TransferStalled


async def test_bytes_win_back_patience_and_no_more_than_there_was() -> None:
    pace = Pace(FOREVER, 1.0)
    async with pace.waiting():
        await turns()  # a slow peer
    assert pace.lag_seconds > 0
    pace.moved(2**40)
    assert pace.lag_seconds == 0, "a brisk transfer lags behind nobody"
    pace.end(TransferStalled)
    assert await failed(asyncio.ensure_future(never(pace))) is TransferStalled, "credit does not outlast the end"


async def test_a_transfer_that_is_waited_for_ends_at_once_with_the_error_given() -> None:
    pace = Pace(FOREVER, 1.0)
    transfer = asyncio.ensure_future(never(pace))
    await until_in_loop(lambda: pace.is_waiting)
    pace.end(TooManyTransfers)
    assert await failed(transfer) is TooManyTransfers
    assert not pace.is_waiting


async def test_transfers_that_trickle_end_when_the_server_shuts_down() -> None:
    paces = Paces(FOREVER, 1.0)
    transfers = [asyncio.ensure_future(client(paces.begin())) for client in (trickle, never)]
    await turns(1)
    paces.drain()
    assert [await failed(each) for each in transfers] == [ShuttingDown, ShuttingDown]


async def test_a_brisk_transfer_goes_on_when_the_server_shuts_down(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, passed = asyncio.get_running_loop(), 0.0
    real_time = loop.time
    monkeypatch.setattr(loop, "time", lambda: real_time() + passed)
    monkeypatch.setattr(pace_module, "_DRAIN_SECONDS", 1000.0)
    paces = Paces(FOREVER, 1.0)
    pace = paces.begin()
    paces.drain()
    for _ in range(5):  # more than the time that a client has which sends nothing
        async with pace.waiting():
            passed += 800
            await turns()
        pace.moved(800 * 2**20)
    transfer = asyncio.ensure_future(never(pace))
    await until_in_loop(lambda: pace.is_waiting)
    passed += 1200
    assert await failed(transfer) is ShuttingDown
