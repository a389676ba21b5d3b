"""The command ``facet``: which commands there are, and where they are."""

from __future__ import annotations

from typing import Annotated

import typer

from facet import __version__
from facet.terminal.command_line.lazy import Lazy, lazy_group

_SERVER, _PEOPLE, _PICTURES, _EVIDENCE = "Server", "People", "Pictures and cameras", "Accuracy and speed"

COMMANDS = (
    Lazy("serve", "facet.cli.serve:app", "Run the server.", _SERVER),
    Lazy("status", "facet.cli.status.app:app", "Show how a server is doing.", _SERVER),
    Lazy("keys", "facet.cli.keys.app:app", "Say who may call: create, list, revoke, rotate.", _SERVER),
    Lazy("models", "facet.cli.models.app:app", "List, fetch, add and export model files.", _SERVER),
    Lazy("gallery", "facet.cli.gallery.app:app", "List, delete, back up, restore, verify, export, import.", _SERVER),
    Lazy("audit", "facet.cli.audit.app:app", "Show and verify the audit log.", _SERVER),
    Lazy("certs", "facet.cli.certs.app:app", "Make certificates for development, and show certificates.", _SERVER),
    Lazy("licenses", "facet.cli.licenses:app", "List the licences of packages and models.", _SERVER),
    Lazy("demo", "facet.cli.demo:main", "Find one man in a picture of his squad.", _SERVER),
    Lazy("enroll", "facet.cli.people.enroll:app", "Enrol people from pictures.", _PEOPLE),
    Lazy("people", "facet.cli.people.app:app", "List, show, rename and forget people.", _PEOPLE),
    Lazy("identify", "facet.cli.identify:app", "Say who is in pictures.", _PICTURES),
    Lazy("batch", "facet.cli.batch:app", "Say who is in very many pictures.", _PICTURES),
    Lazy("camera", "facet.cli.camera:app", "Say who is in front of a camera.", _PICTURES),
    Lazy("outcome", "facet.cli.outcome:app", "Say whether an answer was right.", _EVIDENCE),
    Lazy("calibrate", "facet.cli.calibrate.app:app", "Set a gallery's threshold from evidence.", _EVIDENCE),
    Lazy("evaluate", "facet.cli.evaluate.app:app", "Measure how well a server finds and recognises faces.", _EVIDENCE),
    Lazy("bench", "facet.benchmarks.commands:app", "Measure speed, memory and drift on this machine.", _EVIDENCE),
)

app = typer.Typer(cls=lazy_group(COMMANDS), rich_markup_mode="rich", no_args_is_help=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"facet {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Facet finds people in pictures and says who they are.

    Start a server with [b]facet serve[/b]; most other commands are its clients. [b]facet COMMAND --help[/b] teaches a
    command. With [b]--json[/b] every command prints JSON for programs.
    """
