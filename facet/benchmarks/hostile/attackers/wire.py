"""Connections of attackers: one that sends prepared bytes, and one that makes whole calls within the flow control."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError, StreamClosedError
from h2.settings import SettingCodes

from facet.benchmarks.hostile.attackers.attacker import Tally, Target, local_address
from facet.benchmarks.hostile.attackers.frames import greeting, request_headers

_READ_BYTES = 65_536
_WINDOW = 2**20
_FRAMES_AT_ONCE = 64


@asynccontextmanager
async def connected(
    target: Target, tally: Tally, *, port: int | None = None, address: int = 0
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection to the server, cut off at the end.

    Args:
        target: the server.
        tally: counts the connection.
        port: another port than that of calls.
        address: number of the address that it comes from, see :func:`local_address`.
    """
    reader, writer = await asyncio.open_connection(target.host, port or target.port, local_addr=local_address(address))
    tally["connections"] += 1
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def read_away(reader: asyncio.StreamReader) -> None:
    """Read and forget, until the server closes the connection.

    Raises:
        EOFError: the server closed it.
    """
    while await reader.read(_READ_BYTES):
        pass
    raise EOFError


@asynccontextmanager
async def raw_http2(
    target: Target, tally: Tally, settings: dict[int, int] | None = None, *, reads: bool = True, address: int = 0
) -> AsyncIterator[asyncio.StreamWriter]:
    """A connection on which the client sends prepared frames; what the server sends is read and forgotten.

    Args:
        target: the server.
        tally: counts the connection.
        settings: of HTTP/2, by code.
        reads: whether the client reads at all.
        address: number of the address that it comes from.
    """
    async with connected(target, tally, address=address) as (reader, writer):
        writer.write(greeting(settings))
        reading = asyncio.ensure_future(read_away(reader)) if reads else None
        try:
            yield writer
            await writer.drain()
            if reading is not None:
                await reading
            else:
                await asyncio.Event().wait()
        finally:
            if reading is not None:
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError, EOFError):
                    await reading


class Caller:
    """Makes calls over one connection, and respects the server's windows, as a client library does.

    Args:
        target: the server.
        tally: counts calls and their outcomes.
        writer: of the connection.
        reads: whether it takes the answers of streams.
    """

    def __init__(self, target: Target, tally: Tally, writer: asyncio.StreamWriter, *, reads: bool) -> None:
        self._target, self._tally, self._writer, self._reads = target, tally, writer, reads
        self._http2 = H2Connection(H2Configuration(client_side=True))
        self._progress = asyncio.Condition()
        self._ended: dict[int, asyncio.Future[str]] = {}
        self._failure: Exception | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, target: Target, tally: Tally, *, reads: bool = True) -> AsyncIterator[Caller]:
        """A connection that is ready for calls."""
        async with connected(target, tally) as (reader, writer):
            caller = cls(target, tally, writer, reads=reads)
            caller._http2.initiate_connection()
            if reads:
                caller._http2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW})
                caller._http2.increment_flow_control_window(_WINDOW)
            await caller._flush()
            receiving = asyncio.ensure_future(caller._receive(reader))
            try:
                yield caller
            finally:
                receiving.cancel()

    async def unary(self, path: str, data: Iterable[bytes], extra: Iterable[tuple[str, str]] = ()) -> str:
        """Make a call to its end; returns its gRPC status, for example ``"0"``.

        Args:
            path: of the method.
            data: parts of the messages, with their prefixes.
            extra: further headers.
        """
        stream = await self.start(path, extra)
        try:
            for part in data:
                await self.send(stream, part)
            await self._end(stream)
        except EndedEarlyError:
            await self._give_up(stream)
        status = await self._ended[stream]
        self._ended.pop(stream)
        self._tally[f"status {status}"] += 1
        return status

    async def start(self, path: str, extra: Iterable[tuple[str, str]] = ()) -> int:
        """Send the headers of a call; returns its stream. Waits while the server allows no further streams."""
        async with self._progress:
            while self._http2.open_outbound_streams >= self._http2.remote_settings.max_concurrent_streams:
                await self._progress.wait()
                self._check()
        stream = self._http2.get_next_available_stream_id()
        self._ended[stream] = asyncio.get_running_loop().create_future()
        self._http2.send_headers(stream, request_headers(path, self._target.token, extra))
        self._tally["calls"] += 1
        await self._flush()
        return stream

    async def send(self, stream: int, data: bytes) -> None:
        """Send data on a stream, as fast as the server takes it.

        Raises:
            EndedEarlyError: the server ended the call.
        """
        view = memoryview(data)
        while view:
            room = await self._room(stream)
            for _ in range(_FRAMES_AT_ONCE):
                part, view = view[:room], view[room:]
                self._http2.send_data(stream, bytes(part))
                self._tally["kilobytes"] += len(part) >> 10
                room = self._room_now(stream)
                if not view or room <= 0:
                    break
            await self._flush()

    async def _room(self, stream: int) -> int:
        """Wait until the server takes more data on a stream; returns how much."""
        while True:
            self._check()
            if self._ended[stream].done():
                raise EndedEarlyError
            if (room := self._room_now(stream)) > 0:
                return room
            async with self._progress:
                await self._progress.wait()

    def _room_now(self, stream: int) -> int:
        return min(self._http2.local_flow_control_window(stream), self._http2.max_outbound_frame_size)

    async def _end(self, stream: int) -> None:
        self._check()
        if self._ended[stream].done():
            raise EndedEarlyError
        self._http2.end_stream(stream)
        await self._flush()

    async def _give_up(self, stream: int) -> None:
        """Reset a stream whose answer came before all of it was sent, as gRPC's clients do."""
        with contextlib.suppress(StreamClosedError):
            self._http2.reset_stream(stream, ErrorCodes.CANCEL)
        await self._flush()

    def _check(self) -> None:
        if self._failure is not None:
            raise ConnectionError from self._failure

    async def _flush(self) -> None:
        self._writer.write(self._http2.data_to_send())
        await self._writer.drain()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(_READ_BYTES):
                for event in self._http2.receive_data(data):
                    self._handle(event)
                await self._flush()
                async with self._progress:
                    self._progress.notify_all()
            self._failure = EOFError()
        except (OSError, ProtocolError) as error:
            self._failure = error
        for ended in self._ended.values():
            if not ended.done():
                ended.set_exception(ConnectionError())
                ended.exception()  # a stream that nobody waits for is no reason to complain
        async with self._progress:
            self._progress.notify_all()

    def _handle(self, event: Event) -> None:
        match event:
            case DataReceived() if self._reads and event.flow_controlled_length:
                self._http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case ResponseReceived() | TrailersReceived():
                self._status(event.stream_id, dict(event.headers))
            case StreamEnded():
                self._finish(event.stream_id, "none")
            case StreamReset():
                self._finish(event.stream_id, "reset")
            case ConnectionTerminated():
                self._failure = EOFError()
            case RemoteSettingsChanged() | WindowUpdated():
                pass

    def _status(self, stream: int | None, headers: Mapping[bytes, bytes]) -> None:
        if (status := headers.get(b"grpc-status")) is not None:
            self._finish(stream, status.decode())

    def _finish(self, stream: int | None, status: str) -> None:
        ended = self._ended.get(stream or 0)
        if ended is not None and not ended.done():
            ended.set_result(status)


class EndedEarlyError(Exception):
    """The server ended a call before all of its messages were sent."""
