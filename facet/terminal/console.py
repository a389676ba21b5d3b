"""What all commands share: exit codes, output for people and for programs, and the connection to a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from facet import Client, FacetError
from facet.client.channel import ADDRESS_VARIABLE, DEFAULT_ADDRESS, TOKEN_VARIABLE
from facet.client.errors import StatusCode
from facet.client.tls import CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE
from facet.terminal import tls
from facet.terminal.counts import agreeing
from facet.terminal.program import spelled
from facet.terminal.visible import json_line, visible

DONE, FAILED, USAGE = 0, 1, 2
INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as shells report it: 128 + SIGINT."""

_NAMED = 5
"""Galleries in a message."""


class _Console(Console):
    """A console that shows what acts on a terminal as escapes."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Make rich's text of a string, which may be a cell or a title of a table."""
        return super().render_str(visible(text), **options)


# Names, ids and paths are printed as they are: "a[/b]" is not markup, and ":man:" is not an emoji. For colours, print a
# rich.text.Text; of a text from elsewhere, visible() makes one that is safe. Lines are never wrapped, so that paths in
# them can be copied; tables fit the width: that of the terminal, COLUMNS, or 80.
out = _Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
err = _Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)

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
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of tables.")]

__all__ = ["ADDRESS_VARIABLE", "DEFAULT_ADDRESS", "TOKEN_VARIABLE"]


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Print one line that says what went wrong, and exit."""
    err.print(message)
    raise typer.Exit(code)


@contextmanager
def telling_when_stopped(state: Callable[[], str]) -> Iterator[None]:
    """If Ctrl-C ends the block, print "stopped" and what ``state`` returns, and exit with :data:`INTERRUPTED`."""
    try:
        yield
    except KeyboardInterrupt:
        err.print(f"stopped: {state()}")
        raise typer.Exit(INTERRUPTED) from None


def print_json(value: Any) -> None:
    """Print one line of JSON on standard output."""
    print(json_line(value), flush=True)


class _Speed(ProgressColumn):
    """Steps per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} {self._unit}/s" if speed else "")


@contextmanager
def progress(description: str, total: int, *, done: int = 0, unit: str = "") -> Iterator[Progress]:
    """Show a progress bar on standard error if it is a terminal; ``advance(progress.task_ids[0])`` moves it.

    Args:
        description: shown beside the bar.
        total: number of steps.
        done: number of steps that were done before.
        unit: what a step is, in the plural. If given, the bar also shows steps per second.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *((_Speed(unit),) if unit else ()),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal or err.is_dumb_terminal) as bar:
        bar.add_task(description, total=total, completed=done)
        yield bar


def certificates(root: Path | None, certificate: Path | None = None, key: Path | None = None) -> tls.Tls:
    """Read the files of --root-certificates, --certificate and --key; exits with a usage error if that fails."""
    try:
        return tls.read(root, certificate, key)
    except tls.Unusable as error:
        fail(str(error), USAGE)


def client_warnings() -> AbstractContextManager[None]:
    """Print what a client that is made in the block warns of."""
    return tls.warnings_as_lines(err.print)


@contextmanager
def connect(
    address: str,
    token: str,
    root_certificates: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> Iterator[Client]:
    """Connect to a server. If a call fails, the command ends with one line that says why and what to do."""
    files = certificates(root_certificates, certificate, key)
    with client_warnings():
        connected = Client(address, token=token or None, **files)
    with connected as client:
        try:
            yield client
        except FacetError as error:
            hint = _galleries_hint(client) if error.reason == "GALLERY_NOT_FOUND" else ""
            fail(f"{explained(error, address, token)}{hint}")


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
