"""The command group ``facet certs``: certificates for development, and what is in a certificate."""

from __future__ import annotations

import typer

from facet.terminal.command_line.lazy import Lazy, lazy_group

COMMANDS = (
    Lazy("server", "facet.cli.certs.make:server", "Make a certificate for a server, and a CA if there is none."),
    Lazy("client", "facet.cli.certs.make:client", "Make a certificate for a client, and a CA if there is none."),
    Lazy("show", "facet.cli.certs.show:show", "Show whose certificate a file holds, and until when it is valid."),
)

app = typer.Typer(cls=lazy_group(COMMANDS), add_completion=False, rich_markup_mode="rich", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Make certificates for development, and show what is in a certificate.

    A CA in a folder signs the certificates of the servers and clients there. They are short-lived, and whoever has the
    folder can make more: in production, let the authority of your organisation sign certificates. docs/security.md
    explains TLS.

    [b]Examples[/b]

      facet certs server
      facet certs client camera-1
      facet certs show certs/server.pem

    With [b]--json[/b] every command prints JSON for programs.

    Exit code: 0 done, 1 failed, 2 bad usage.
    """
