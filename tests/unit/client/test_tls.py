"""Where a client's certificates come from, when it warns of its token, and what it says of a failed connection."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from facet import AsyncClient, Client, InsecureConnectionWarning
from facet.client.failures import hint_of
from facet.client.tls import UNENCRYPTED, credentials, is_local
from tests.certificates import Authority


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("localhost:50051", True),
        ("127.0.0.1:50051", True),
        ("127.8.9.1", True),
        ("[::1]:50051", True),
        ("::1", True),
        ("dns:///localhost:50051", True),
        ("ipv4:127.0.0.1:50051", True),
        ("unix:/run/facet.sock", True),
        ("facet.example:50051", False),
        ("localhost.example:50051", False),
        ("192.0.2.1:50051", False),
        ("[2001:db8::1]:50051", False),
        ("dns:///facet.example:50051", False),
    ],
)
def test_addresses_of_this_machine_are_known(address: str, local: bool) -> None:
    assert is_local(address) is local


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The environment's variables, with the files of a client."""
    ca = Authority(tmp_path)
    certificate, key = ca.sign("client")
    return {"FACET_CA": str(ca.file), "FACET_CERTIFICATE": str(certificate), "FACET_KEY": str(key)}


def test_certificates_come_from_the_environment_unless_they_are_given(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert credentials(None, None, None) is None
    for name, file in files.items():
        monkeypatch.setenv(name, file)
    assert credentials(None, None, None) is not None
    assert credentials(UNENCRYPTED, None, None) is None
    monkeypatch.delenv("FACET_KEY")
    with pytest.raises(ValueError, match="needs both FACET_CERTIFICATE and FACET_KEY"):
        credentials(None, None, None)
    monkeypatch.setenv("FACET_CA", "/nowhere/ca.pem")
    with pytest.raises(FileNotFoundError, match=r"/nowhere/ca\.pem"):
        credentials(None, b"certificate", b"key")


async def test_a_token_without_tls_is_warned_of_if_it_leaves_the_machine(tmp_path: Path) -> None:
    ca = Authority(tmp_path).pem
    with pytest.warns(InsecureConnectionWarning, match="the token for 192.0.2.1:1 crosses the network unencrypted"):
        Client("192.0.2.1:1", token="secret").close()
    with pytest.warns(InsecureConnectionWarning, match="FACET_CA"):
        await AsyncClient("192.0.2.1:1", token="secret").close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Client("192.0.2.1:1").close()
        Client("localhost:1", token="secret").close()
        Client("192.0.2.1:1", token="secret", root_certificates=ca).close()


def test_an_unknown_failure_has_no_hint() -> None:
    assert not hint_of("failed to connect to all addresses; last error: UNKNOWN: Connection refused")
    assert not hint_of("Socket closed"), "a call that has begun"
