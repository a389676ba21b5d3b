"""Servers on loopback, each with one protection, and clients of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from facet import Client
from facet.cli.certs.authority import host_name, new_authority, sign
from facet.server.access.callers import callers_file, key
from facet.server.access.callers.callers_file import CallerEntry
from facet.server.access.identity import SCOPES
from facet.terminal import private_files
from facet.terminal.local_server import local_process

_DAYS = 1


@contextmanager
def plain_client(*flags: str) -> Iterator[Client]:
    """Start a server with these flags, that lets everybody in; gives a client."""
    with local_process("--models.objects", "none", *flags) as server, Client(server.address) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Secured:
    """A server with TLS whose callers need keys.

    Attributes:
        address: host and port.
        callers: its callers file.
        root_certificates: of its authority, PEM.
    """

    address: str
    callers: Path
    root_certificates: bytes

    def client(self, secret: str) -> Client:
        """A client with a key."""
        return Client(self.address, token=secret, root_certificates=self.root_certificates)

    def revoke(self, caller_id: str) -> None:
        """Revoke a key, as ``facet keys revoke`` does."""
        with callers_file.changing(self.callers) as entries:
            now = {"revoked": datetime.now(UTC)}
            entries[:] = [each.model_copy(update=now) if each.id == caller_id else each for each in entries]


@contextmanager
def secured_server(folder: Path, callers: int) -> Iterator[tuple[Secured, list[str]]]:
    """Start a server with TLS and keys; gives it and the keys, whose callers may do everything.

    Args:
        folder: for its files.
        callers: number of keys.
    """
    authority = new_authority(_DAYS)
    pair = sign(authority, "server", [host_name("127.0.0.1")], _DAYS)
    certificate, private = folder / "server.pem", folder / "server.key"
    certificate.write_bytes(pair.certificate_pem)
    private_files.write(private, pair.key_pem)
    file_of_callers = folder / "bench.callers.json"
    secrets = {key.new_id(): key.new_secret() for _ in range(callers)}
    with callers_file.changing(file_of_callers) as entries:
        entries += [_entry(caller_id, secret) for caller_id, secret in secrets.items()]
    tls = ("--server.tls-certificate", str(certificate), "--server.tls-key", str(private))
    quiet = ("--log.level", "error")  # streams whose key is revoked are warned of
    with local_process("--models.objects", "none", "--access.callers", str(file_of_callers), *tls, *quiet) as server:
        keys = [key.key_of(caller_id, secret) for caller_id, secret in secrets.items()]
        yield Secured(server.address, file_of_callers, authority.certificate_pem), keys


def _entry(caller_id: str, secret: str) -> CallerEntry:
    return CallerEntry(
        id=caller_id,
        kind="key",
        sha256=key.sha256(secret),
        scopes=list(SCOPES),
        galleries=["*"],
        created=datetime.now(UTC),
    )
