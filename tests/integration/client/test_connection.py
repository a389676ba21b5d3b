"""Ways to a server: certificates of clients, and channels of the caller's own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from facet import AsyncClient, Client, DeadlineExceeded, ServingStatus, Unavailable
from facet.v1.server_service_pb2 import (
    GetServerInfoRequest,
    GetServerInfoResponse,
    ListAuditEntriesRequest,
    ListAuditEntriesResponse,
)
from facet.v1.server_service_pb2_grpc import ServerServiceServicer, add_ServerServiceServicer_to_server
from tests.certificates import Authority
from tests.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving


class Greeter(ServerServiceServicer):
    """Says its version.

    Args:
        version: what it says.
    """

    def __init__(self, version: str) -> None:
        self._version = version

    def GetServerInfo(  # noqa: N802 - the proto's name
        self, request: GetServerInfoRequest, context: grpc.ServicerContext
    ) -> GetServerInfoResponse:
        return GetServerInfoResponse(version=self._version)

    def ListAuditEntries(  # noqa: N802 - the proto's name
        self, request: ListAuditEntriesRequest, context: grpc.ServicerContext
    ) -> ListAuditEntriesResponse:
        return ListAuditEntriesResponse()


@contextmanager
def serving(credentials: grpc.ServerCredentials | None, version: str = "of this test") -> Iterator[str]:
    """A server that talks only to those with credentials, or without TLS; its address."""
    with ThreadPoolExecutor(2) as workers:
        server = grpc.server(workers)
        add_ServerServiceServicer_to_server(Greeter(version), server)
        address = "127.0.0.1:0"
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


async def test_a_server_that_asks_for_a_certificate_gets_the_clients(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    server_certificate, server_key = (file.read_bytes() for file in ca.sign("server", "IP:127.0.0.1"))
    certificate, key = (file.read_bytes() for file in ca.sign("client", "DNS:client"))
    wanted = grpc.ssl_server_credentials([(server_key, server_certificate)], ca.pem, require_client_auth=True)
    with serving(wanted) as address:
        given: dict[str, Any] = {"root_certificates": ca.pem, "certificate_chain": certificate, "private_key": key}
        with Client(address, timeout=PATIENCE, **given) as client:
            assert client.get_server_info().version == "of this test"
        async with AsyncClient(address, timeout=PATIENCE, **given) as connected:
            assert (await connected.get_server_info()).version == "of this test"
        stranger = Client(address, root_certificates=ca.pem, timeout=PATIENCE)
        with stranger, pytest.raises(Unavailable):
            stranger.get_server_info()


def hint(address: str, ca: bytes | None, chain: bytes | None = None, key: bytes | None = None) -> str:
    """What the client says of a server that it cannot connect to."""
    with Client(address, root_certificates=ca, certificate_chain=chain, private_key=key, timeout=PATIENCE) as client:
        with pytest.raises(Unavailable) as caught:
            client.get_server_info()
        assert str(caught.value) == f"UNAVAILABLE: {caught.value.hint}"
        assert not caught.value.reason
        return caught.value.hint


def test_a_connection_that_fails_says_what_is_wrong_with_a_certificate(tmp_path: Path) -> None:
    ca, other = Authority(tmp_path, "ca"), Authority(tmp_path, "other")

    def signed(name: str, names: str = "IP:127.0.0.1", **dates: Any) -> tuple[bytes, bytes]:
        certificate, key = ca.sign(name, names, **dates)
        return key.read_bytes(), certificate.read_bytes()

    now, hour = datetime.now(UTC), timedelta(hours=1)
    good, old = signed("good"), signed("old", end=now - hour)
    early, elsewhere = signed("early", start=now + hour), signed("elsewhere", "DNS:elsewhere")
    with serving(grpc.ssl_server_credentials([good])) as address:
        assert "the CA that the client trusts has not signed" in hint(address, other.pem)
        assert "the server closes the connection: if it uses TLS" in hint(address, None)
        assert "is not PEM, or the key is of another certificate" in hint(address, b"no certificate")
        assert "is not PEM, or the key is of another certificate" in hint(address, ca.pem, good[1], early[0])
    for pair, said in (
        (old, "the server's certificate, or the CA that signed it, has expired"),
        (early, "the server's certificate is not valid yet"),
        (elsewhere, "the server's certificate is for other names"),
    ):
        with serving(grpc.ssl_server_credentials([pair])) as address:
            assert said in hint(address, ca.pem)
    with serving(grpc.ssl_server_credentials([good], ca.pem, require_client_auth=True)) as address:
        assert "if it asks for a client certificate, the client has none" in hint(address, ca.pem)
    with serving(None) as address:
        assert "the server does not use TLS" in hint(address, ca.pem)


async def test_calls_go_to_all_servers_of_an_address_if_they_shall_and_to_the_others_once_one_is_gone() -> None:
    with serving(None, "one") as one, ExitStack() as stopped:
        other = stopped.enter_context(serving(None, "other"))
        address = f"ipv4:{one},{other}"
        with Client(address, round_robin=True, timeout=PATIENCE) as client, Client(address, timeout=PATIENCE) as same:
            until(lambda: versions(client) == {"one", "other"}, "a server gets no calls")
            assert len(versions(same)) == 1
            async with AsyncClient(address, round_robin=True, timeout=PATIENCE) as connected:
                seen: set[str] = set()
                while seen != {"one", "other"}:
                    seen.add((await connected.get_server_info()).version)
            stopped.close()
            assert versions(client) == {"one"}
    with grpc.insecure_channel(one) as channel, pytest.raises(ValueError, match="policy"):
        Client(channel=channel, round_robin=True)


def versions(client: Client) -> set[str]:
    """Return who answers some calls."""
    return {client.get_server_info().version for _ in range(8)}


async def test_a_channel_of_the_callers_own_is_used_and_left_open(server: Serving) -> None:
    with grpc.insecure_channel(server.address) as channel:
        for _ in range(2):
            with Client(channel=channel) as client:
                assert client.check_health() is ServingStatus.SERVING
    async with grpc.aio.insecure_channel(server.address) as asynchronous:
        for _ in range(2):
            async with AsyncClient(channel=asynchronous) as connected:
                assert await connected.check_health() is ServingStatus.SERVING


async def test_calls_on_a_channel_of_the_callers_own_have_the_clients_deadline(
    server: Serving, pictures: Pictures
) -> None:
    with grpc.insecure_channel(server.address) as channel, pytest.raises(DeadlineExceeded):
        Client(channel=channel, timeout=0.005).detect(pictures.players)
    async with grpc.aio.insecure_channel(server.address) as asynchronous:
        with pytest.raises(DeadlineExceeded):
            await AsyncClient(channel=asynchronous, timeout=0.005).detect(pictures.players)


async def test_arguments_that_do_not_go_together_are_refused() -> None:
    with grpc.insecure_channel("localhost:1") as channel:
        with pytest.raises(ValueError, match="give either"):
            Client("localhost:1", channel=channel)
        with pytest.raises(ValueError, match="give either"):
            Client(channel=channel, root_certificates=b"x")
    for client in (Client, AsyncClient):
        with pytest.raises(ValueError, match="both certificate_chain and private_key"):
            client(certificate_chain=b"x")
        with pytest.raises(ValueError, match="both certificate_chain and private_key"):
            client(private_key=b"x")
