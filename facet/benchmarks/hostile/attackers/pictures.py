"""Attackers that send pictures which cost far more to decode than to send."""

from __future__ import annotations

import asyncio

from facet.benchmarks.hostile.attackers.attacker import Attacker, Tally, Target, crowd
from facet.benchmarks.hostile.attackers.bombs import BOMBS
from facet.benchmarks.hostile.attackers.frames import RECOGNITION, message
from facet.benchmarks.hostile.attackers.wire import Caller
from facet.client.requests import identify_request

_OPEN = 4
_PAUSE = 0.05


class PictureBomb(Attacker):
    """Keeps calls with one hostile picture open.

    Args:
        name: of the picture, a key of :data:`BOMBS`.
    """

    needs_token = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.what = f"keeps {_OPEN} calls open, each with {BOMBS[name][0]}"

    def prepare(self, target: Target, /) -> None:
        """Make the picture."""
        _, make = BOMBS[self.name]
        self._request = message(identify_request(target.gallery, make()).SerializeToString())

    async def attack(self, target: Target, tally: Tally) -> None:
        """Send the picture again as soon as it is answered."""

        async def member(_: int) -> None:
            async with Caller.open(target, tally) as caller:
                await asyncio.gather(*(repeat(caller) for _ in range(_OPEN)))

        async def repeat(caller: Caller) -> None:
            while True:
                await caller.unary(RECOGNITION + "Identify", (self._request,))
                await asyncio.sleep(_PAUSE)

        await crowd(1, member, tally)


def attackers() -> list[PictureBomb]:
    """One for each hostile picture."""
    return [PictureBomb(name) for name in BOMBS]
