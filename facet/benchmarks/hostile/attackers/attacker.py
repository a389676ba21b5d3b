"""What an attacker is, how it runs in a process of its own, and what it knows of its target."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from h2.exceptions import ProtocolError

from facet.benchmarks.watched_server import GALLERY, WatchedServer

SOURCE = "127.0.0.2"
"""Attackers call from this address, so that a server can tell them from the victims, which call from 127.0.0.1."""

_NICE = 19
_PAUSE_AFTER_FAILURE = 0.1
_FIRST_SIGN_SECONDS = 0.01

Tally = Counter[str]
"""What an attacker did: numbers of connections, calls, messages and the like."""


@dataclass(frozen=True, slots=True)
class Target:
    """The server that is attacked, on this machine.

    Attributes:
        host: address of loopback.
        port: of its calls.
        metrics_port: of its metrics.
        token: bearer token; empty for an attacker without one.
        gallery: id of a gallery with one subject.
        picture: an encoded picture of its face.
    """

    host: str
    port: int
    metrics_port: int
    token: str
    gallery: str
    picture: bytes

    @classmethod
    def of(cls, server: WatchedServer, picture: bytes) -> Self:
        """What a client with the token knows of a server.

        Args:
            server: it.
            picture: of the subject in its gallery.
        """
        host, _, port = server.address.rpartition(":")
        metrics_port = int(server.process.metrics_address.rpartition(":")[2])
        return cls(host, int(port), metrics_port, server.token, GALLERY, picture)


class Attacker(ABC):
    """One way to harm a server. It must be picklable before :meth:`prepare`.

    Attributes:
        name: for ``--attack``.
        what: what it does, in one line.
        needs_token: whether it is harmless without a token, so that it always gets one.
        token_matters: whether it harms in another way with a token, so that it runs twice.
    """

    name: str
    what: str
    needs_token: bool = False
    token_matters: bool = False

    def prepare(self, target: Target, /) -> None:  # noqa: B027 - most have nothing to prepare
        """Build what is sent, before the attack begins."""

    @abstractmethod
    async def attack(self, target: Target, tally: Tally) -> None:
        """Attack until cancelled, and count in ``tally`` what was done."""

    def run(self, target: Target, seconds: float) -> Tally:
        """Attack for a number of seconds from the first thing that was done; :meth:`prepare` comes before."""
        tally: Tally = Counter()

        async def run() -> None:
            attack = asyncio.ensure_future(self.attack(target, tally))
            while not tally and not attack.done():  # noqa: ASYNC110 - an attack only counts what it did
                await asyncio.sleep(_FIRST_SIGN_SECONDS)
            done, _ = await asyncio.wait([attack], timeout=seconds)
            for ended in done:
                await ended

        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(run())
        return tally


def run_in_process(attacker: Attacker, target: Target, seconds: float, pipe: Connection) -> None:
    """Prepare, say so through the pipe, wait for any answer, attack, and send the tally.

    The process has the lowest priority. On a machine of few cores it would otherwise take the server's time just by
    running, which says nothing about the server.
    """
    _give_way()
    _allow_many_descriptors()
    attacker.prepare(target)
    pipe.send("ready")
    pipe.recv()
    pipe.send(attacker.run(target, seconds))
    # What is still open is closed by the system: waiting for each connection to end properly would prolong the attack.
    os._exit(0)


def _give_way() -> None:
    """Take the lowest priority. Linux may schedule sessions as groups, so the process gets one of its own, as low."""
    os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    os.setsid()
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICE), "ascii")


def _allow_many_descriptors() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def crowd(number: int, member: Callable[[int], Coroutine[Any, Any, None]], tally: Tally) -> None:
    """Run many members at the same time, each again and again: one whose connection breaks starts over."""

    async def persist(at: int) -> None:
        while True:
            try:
                await member(at)
            except (OSError, EOFError, ProtocolError):
                tally["broken connections"] += 1
            await asyncio.sleep(_PAUSE_AFTER_FAILURE * (1 + random.random()))  # noqa: S311 - spreads the attempts

    async with asyncio.TaskGroup() as group:
        for at in range(number):
            group.create_task(persist(at))


class Pace:
    """Keeps a loop at a rate.

    Args:
        per_second: steps per second.
    """

    def __init__(self, per_second: float) -> None:
        self._gap = 1 / per_second
        self._due = 0.0

    async def wait(self, steps: int = 1) -> None:
        """Wait until that many steps more are due. Time that was lost is not made up."""
        now = asyncio.get_running_loop().time()
        self._due = max(self._due + steps * self._gap, now)
        await asyncio.sleep(self._due - now)


def local_address(index: int = 0) -> tuple[str, int] | None:
    """The address that a connection comes from: one of loopback on Linux, else any.

    Args:
        index: 0 for the attackers' own address, others for further ones.
    """
    if sys.platform != "linux":
        return None
    return (f"127.0.{2 + index // 250}.{2 + index % 250}" if index else SOURCE, 0)
