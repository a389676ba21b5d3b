"""Callers that are known by their client certificates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from facet import Client, Unauthenticated
from facet.server.access.callers.callers_file import changing
from facet.server.access.callers.key import key_of
from tests.certificates import CLIENT, SERVER, Authority
from tests.unit.server.access.entries import CREATED, entry
from tests.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.conftest import Serving, Start

URI = "spiffe://example/camera/7"


class Site:
    """A server that asks for client certificates, and knows callers by them."""

    def __init__(self, serving: Serving, ca: Authority, callers: Path) -> None:
        self.serving, self.ca, self.callers = serving, ca, callers

    def client(self, name: str, *names: str, **options: Any) -> Client:
        """A client with a certificate that has these names."""
        certificate, key = (each.read_bytes() for each in self.ca.sign(name, *names, usage=CLIENT))
        address = self.serving.address.replace("127.0.0.1", "localhost")
        tls: dict[str, Any] = {"root_certificates": self.ca.pem, "certificate_chain": certificate, "private_key": key}
        return Client(address, timeout=PATIENCE, **tls, **options)


@pytest.fixture(scope="module")
def site(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    callers, ca = folder / "facet.callers.json", Authority(folder)
    with changing(callers) as entries:
        entries += [
            entry("door", kind="certificate", certificate="Door-7.example"),
            entry("camera", kind="certificate", certificate=URI),
            entry("desk", "secret"),
        ]
    certificate, key = ca.sign("server", "DNS:localhost", usage=SERVER)
    tls = ("--server.tls-certificate", str(certificate), "--server.tls-key", str(key))
    serving = start(folder, "--models.objects", "none", *tls, "--server.tls-client-ca", str(ca.file))
    yield Site(serving, ca, callers)
    serving.stop()


def caller_of(client: Client) -> str:
    with client:
        return client.get_server_info().caller.id


def test_the_names_in_a_certificate_say_who_calls(site: Site) -> None:
    assert caller_of(site.client("door", "DNS:other.example", "DNS:door-7.EXAMPLE")) == "certificate:door"
    assert caller_of(site.client("camera", f"URI:{URI}")) == "certificate:camera"


def test_a_certificate_that_names_nobody_or_two_callers_is_refused(site: Site) -> None:
    for name, names in (("nobody", ["DNS:door-8.example"]), ("both", ["DNS:door-7.example", f"URI:{URI}"])):
        with site.client(name, *names) as client, pytest.raises(Unauthenticated):
            client.get_server_info()


def test_a_key_decides_if_it_is_sent_beside_a_certificate(site: Site) -> None:
    assert caller_of(site.client("door", "DNS:door-7.example", token=key_of("desk", "secret"))) == "key:desk"
    with site.client("door", "DNS:door-7.example", token="wrong") as client, pytest.raises(Unauthenticated):
        client.get_server_info()


def test_a_caller_that_is_revoked_is_refused_with_its_good_certificate(site: Site) -> None:
    with site.client("camera", f"URI:{URI}") as client:
        assert client.get_server_info().caller.id == "certificate:camera"
        with changing(site.callers) as entries:
            entries[:] = [
                each.model_copy(update={"revoked": CREATED}) if each.id == "camera" else each for each in entries
            ]
        until(lambda: is_refused(client))


def is_refused(client: Client) -> bool:
    try:
        client.get_server_info()
    except Unauthenticated:
        return True
    return False
