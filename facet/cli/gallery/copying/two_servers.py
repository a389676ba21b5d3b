"""The options of a command that speaks to two servers, and what to say if a call to one of them fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from facet import Client, FacetError
from facet.client.channel import ADDRESS_VARIABLE, DEFAULT_ADDRESS, TOKEN_VARIABLE
from facet.client.errors import StatusCode
from facet.client.tls import CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE
from facet.terminal.connection import Connection, client_warnings, explained
from facet.terminal.console import USAGE, fail
from facet.v1 import server_service_pb2 as pb

_File = Path | None


@dataclass(frozen=True, slots=True)
class TwoServers:
    """The options of the connections, see :func:`facet.terminal.command_line.option_groups.grouped_options`.

    The variables of other commands hold for ``--from``. The other server must not get the key that is for the first.
    """

    source: Annotated[
        str, typer.Option("--from", envvar=ADDRESS_VARIABLE, help="The server that has the galleries, host:port.")
    ] = DEFAULT_ADDRESS
    target: Annotated[
        str, typer.Option("--to", envvar="FACET_TO_ADDRESS", help="The server that gets them.", show_default=False)
    ] = ""
    source_token: Annotated[
        str,
        typer.Option("--from-token", envvar=["FACET_FROM_TOKEN", TOKEN_VARIABLE], help="The key for --from."),
    ] = field(default="", repr=False)
    target_token: Annotated[str, typer.Option("--to-token", envvar="FACET_TO_TOKEN", help="The key for --to.")] = field(
        default="", repr=False
    )
    source_ca: Annotated[
        _File,
        typer.Option(
            "--from-ca",
            envvar=["FACET_FROM_CA", CA_VARIABLE],
            help="PEM file to check --from against; encrypts.",
        ),
    ] = None
    target_ca: Annotated[
        _File, typer.Option("--to-ca", envvar="FACET_TO_CA", help="PEM file to check --to against; encrypts.")
    ] = None
    certificate: Annotated[
        _File, typer.Option("--certificate", envvar=CERTIFICATE_VARIABLE, help="This client's, for servers with a CA.")
    ] = None
    key: Annotated[_File, typer.Option("--key", envvar=KEY_VARIABLE, help="PEM file with its key.")] = None

    @contextmanager
    def open(self) -> Iterator[tuple[Side, Side]]:
        """Connect to both servers, and ask both who they are.

        Raises:
            NotCopied: one of them cannot be asked.
        """
        if (self.certificate or self.key) and not (self.source_ca or self.target_ca):
            fail("--certificate and --key are for servers with a CA: add --from-ca, --to-ca, or both", USAGE)
        source = Connection(self.source, self.source_token, self.source_ca, *self._certificate(self.source_ca))
        target = Connection(self.target, self.target_token, self.target_ca, *self._certificate(self.target_ca))
        with _connected(source) as one, _connected(target) as other:
            yield Side.of("from", source, one), Side.of("to", target, other)

    def _certificate(self, ca: _File) -> tuple[_File, _File]:
        """The files of the client, where the connection is encrypted."""
        return (None, None) if ca is None else (self.certificate, self.key)


class NotCopied(Exception):
    """A gallery cannot be copied. The message is one line that says why, and what to do."""


class ServerLost(NotCopied):
    """No gallery can be copied any more: a server does not answer, or does not take the key."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two servers.

    Attributes:
        name: "from" or "to", as in the options.
        connection: how it is reached.
        client: the open client.
        info: what it said about itself.
    """

    name: str
    connection: Connection
    client: Client
    info: pb.GetServerInfoResponse = field(default_factory=pb.GetServerInfoResponse)

    @classmethod
    def of(cls, name: str, connection: Connection, client: Client) -> Side:
        """Ask a server who it is.

        Raises:
            NotCopied: it does not answer, or not to this caller.
        """
        with cls(name, connection, client).blamed():
            return cls(name, connection, client, client.server.GetServerInfo(pb.GetServerInfoRequest()))

    @property
    def address(self) -> str:
        """The server's address."""
        return self.connection.address

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Blame this server if a call fails.

        Raises:
            NotCopied: a call failed.
        """
        try:
            yield
        except FacetError as error:
            self.blame(error)

    def blame(self, error: FacetError) -> NoReturn:
        """Say why a call to this server failed, and what to do."""
        text = explained(error, self.address, self.connection.token)
        for option in ("address", "token", "ca"):
            own = f"--{self.name}" if option == "address" else f"--{self.name}-{option}"
            text = text.replace(f"--{option}", own)
        text = text.replace(TOKEN_VARIABLE, f"FACET_{self.name.upper()}_TOKEN")
        is_lost = error.code is StatusCode.UNAUTHENTICATED or (
            error.code is StatusCode.UNAVAILABLE and not error.reason
        )
        kind = ServerLost if is_lost else NotCopied
        raise kind(text if self.address in text else f"{self.address}: {text}") from None


@contextmanager
def _connected(connection: Connection) -> Iterator[Client]:
    files = connection.certificates()
    with client_warnings():
        connected = Client(connection.address, token=connection.token, **files)
    with connected as client:
        yield client
