"""Well-behaved clients, in a process of their own, that measure the server all the time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import grpc

from facet import AsyncClient, FacetError
from facet.benchmarks.hostile.attackers.attacker import Target
from facet.benchmarks.hostile.figures import Call
from facet.benchmarks.hostile.victim_camera import Frames
from facet.client.channel import options as channel_options
from facet.v1 import recognition_service_pb2 as pb

IDENTIFY, NEWCOMER, HEALTH, CAMERA, METRICS = "identify", "newcomer", "health", "camera", "metrics"
RATES = {IDENTIFY: 4.0, NEWCOMER: 1.0, HEALTH: 4.0, CAMERA: 2.0, METRICS: 1.0}
"""Calls per second by kind of victim."""

_PAUSE_OF_CAMERA = 0.25
_MARGIN = 0.5
"""Seconds that the client's own deadline has to end a call first, so that it says why."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What the victims send, and how long they wait.

    Attributes:
        portrait: encoded picture to identify.
        frames: encoded frames of a camera.
        patience: seconds until a victim gives a call up.
    """

    portrait: bytes
    frames: Sequence[bytes]
    patience: float


class Victims:
    """The process of the victims.

    Args:
        target: the server; its token is that of the victims.
        habits: what they send.
    """

    def __init__(self, target: Target, habits: Habits) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, child = spawn.Pipe(duplex=False)
        self._process = spawn.Process(target=_run, args=(target, habits, child), daemon=True)
        self._process.start()
        child.close()
        self._open: dict[int, Call] = {}
        self.calls: list[Call] = []

    @property
    def open(self) -> Sequence[Call]:
        """Calls that have not ended yet, as if they ended now."""
        return list(self._open.values())

    def open_before(self, moment: float) -> bool:
        """Whether a call that was due before a moment is still open."""
        return any(call.due < moment for call in self._open.values())

    def collect(self) -> None:
        """Read what happened since the last time.

        Raises:
            RuntimeError: the process of the victims has ended.
        """
        while self._pipe.poll():
            try:
                number, call = self._pipe.recv()
            except EOFError:
                raise RuntimeError("the process of the victims has ended; it said why above") from None
            if call.outcome is None:
                self._open[number] = call
            else:
                self._open.pop(number, None)
                self.calls.append(call)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()


def _run(target: Target, habits: Habits, pipe: Connection) -> None:
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        asyncio.run(_Run(target, habits, pipe).all())


class _Run:
    """All victims, on one event loop."""

    def __init__(self, target: Target, habits: Habits, pipe: Connection) -> None:
        self._target, self._habits, self._pipe = target, habits, pipe
        self._address = f"{target.host}:{target.port}"
        self._numbers = itertools.count()
        self._running: set[asyncio.Task[None]] = set()

    async def all(self) -> None:
        """Run until the process is ended."""
        async with self._client() as identify, self._client() as health, self._client() as camera:
            start = time.monotonic() + 0.1
            async with asyncio.TaskGroup() as group:
                for kind, call in (
                    (IDENTIFY, lambda: self._identify(identify)),
                    (NEWCOMER, self._newcomer),
                    (HEALTH, lambda: self._check(health)),
                    (METRICS, self._scrape),
                ):
                    group.create_task(self._at_rate(kind, call, start))
                group.create_task(self._camera(camera, start))

    def _client(self) -> AsyncClient:
        """A client with a connection of its own; gRPC would share one between channels of one process."""
        options = (*channel_options(), ("grpc.use_local_subchannel_pool", 1))
        channel = grpc.aio.insecure_channel(self._address, options)
        return AsyncClient(channel=channel, token=self._target.token or None, timeout=self._habits.patience)

    async def _at_rate(self, kind: str, call: Callable[[], Awaitable[Any]], start: float) -> None:
        """Start calls when they are due, whether earlier ones have ended or not."""
        for at in itertools.count():
            due = start + at / RATES[kind]
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._one(kind, due, call))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _one(self, kind: str, due: float, call: Callable[[], Awaitable[Any]]) -> None:
        number = self._began(kind, due)
        try:
            async with asyncio.timeout(self._habits.patience + _MARGIN):
                await call()
        except TimeoutError:
            self._ended(number, kind, due, "no answer in time")
        except FacetError as error:
            self._ended(number, kind, due, error.reason or error.code.name)
        except OSError as error:
            self._ended(number, kind, due, type(error).__name__)
        else:
            self._ended(number, kind, due, "")

    async def _identify(self, client: AsyncClient) -> None:
        await client.identify(self._target.gallery, self._habits.portrait)

    async def _newcomer(self) -> None:
        async with self._client() as client:
            await client.identify(self._target.gallery, self._habits.portrait)

    async def _check(self, client: AsyncClient) -> None:
        await client.check_health()

    async def _scrape(self) -> None:
        reader, writer = await asyncio.open_connection(self._target.host, self._target.metrics_port)
        try:
            writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
            if b" 200 " not in await reader.readline():
                raise OSError
            await reader.read()
        finally:
            writer.close()

    async def _camera(self, client: AsyncClient, start: float) -> None:
        """Send frames when they are due; after a failure, open the stream again."""
        frames = Frames(
            *(self._habits.frames, RATES[CAMERA], start, self._habits.patience),
            *(self._began_frame, self._ended_frame),
        )
        settings = pb.StreamSettings(camera="victim", gallery_id=self._target.gallery)
        while True:
            try:
                await frames.stream(client, settings)
                frames.give_up("the stream ended")
            except FacetError as error:
                frames.give_up(error.reason or error.code.name)
            except TimeoutError:
                frames.give_up("no answer in time")
            await asyncio.sleep(_PAUSE_OF_CAMERA)

    def _began_frame(self, due: float) -> int:
        return self._began(CAMERA, due)

    def _ended_frame(self, number: int, due: float, outcome: str) -> None:
        self._ended(number, CAMERA, due, outcome)

    def _began(self, kind: str, due: float) -> int:
        number = next(self._numbers)
        self._pipe.send((number, Call(kind, due, time.monotonic(), None)))
        return number

    def _ended(self, number: int, kind: str, due: float, outcome: str) -> None:
        self._pipe.send((number, Call(kind, due, time.monotonic(), outcome)))
