"""The connection of a command to a server: its options, and what to do if a call fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from facet import Client, FacetError
from facet.client.channel import ADDRESS_VARIABLE, DEFAULT_ADDRESS, TOKEN_VARIABLE
from facet.client.errors import StatusCode
from facet.client.tls import CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE
from facet.terminal import tls
from facet.terminal.command_line.program import spelled
from facet.terminal.console import USAGE, err, fail
from facet.terminal.counts import agreeing

_NAMED = 5
"""Galleries in a message."""

Address = Annotated[str, typer.Option(envvar=ADDRESS_VARIABLE, help="The server, host:port.", show_default=True)]
Token = Annotated[str, typer.Option(envvar=TOKEN_VARIABLE, help="The key of a caller, if the server needs one.")]
RootCertificates = Annotated[
    Path | None,
    typer.Option(
        "--root-certificates",
        "--ca",
        envvar=CA_VARIABLE,
        help="PEM file to check the server's certificate against; encrypts the connection.",
        show_default=False,
    ),
]
ClientCertificate = Annotated[
    Path | None,
    typer.Option(
        "--certificate",
        envvar=CERTIFICATE_VARIABLE,
        help="PEM file with the certificate of this client, if the server asks for one.",
        show_default=False,
    ),
]
ClientKey = Annotated[
    Path | None,
    typer.Option("--key", envvar=KEY_VARIABLE, help="PEM file with the key of --certificate.", show_default=False),
]


@dataclass(frozen=True, slots=True)
class Connection:
    """The options of a connection, see :func:`facet.terminal.command_line.option_groups.grouped_options`.

    Attributes:
        address: host:port of the server.
        token: the key of a caller; may be empty.
        root_certificates: PEM file that the server's certificate is checked against.
        client_certificate: PEM file with the certificate of the client.
        client_key: PEM file with its key.
    """

    address: Address = DEFAULT_ADDRESS
    token: Token = field(default="", repr=False)
    root_certificates: RootCertificates = None
    client_certificate: ClientCertificate = None
    client_key: ClientKey = None

    def certificates(self) -> tls.Tls:
        """Read the files; exits with a usage error if that fails."""
        try:
            return tls.read(self.root_certificates, self.client_certificate, self.client_key)
        except tls.Unusable as error:
            fail(str(error), USAGE)

    @contextmanager
    def open(self) -> Iterator[Client]:
        """Connect to the server. If a call fails, the command ends with one line that says why and what to do."""
        files = self.certificates()
        with client_warnings():
            connected = Client(self.address, token=self.token or None, **files)
        with connected as client:
            try:
                yield client
            except FacetError as error:
                hint = _galleries_hint(client) if error.reason == "GALLERY_NOT_FOUND" else ""
                fail(f"{explained(error, self.address, self.token)}{hint}")


def usual_address() -> str:
    """The server that commands ask without --address."""
    return os.environ.get(ADDRESS_VARIABLE, DEFAULT_ADDRESS)


def client_warnings() -> AbstractContextManager[None]:
    """Print what a client that is made in the block warns of."""
    return tls.warnings_as_lines(err.print)


def explained(error: FacetError, address: str, token: str) -> str:
    """One line for people: what failed, and what to do about it.

    Args:
        error: the error of a call.
        address: the server.
        token: the token that the call carried; may be empty.
    """
    if error.code is StatusCode.UNAVAILABLE and not error.reason:
        if hint := error.hint or tls.hint_of_listener(address):
            return f"no connection to the server at {address}: {hint}; see --ca, --certificate and --key"
        serve = spelled("facet serve")
        return f"no server answers at {address}: start one with {serve}, or name another with --address"
    if error.code is StatusCode.UNAUTHENTICATED:
        if token:
            return (
                f"the server at {address} refused this key: it is wrong, expired or revoked; check {TOKEN_VARIABLE} or "
                "--token, and facet keys list on the server's machine"
            )
        return (
            f"the server at {address} needs a key: set {TOKEN_VARIABLE} or --token; facet keys create on the server's "
            "machine makes one, or lets in the name of your --certificate if that has not expired"
        )
    if error.code is StatusCode.PERMISSION_DENIED:
        return f"{error.reason or error.code.name}: {error.message}; facet status says what you may do"
    return f"{error.reason or error.code.name}: {error.message}"


def _galleries_hint(client: Client) -> str:
    """Name some galleries of the server, and the command that creates one."""
    try:
        found = [gallery.gallery_id for gallery in client.list_galleries(page_size=_NAMED + 1).galleries]
    except FacetError:
        return ""
    if not found:
        return spelled("; there are no galleries yet: facet enroll creates one")
    more = ", ..." if len(found) > _NAMED else ""
    names = ", ".join(map(repr, found[:_NAMED]))
    return spelled(
        f"; there {agreeing(len(found), 'is')} {names}{more}: facet gallery list shows them, facet enroll creates one"
    )
