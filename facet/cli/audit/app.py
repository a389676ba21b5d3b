"""The command ``facet audit``: show and verify the audit log of a server."""

from __future__ import annotations

import typer

from facet.terminal.command_line.lazy import Lazy, lazy_group

COMMANDS = (
    Lazy("show", "facet.cli.audit.show:show", "Show who did what."),
    Lazy("verify", "facet.cli.audit.verify:verify_log", "Read a whole log, and say where it was changed."),
    Lazy("head", "facet.cli.audit.head:head", "Print the last entry, to keep it elsewhere."),
)

app = typer.Typer(cls=lazy_group(COMMANDS), add_completion=False, rich_markup_mode="rich", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Show and verify the audit log: who enrolled, changed, forgot, exported or searched what, when and from where.

    [b]Examples[/b]

      facet audit show audit --since 24h --action exported
      facet audit show --address 192.0.2.7:50051 --gallery team
      facet audit verify audit
      facet audit head audit

    The server keeps the log in the folder that the setting [b]audit.folder[/b] names. Run the commands on its machine,
    as the server's user, while the server runs or not. Show also asks a running server, with a caller that has the
    scope audit. With [b]--json[/b] every command prints JSON for programs.

    Exit code: 0 done and nothing is wrong, 1 the log was changed or cannot be read, 2 bad usage.
    """
