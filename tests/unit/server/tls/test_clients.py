"""Who a client is by its certificate, and when its calls end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # the stubs of gRPC leave it out

from facet.server.errors import Unauthenticated
from facet.server.tls.certificates import Certificates
from facet.server.tls.clients import Clients, Peer, peer_of
from tests.certificates import EDI_PARTY, Authority
from tests.waiting import PATIENCE

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


class Served:
    """A server whose only method answers with the names of its client, and then keeps the stream open."""

    def __init__(self, folder: Path) -> None:
        self.ca = Authority(folder)
        self.client_ca = folder / "clients.pem"
        self.client_ca.write_bytes(self.ca.pem)
        self.now = NOW
        certificate, key = self.ca.sign("server", "DNS:localhost", end=NOW + 12 * HOUR)
        self.certificates = Certificates(certificate, key, self.client_ca, clock=lambda: self.now.timestamp())
        self.clients = Clients(self.certificates)
        self.ended = 0
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("test", {"Names": grpc.unary_stream_rpc_method_handler(self._names)})]
        )
        self.port = self._server.add_secure_port("127.0.0.1:0", self.certificates.credentials())

    async def _names(self, _: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[bytes]:
        try:
            with self.clients.admitted(context):
                peer = peer_of(context)
                assert isinstance(peer, Peer)
                yield " ".join(peer.names).encode()
                await asyncio.Event().wait()
        except Unauthenticated:
            self.ended += 1
            await context.abort(grpc.StatusCode.UNAUTHENTICATED)

    def channel(self, files: tuple[Path, Path], *options: tuple[str, Any]) -> grpc.aio.Channel:
        """A connection of a client with this certificate and key."""
        credentials = grpc.ssl_channel_credentials(self.ca.pem, files[1].read_bytes(), files[0].read_bytes())
        options = (*options, ("grpc.use_local_subchannel_pool", 1))
        return grpc.aio.secure_channel(f"localhost:{self.port}", credentials, options)

    async def __aenter__(self) -> Served:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)


def call(channel: grpc.aio.Channel) -> Any:
    method: Any = channel.unary_stream("/test/Names")
    return method(b"", timeout=PATIENCE)


async def names(channel: grpc.aio.Channel) -> str:
    """The names that the server found, or the status that it refused the call with."""
    stream = call(channel)
    with suppress(grpc.aio.AioRpcError):
        found: bytes = await stream.read()
        stream.cancel()
        return found.decode()
    return str((await stream.code()).name)


async def test_a_client_is_known_by_the_hosts_and_uris_of_its_certificate_and_not_by_its_subject(
    tmp_path: Path,
) -> None:
    async with Served(tmp_path) as served:
        given = (
            "DNS:Cam-1.Site",
            "URI:spiffe://site/cam-1",
            "IP:10.0.0.1",
            "email:a@b.c",
            "DNS:not a host",
            "DNS:urn:x",
        )
        async with served.channel(served.ca.sign("camera", *given)) as channel:
            assert await names(channel) == "cam-1.site spiffe://site/cam-1"
        async with served.channel(served.ca.sign("admin")) as channel:
            assert await names(channel) == ""
        async with served.channel(served.ca.sign("unreadable", extra=EDI_PARTY)) as channel:
            assert await names(channel) == ""


async def test_the_calls_of_a_certificate_end_when_it_expires(tmp_path: Path) -> None:
    async with Served(tmp_path) as served:
        short = served.ca.sign("short", "DNS:short", end=NOW + HOUR)
        long = served.ca.sign("long", "DNS:long", end=NOW + 3 * HOUR)
        async with served.channel(short) as channel, served.channel(long) as other:
            stream, kept = call(channel), call(other)
            assert await stream.read() == b"short"
            assert await kept.read() == b"long"
            served.now = NOW + 2 * HOUR
            served.clients.review()
            assert await stream.code() is grpc.StatusCode.UNAUTHENTICATED
            assert await names(channel) == "UNAUTHENTICATED", "the connection is open, and its calls are refused"
            assert not kept.done()
            assert served.ended == 2


async def test_a_session_is_not_resumed_with_a_certificate_that_has_expired_meanwhile(tmp_path: Path) -> None:
    sessions = ("grpc.ssl_session_cache", cygrpc.SSLSessionCacheLRU(1))
    async with Served(tmp_path) as served:
        files = served.ca.sign("short", "DNS:short", end=NOW + HOUR)
        for _ in range(2):
            async with served.channel(files, sessions) as channel:
                assert await names(channel) == "short"
        served.now = NOW + 2 * HOUR
        async with served.channel(files, sessions) as channel:
            assert await names(channel) == "UNAUTHENTICATED"


async def test_a_client_sends_the_intermediate_certificates_or_the_server_has_them(tmp_path: Path) -> None:
    async with Served(tmp_path) as served:
        middle = Authority(tmp_path, "middle", served.ca)
        lone, key = middle.sign("below", "DNS:below")
        direct = served.ca.sign("direct", "DNS:direct")
        full = tmp_path / "full.pem"
        full.write_bytes(lone.read_bytes() + middle.pem)
        for authorities, sent, answer in (
            (served.ca.pem, full, "below"),
            (served.ca.pem, lone, "UNAVAILABLE"),
            (served.ca.pem + middle.pem, lone, "below"),
            (middle.pem, lone, "below"),
            (middle.pem, full, "below"),
        ):
            await asyncio.to_thread(served.client_ca.write_bytes, authorities)
            async with served.channel((sent, key)) as channel:
                assert await names(channel) == answer
        async with served.channel(direct) as channel:
            assert await names(channel) == "UNAVAILABLE"


async def test_the_calls_of_an_authority_end_when_it_is_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    async with Served(tmp_path) as served:
        served.client_ca.write_bytes(served.ca.pem + other.pem)
        removed, kept = served.ca.sign("removed", "DNS:removed"), other.sign("kept", "DNS:kept")
        served.certificates.start(served.clients.review)
        async with served.channel(removed) as channel, served.channel(kept) as remaining:
            ending, staying = call(channel), call(remaining)
            assert await ending.read() == b"removed"
            assert await staying.read() == b"kept"
            await asyncio.to_thread(served.client_ca.write_bytes, other.pem)
            assert await ending.code() is grpc.StatusCode.UNAUTHENTICATED
            assert await names(channel) == "UNAUTHENTICATED"
            async with served.channel(removed) as again:
                assert await names(again) == "UNAVAILABLE"
            assert await names(remaining) == "kept"
            assert not staying.done()
        await served.certificates.stop()


async def test_an_authority_file_that_cannot_be_used_or_is_gone_changes_nothing(tmp_path: Path) -> None:
    async with Served(tmp_path) as served:
        files = served.ca.sign("camera", "DNS:camera")
        await asyncio.to_thread(served.client_ca.write_bytes, b"")
        async with served.channel(files) as channel:
            assert await names(channel) == "camera"
        assert served.certificates.refused["client_ca"] == 1
        await asyncio.to_thread(served.client_ca.unlink)
        async with served.channel(files) as channel:
            assert await names(channel) == "camera"
        assert served.certificates.refused["client_ca"] == 2


async def test_without_client_authorities_every_call_is_admitted() -> None:
    with Clients(None).admitted(None):  # type: ignore[arg-type]  # the call is not looked at
        pass
