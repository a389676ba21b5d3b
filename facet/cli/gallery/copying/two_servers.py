"""The options of a command that speaks to two servers, and what to do if a call to one of them fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from facet import Client, FacetError
from facet.client.channel import ADDRESS_VARIABLE, DEFAULT_ADDRESS, TOKEN_VARIABLE
from facet.client.tls import CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE
from facet.terminal.connection import Connection, client_warnings, explained
from facet.terminal.console import fail

_Ca = Path | None


@dataclass(frozen=True, slots=True)
class TwoServers:
    """The options of the connections, see :func:`facet.terminal.command_line.option_groups.grouped_options`.

    The variables of other commands hold, too, but FACET_TOKEN only for ``--from``: the other server must not get that.
    """

    source: Annotated[
        str, typer.Option("--from", envvar=ADDRESS_VARIABLE, help="The server that has the galleries, host:port.")
    ] = DEFAULT_ADDRESS
    target: Annotated[
        str, typer.Option("--to", envvar="FACET_TO_ADDRESS", help="The server that gets them.", show_default=False)
    ] = ""
    source_token: Annotated[
        str, typer.Option("--from-token", envvar=["FACET_FROM_TOKEN", TOKEN_VARIABLE], help="The key for --from.")
    ] = field(default="", repr=False)
    target_token: Annotated[str, typer.Option("--to-token", envvar="FACET_TO_TOKEN", help="The key for --to.")] = field(
        default="", repr=False
    )
    source_ca: Annotated[
        _Ca, typer.Option("--from-ca", envvar=["FACET_FROM_CA", CA_VARIABLE], help="Checks --from; as --ca elsewhere.")
    ] = None
    target_ca: Annotated[
        _Ca, typer.Option("--to-ca", envvar=["FACET_TO_CA", CA_VARIABLE], help="Checks --to; as --ca elsewhere.")
    ] = None
    certificate: Annotated[
        _Ca, typer.Option("--certificate", envvar=CERTIFICATE_VARIABLE, help="This client's, for servers with a CA.")
    ] = None
    key: Annotated[_Ca, typer.Option("--key", envvar=KEY_VARIABLE, help="PEM file with its key.")] = None

    @contextmanager
    def open(self) -> Iterator[tuple[Side, Side]]:
        """Connect to both servers."""
        source = Connection(self.source, self.source_token, self.source_ca, *self._certificate(self.source_ca))
        target = Connection(self.target, self.target_token, self.target_ca, *self._certificate(self.target_ca))
        with _connected(source) as one, _connected(target) as other:
            yield Side("from", source, one), Side("to", target, other)

    def _certificate(self, ca: _Ca) -> tuple[_Ca, _Ca]:
        """The files of the client, where the connection is encrypted."""
        return (None, None) if ca is None else (self.certificate, self.key)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two servers.

    Attributes:
        name: "from" or "to", as in the options.
        connection: how it is reached.
        client: the open client.
    """

    name: str
    connection: Connection
    client: Client

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """End the command with one line if a call to this server fails."""
        try:
            yield
        except FacetError as error:
            self.fail(error)

    def fail(self, error: FacetError) -> None:
        """End the command with one line that says why a call failed, and what to do."""
        text = explained(error, self.connection.address, self.connection.token)
        for option in ("address", "token", "ca"):
            own = f"--{self.name}" if option == "address" else f"--{self.name}-{option}"
            text = text.replace(f"--{option}", own)
        text = text.replace(TOKEN_VARIABLE, f"FACET_{self.name.upper()}_TOKEN")
        fail(text if self.connection.address in text else f"{self.connection.address}: {text}")


@contextmanager
def _connected(connection: Connection) -> Iterator[Client]:
    files = connection.certificates()
    with client_warnings():
        connected = Client(connection.address, token=connection.token, **files)
    with connected as client:
        yield client
