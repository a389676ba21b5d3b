"""The command group ``facet keys``."""

from __future__ import annotations

import typer

from facet.cli.keys.create import create
from facet.cli.keys.listing import list_callers
from facet.cli.keys.revoke import revoke
from facet.cli.keys.rotate import rotate
from facet.terminal.command_line.help import Command, CommandGroup

app = typer.Typer(
    cls=CommandGroup,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="""Say who may call a server: create, list, revoke and rotate the keys of its callers.

[b]Examples[/b]

  facet keys create --label Lobby --scope recognize --gallery lobby
  facet keys list
  facet keys rotate 3f9a1c20b7 --overlap 24h
  facet keys revoke 3f9a1c20b7

The commands change the callers file: run them on the server's machine, as the server's user. The server need not be
restarted: a change is in effect within a second, also for calls that are open. Once the file exists, the server lets in
only its callers.

With [b]--json[/b] every command prints JSON for programs.

Exit code: 0 done, 1 no such caller or the file cannot be used, 2 bad usage.""",
)
app.command("create", cls=Command)(create)
app.command("list", cls=Command)(list_callers)
app.command("revoke", cls=Command)(revoke)
app.command("rotate", cls=Command)(rotate)
