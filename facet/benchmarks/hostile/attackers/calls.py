"""Attackers that open calls and do not let them end, and callers that want everything."""

from __future__ import annotations

import asyncio

from facet.benchmarks.hostile.attackers.attacker import Attacker, Tally, Target, crowd
from facet.benchmarks.hostile.attackers.bombs import large_picture
from facet.benchmarks.hostile.attackers.frames import (
    HEALTH_CHECK,
    HEALTH_WATCH,
    RECOGNITION,
    SERVER_INFO,
    data_frame,
    header_block,
    headers_frame,
    message,
    request_headers,
    streams,
    unary_call,
)
from facet.benchmarks.hostile.attackers.wire import Caller, raw_http2
from facet.client.requests import identify_request

_IDENTIFY = RECOGNITION + "Identify"
_CONNECTIONS = 64
_STREAMS = 100
_INITIAL_WINDOW = 4
"""Code of the setting with the window that the receiver of a stream gives its sender at first."""
_CLAIMED = 1 << 20


class HeadersOnly(Attacker):
    """Opens calls whose message never comes."""

    name = "headers-only"
    what = f"opens {_CONNECTIONS * _STREAMS:,} calls on {_CONNECTIONS} connections and sends only their headers"
    token_matters = True

    async def attack(self, target: Target, tally: Tally) -> None:
        """Open calls."""
        block = header_block(request_headers(_IDENTIFY, target.token))
        opened = b"".join(headers_frame(stream, block) for stream in streams(_STREAMS))

        async def member(_: int) -> None:
            async with raw_http2(target, tally) as writer:
                writer.write(opened)
                tally["calls"] += _STREAMS

        await crowd(_CONNECTIONS, member, tally)


class HalfMessage(Attacker):
    """Opens calls whose message stays a part."""

    name = "half-messages"
    what = f"opens {_CONNECTIONS * 10} calls and sends 1 KB of a message of 1 MB on each"
    token_matters = True

    async def attack(self, target: Target, tally: Tally) -> None:
        """Open calls."""
        block, part = header_block(request_headers(_IDENTIFY, target.token)), message(bytes(1024), claimed=_CLAIMED)
        opened = b"".join(headers_frame(stream, block) + data_frame(stream, part) for stream in streams(10))

        async def member(_: int) -> None:
            async with raw_http2(target, tally) as writer:
                writer.write(opened)
                tally["calls"] += 10

        await crowd(_CONNECTIONS, member, tally)


class SlowMessage(Attacker):
    """Sends messages a byte at a time."""

    name = "slow-messages"
    what = f"opens {_CONNECTIONS} calls and sends their message a byte per second"

    async def attack(self, target: Target, tally: Tally) -> None:
        """Open calls and send bytes."""
        block = header_block(request_headers(_IDENTIFY, target.token))
        start, byte = headers_frame(1, block) + data_frame(1, message(b"", claimed=_CLAIMED)), data_frame(1, b"\n")

        async def member(_: int) -> None:
            async with raw_http2(target, tally) as writer:
                writer.write(start)
                tally["calls"] += 1
                while not writer.is_closing():
                    await asyncio.sleep(1)
                    writer.write(byte)
                    await writer.drain()

        await crowd(_CONNECTIONS, member, tally)


class WindowZero(Attacker):
    """Makes calls and gives the server no window for the answers."""

    name = "window-zero"
    what = f"makes {_CONNECTIONS * 10} calls and never opens the window for their answers"
    token_matters = True
    reads = True

    async def attack(self, target: Target, tally: Tally) -> None:
        """Make calls."""
        block = header_block(request_headers(SERVER_INFO if target.token else HEALTH_CHECK, target.token))
        calls = b"".join(unary_call(stream, block) for stream in streams(10))

        async def member(_: int) -> None:
            async with raw_http2(target, tally, {_INITIAL_WINDOW: 0}, reads=self.reads) as writer:
                writer.write(calls)
                tally["calls"] += 10

        await crowd(_CONNECTIONS, member, tally)


class UnreadAnswers(WindowZero):
    """Makes calls and reads nothing at all from the connection."""

    name = "unread-answers"
    what = f"makes {_CONNECTIONS * 10} calls and reads nothing from their connections"
    reads = False


class HealthWatches(Attacker):
    """Watches the health, on many streams."""

    name = "health-watches"
    what = f"opens {_CONNECTIONS * _STREAMS:,} streams that watch the health"

    async def attack(self, target: Target, tally: Tally) -> None:
        """Open streams."""
        block = header_block(request_headers(HEALTH_WATCH, target.token))
        calls = b"".join(unary_call(stream, block) for stream in streams(_STREAMS))

        async def member(_: int) -> None:
            async with raw_http2(target, tally) as writer:
                writer.write(calls)
                tally["streams"] += _STREAMS

        await crowd(_CONNECTIONS, member, tally)


class OneCaller(Attacker):
    """Asks for more than its share, over one connection."""

    name = "one-caller"
    what = "keeps 32 valid calls of Identify open on one connection"
    needs_token = True
    connections, each = 1, 32

    def prepare(self, target: Target, /) -> None:
        """Serialise the request."""
        self._request = message(identify_request(target.gallery, self.picture(target)).SerializeToString())

    def picture(self, target: Target, /) -> bytes:
        """The picture to identify."""
        return target.picture

    async def attack(self, target: Target, tally: Tally) -> None:
        """Call again as soon as a call is answered or refused."""

        async def member(_: int) -> None:
            async with Caller.open(target, tally) as caller:
                await asyncio.gather(*(self._repeat(caller) for _ in range(self.each)))

        await crowd(self.connections, member, tally)

    async def _repeat(self, caller: Caller) -> None:
        while True:
            if await caller.unary(_IDENTIFY, (self._request,)) != "0":
                await asyncio.sleep(0.05)


class ManyCallers(OneCaller):
    """Ask together for more than there is."""

    name = "many-callers"
    what = "keep 32 valid calls of Identify open, on 16 connections"
    connections, each = 16, 2


class LargePictures(OneCaller):
    """Sends the largest pictures that are allowed."""

    name = "large-pictures"
    what = "keeps 8 calls with pictures of 50 million pixels open on one connection"
    each = 8

    def picture(self, _: Target, /) -> bytes:
        """A picture at the limit of pixels."""
        return large_picture()


ATTACKERS = (
    HeadersOnly,
    HalfMessage,
    SlowMessage,
    WindowZero,
    UnreadAnswers,
    HealthWatches,
    OneCaller,
    ManyCallers,
    LargePictures,
)
