"""The program ``scripts/enroll.py``: enrolling and the commands of ``facet people`` in one group."""

from __future__ import annotations

from typing import Any

import typer

from facet.cli.people.app import add_commands
from facet.cli.people.enroll import enroll
from facet.terminal.command_line.help import Command, CommandGroup


class _AddByDefault(CommandGroup):
    """``enroll.py people/`` means ``enroll.py add people/``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["add", *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = typer.Typer(
    cls=_AddByDefault,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="""Enrol people from pictures; list, show, rename and forget them.

[b]Examples[/b]

  facet enroll people/ --gallery team
  facet enroll people.csv --gallery team
  facet enroll yao1.jpg yao2.jpg --subject yao --name "Yao Ming"
  facet people list --gallery team
  facet people forget yao --gallery team

A command can be repeated: a picture that is already enrolled is not enrolled again. With [b]--json[/b] every command
prints JSON for programs.

Exit code: 0 success, 1 something was rejected or failed, 2 bad usage.""",
)
app.command("add", cls=Command)(enroll)
add_commands(app)
