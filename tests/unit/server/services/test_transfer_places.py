"""Places of transfers: who gets one, and who loses one."""

from __future__ import annotations

import asyncio

import pytest

from facet.server.calls.pace import Pace
from facet.server.errors import TooManyTransfers
from facet.server.services.transfer_places import TransferPlaces
from tests.waiting import turns

PATIENCE = 60.0


class Transfer:
    """A transfer whose client sends nothing, or that the server is busy with."""

    def __init__(self, places: TransferPlaces, caller: str, key: str = "", *, busy: bool = False) -> None:
        self.pace = Pace(3600, 1)
        self.task = asyncio.ensure_future(self._run(places, caller, key, busy=busy))

    async def _run(self, places: TransferPlaces, caller: str, key: str, *, busy: bool) -> None:
        with places.entered(caller, self.pace, key):
            if busy:
                await asyncio.Event().wait()
            async with self.pace.waiting():
                await asyncio.Event().wait()

    async def is_refused(self) -> None:
        """Wait until it is refused or has lost its place."""
        with pytest.raises(TooManyTransfers):
            await asyncio.wait_for(self.task, PATIENCE)


async def refused(transfers: list[Transfer], *expected: bool) -> None:
    """Check which transfers are refused or lose their places; the others keep theirs."""
    for each, is_refused in zip(transfers, expected, strict=True):
        if is_refused:
            await each.is_refused()
    await turns()
    assert [each.task.done() for each in transfers] == list(expected)


async def started(places: TransferPlaces, *callers: str, busy: bool = False) -> list[Transfer]:
    """A transfer of each caller, one after the other."""
    transfers = [Transfer(places, each, busy=busy) for each in callers]
    await turns()
    return transfers


async def test_a_caller_may_take_all_places_and_loses_the_newest_to_another() -> None:
    places = TransferPlaces(2, TooManyTransfers)
    first, second = await started(places, "a", "a")
    other, again = await started(places, "b", "a")
    await refused([first, second, other, again], False, True, False, True)


async def test_callers_with_as_many_transfers_do_not_displace_each_other() -> None:
    places = TransferPlaces(2, TooManyTransfers)
    transfers = await started(places, "a", "b", "c")
    await refused(transfers, False, False, True)


async def test_a_transfer_that_the_server_works_on_keeps_its_place() -> None:
    places = TransferPlaces(2, TooManyTransfers, granted_seconds=0)
    working = await started(places, "a", "a", busy=True)
    (newcomer,) = await started(places, "b")
    await refused([*working, newcomer], False, False, True)


async def test_the_slowest_transfer_gives_its_place_away_after_the_time_granted_to_each() -> None:
    places = TransferPlaces(2, TooManyTransfers, granted_seconds=0)
    (slowest,) = await started(places, "a")
    (slow,) = await started(places, "b")
    (newcomer,) = await started(places, "c")
    await refused([slowest, slow, newcomer], True, False, False)


async def test_only_one_transfer_of_a_kind_runs_and_a_slow_one_gives_way() -> None:
    patient = TransferPlaces(9, TooManyTransfers)
    transfers = [Transfer(patient, caller, "gallery") for caller in ("a", "b")]
    await refused(transfers, False, True)
    impatient = TransferPlaces(9, TooManyTransfers, granted_seconds=0)
    slow = Transfer(impatient, "a", "gallery")
    await turns()
    newcomer = Transfer(impatient, "b", "gallery")
    await refused([slow, newcomer], True, False)


async def test_a_place_that_is_left_is_free_again() -> None:
    places = TransferPlaces(1, TooManyTransfers)
    (first,) = await started(places, "a")
    first.task.cancel()
    await asyncio.wait([first.task])
    (second,) = await started(places, "b")
    await refused([second], False)
