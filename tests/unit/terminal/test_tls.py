"""Certificates of a command: read and checked before it connects."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from facet.terminal.tls import Unusable, hint_of_listener, read
from tests.certificates import Authority


def test_files_are_read_as_the_client_takes_them(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    certificate, key = ca.sign("client")
    assert read(ca.file, certificate, key) == {
        "root_certificates": ca.pem,
        "certificate_chain": certificate.read_bytes(),
        "private_key": key.read_bytes(),
    }
    assert set(read(None, None, None).values()) == {None}


def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    certificate, key = ca.sign("client")
    old, old_key = ca.sign("old", end=datetime.now(UTC) - timedelta(hours=1))
    encrypted = tmp_path / "encrypted.key"
    private = load_pem_private_key(key.read_bytes(), None)
    encrypted.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    for files, said in (
        ((None, certificate, None), "--certificate and --key go together"),
        ((None, None, key), "--certificate and --key go together"),
        ((key, None, None), f"{key} holds no certificates in PEM"),
        ((tmp_path / "none", None, None), f"cannot read {tmp_path}/none: No such file"),
        ((None, key, key), f"{key} holds no certificate in PEM"),
        ((None, certificate, certificate), f"{certificate} holds no private key in PEM"),
        ((None, certificate, old_key), f"{old_key} is the key of another certificate than {certificate}"),
        ((None, certificate, encrypted), f"{encrypted} is encrypted: decrypt it"),
        ((None, old, old_key), f"{old} expired on "),
    ):
        with pytest.raises(Unusable) as caught:
            read(*files)
        assert str(caught.value).startswith(said)


def test_a_listener_that_refuses_connections_is_told_from_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert "if it uses TLS" in hint_of_listener(f"localhost:{port}")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # so that no other program listens there
        assert not hint_of_listener(f"127.0.0.1:{silent.getsockname()[1]}")
    assert not hint_of_listener("no port")
