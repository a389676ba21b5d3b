"""The command group ``facet people``."""

from __future__ import annotations

import typer

from facet.cli.people.access_report import access_report
from facet.cli.people.consent import consent, expire
from facet.cli.people.corrections import apart, apart_list, changes, merge, move, undo
from facet.cli.people.erasure_report import erasure_report
from facet.cli.people.forget import forget, forget_template
from facet.cli.people.listing import list_people
from facet.cli.people.rename import rename
from facet.cli.people.show import show
from facet.terminal.command_line.help import Command, CommandGroup


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this group to a program."""
    app.command("list", cls=Command)(list_people)
    app.command("show", cls=Command)(show)
    app.command("access-report", cls=Command)(access_report)
    app.command("erasure-report", cls=Command)(erasure_report)
    app.command("rename", cls=Command)(rename)
    app.command("consent", cls=Command)(consent)
    app.command("expire", cls=Command)(expire)
    app.command("merge", cls=Command)(merge)
    app.command("move", cls=Command)(move)
    app.command("undo", cls=Command)(undo)
    app.command("changes", cls=Command)(changes)
    app.command("apart", cls=Command)(apart)
    app.command("apart-list", cls=Command)(apart_list)
    app.command("forget", cls=Command)(forget)
    app.command("forget-template", cls=Command)(forget_template)


app = typer.Typer(
    cls=CommandGroup,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="""List, show, rename, correct and forget the people of a gallery; record consents and expiries.

[b]Examples[/b]

  facet people list --gallery team
  facet people show yao --gallery team --pictures people/
  facet people access-report yao --gallery team --output yao.zip
  facet people erasure-report --gallery team --subject yao
  facet people rename yao "Yao Ming" --gallery team
  facet people consent yao --gallery team --basis consent --reference form-17
  facet people expire yao --gallery team --at 1y
  facet people merge yao-2 yao --gallery team
  facet people move TEMPLATE_ID --from yao --to liu --gallery team
  facet people changes --gallery team
  facet people undo CHANGE_ID --gallery team
  facet people apart ann beth --gallery team
  facet people forget yao --gallery team
  facet people forget-template yao TEMPLATE_ID --gallery team

With [b]--json[/b] every command prints JSON for programs.

Exit code: 0 success, 1 something failed or was not found, 2 bad usage.""",
)
add_commands(app)
