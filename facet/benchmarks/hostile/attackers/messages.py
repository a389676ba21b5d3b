"""Attackers that send messages which are too large, too deep, or far larger once they are read."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterable

from facet.benchmarks.hostile.attackers.attacker import Attacker, Tally, Target, crowd
from facet.benchmarks.hostile.attackers.bombs import deflated_zeros
from facet.benchmarks.hostile.attackers.frames import GALLERIES, RECOGNITION, Header, field_header, message
from facet.benchmarks.hostile.attackers.wire import Caller

_LIMIT = 16 << 20
"""``server.max_message_bytes`` by default."""
_ROOM = 64
"""Bytes for what is around the repeated part of a message."""
_INFLATION = 1000
"""How much larger deflated zeros become, at least."""
_PAUSE = 0.1


class Messages(Attacker):
    """Keeps calls with one message open."""

    path = RECOGNITION + "Identify"
    connections, each = 1, 4
    headers: Iterable[Header] = ()

    def prepare(self, _: Target, /) -> None:
        """Build the message."""
        self._data = self.data()

    @abstractmethod
    def data(self, limit: int = _LIMIT) -> bytes:
        """The message with its prefix.

        Args:
            limit: the most bytes that the server takes.
        """

    async def attack(self, target: Target, tally: Tally) -> None:
        """Send the message again as soon as it is answered."""

        async def member(_: int) -> None:
            async with Caller.open(target, tally) as caller:
                await asyncio.gather(*(repeat(caller) for _ in range(self.each)))

        async def repeat(caller: Caller) -> None:
            while True:
                await caller.unary(self.path, (self._data,), self.headers)
                await asyncio.sleep(_PAUSE)

        await crowd(self.connections, member, tally)


class OversizedMessages(Messages):
    """Sends more than is allowed."""

    name = "oversized-messages"
    what = "claims messages of 4 GB on 16 calls, and sends 64 MB of each"
    connections, each = 4, 4

    def data(self, limit: int = _LIMIT) -> bytes:
        """A message that claims four gigabytes."""
        return message(bytes(4 * limit), claimed=2**32 - 1)


class NestedMessages(Messages):
    """Sends a message of groups within groups."""

    name = "nested-messages"
    what = "sends messages of 16 MB, nested 8 million levels deep"

    def data(self, limit: int = _LIMIT) -> bytes:
        """Start-group tags of an unknown field, without an end."""
        return message(b"\xa3\x06" * ((limit - _ROOM) // 2))


class ManyElements(Messages):
    """Sends a message that becomes a thousand megabytes of objects."""

    name = "many-elements"
    what = "sends messages of 16 MB with 5 million empty elements"
    path = GALLERIES + "UpdateGallery"

    def data(self, limit: int = _LIMIT) -> bytes:
        """A gallery whose calibration has millions of empty points: fields 1, 11 and 18."""
        points = b"\x92\x01\0" * ((limit - _ROOM) // 3)
        calibration = field_header(11, len(points)) + points
        return message(field_header(1, len(calibration)) + calibration)


class RefusedLargeCalls(ManyElements):
    """Sends large messages on many calls at the same time."""

    name = "large-refused-calls"
    what = "sends 16 messages of 16 MB at the same time, with millions of empty elements"
    token_matters = True
    connections, each = 4, 4


class ManyStrings(Messages):
    """Sends a message with millions of strings."""

    name = "many-strings"
    what = "sends messages of 16 MB with 8 million empty strings"
    path = RECOGNITION + "Detect"

    def data(self, limit: int = _LIMIT) -> bytes:
        """Empty class names: field 2."""
        return message(b"\x12\0" * ((limit - _ROOM) // 2))


class CompressedMessages(Messages):
    """Sends a message that inflates."""

    name = "compressed-messages"
    what = "sends messages of 16 MB that gzip inflates to 16 GB"
    headers = (("grpc-encoding", "gzip"),)

    def data(self, limit: int = _LIMIT) -> bytes:
        """Compressed zeros."""
        return message(deflated_zeros(_INFLATION * limit >> 20, gzip=True), compressed=True)


ATTACKERS = (
    OversizedMessages,
    NestedMessages,
    ManyElements,
    RefusedLargeCalls,
    ManyStrings,
    CompressedMessages,
)
