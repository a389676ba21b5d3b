"""Attackers that hold connections, or open them without end. None of them makes a call."""

from __future__ import annotations

import asyncio

from facet.benchmarks.hostile.attackers.attacker import Attacker, Pace, Tally, Target, crowd
from facet.benchmarks.hostile.attackers.frames import PREFACE, greeting
from facet.benchmarks.hostile.attackers.wire import connected, raw_http2, read_away

_IDLE = 1500
_ADDRESSES = 250
_OPENED_PER_SECOND = 500
_SLOW = 500
_SLOW_PAUSE = 1.0
_METRICS = 500


class SilentConnections(Attacker):
    """Holds connections, all of one address."""

    name = "silent-connections"
    what = f"opens {_IDLE:,} connections and sends nothing"

    async def attack(self, target: Target, tally: Tally) -> None:
        """Hold connections; those that are closed are opened again."""

        async def member(at: int) -> None:
            await asyncio.sleep(at / _OPENED_PER_SECOND)
            async with connected(target, tally) as (reader, _):
                await read_away(reader)

        await crowd(_IDLE, member, tally)


class IdleConnections(Attacker):
    """Holds connections with a valid beginning."""

    name = "idle-connections"
    what = f"opens {_IDLE:,} HTTP/2 connections and makes no calls"
    addresses = 1

    async def attack(self, target: Target, tally: Tally) -> None:
        """Hold connections; those that are closed are opened again."""

        async def member(at: int) -> None:
            await asyncio.sleep(at / _OPENED_PER_SECOND)
            async with raw_http2(target, tally, address=at % self.addresses):
                pass

        await crowd(_IDLE, member, tally)


class ScatteredConnections(IdleConnections):
    """Holds connections that come from many addresses."""

    name = "scattered-connections"
    what = f"opens {_IDLE:,} HTTP/2 connections from {_ADDRESSES} addresses and makes no calls"
    addresses = _ADDRESSES


class BrokenConnections(Attacker):
    """Opens connections and breaks them off."""

    name = "broken-connections"
    what = f"opens {_OPENED_PER_SECOND} connections per second, sends a preface and breaks them off"

    async def attack(self, target: Target, tally: Tally) -> None:
        """Open and break off."""
        pace, hello = Pace(_OPENED_PER_SECOND), greeting()

        async def member(_at: int) -> None:
            while True:
                await pace.wait()
                async with connected(target, tally) as (_, writer):
                    writer.write(hello)
                    await writer.drain()

        await crowd(16, member, tally)


class SlowPreface(Attacker):
    """Never finishes the beginning of a connection."""

    name = "slow-preface"
    what = f"sends the first bytes of {_SLOW} connections one per second"

    async def attack(self, target: Target, tally: Tally) -> None:
        """Send one byte at a time."""

        async def member(at: int) -> None:
            await asyncio.sleep(at / _OPENED_PER_SECOND)
            async with connected(target, tally) as (_, writer):
                for byte in PREFACE:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(_SLOW_PAUSE)

        await crowd(_SLOW, member, tally)


class MetricsConnections(Attacker):
    """Holds connections to the port of the metrics."""

    name = "metrics-connections"
    what = f"opens {_METRICS} connections to the metrics port and sends half a request on each"

    async def attack(self, target: Target, tally: Tally) -> None:
        """Hold connections."""

        async def member(at: int) -> None:
            await asyncio.sleep(at / _OPENED_PER_SECOND)
            async with connected(target, tally, port=target.metrics_port) as (reader, writer):
                writer.write(b"GET /metrics HTTP/1.1\r\nHost: ")
                await read_away(reader)

        await crowd(_METRICS, member, tally)


ATTACKERS = (
    SilentConnections,
    IdleConnections,
    ScatteredConnections,
    BrokenConnections,
    SlowPreface,
    MetricsConnections,
)
