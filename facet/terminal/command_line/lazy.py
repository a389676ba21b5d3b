"""Groups of commands that import a command only when it is used.

``facet --help`` is then fast, and a package that is missing is missed only by the commands that need it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand

from facet.terminal.command_line.help import Command, CommandGroup
from facet.terminal.command_line.program import NAME, script
from facet.terminal.installation import remedy


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command that is yet to be imported.

    Attributes:
        name: as it is typed.
        target: "module:attribute": a :class:`typer.Typer`, or a function.
        help: one line, for the list of commands.
        panel: the heading that it is listed under.
    """

    name: str
    target: str
    help: str
    panel: str = "Commands"


class LazyGroup(CommandGroup):
    """A group whose commands are placeholders, good for its help and completion, until one is used.

    Attributes:
        lazy: its commands, in the order of its help.
    """

    lazy: ClassVar[tuple[Lazy, ...]] = ()

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for each in self.lazy:
            self.commands[each.name] = TyperCommand(each.name, help=each.help, rich_help_panel=each.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is to run, and import it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and self.load(str(name)), rest

    def load(self, name: str) -> Any:
        """Import one of the commands."""
        return loaded(next(each.target for each in self.lazy if each.name == name), name)


def lazy_group(commands: Sequence[Lazy]) -> type[LazyGroup]:
    """The class of a group of these commands, for ``typer.Typer(cls=...)``."""
    return type("Group", (LazyGroup,), {"lazy": tuple(commands)})


def run(target: str) -> None:
    """Run a program: the command "module:attribute"."""
    name = script() or NAME
    try:
        command = loaded(target, name)
    except typer.Exit as end:
        sys.exit(end.exit_code)
    try:
        command(prog_name=name, help_option_names=["-h", "--help"])
    except SystemExit as end:
        if _was_interrupted(end):
            print("stopped", file=sys.stderr)
        raise


def loaded(target: str, name: str) -> Any:
    """Import the command "module:attribute"; exits with one line if a package that it needs is missing."""
    module, _, attribute = target.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except ImportError as error:
        line = remedy(error)
        if not line:
            raise
        print(line, file=sys.stderr)
        raise typer.Exit(1) from error
    if not isinstance(found, typer.Typer):
        app = typer.Typer(add_completion=False, rich_markup_mode="rich")
        app.command(cls=Command)(found)
        found = app
    command = typer.main.get_command(found)
    command.name = name
    return command


def _was_interrupted(end: SystemExit) -> bool:
    """Whether Typer turned Ctrl-C into this exit; a command that has reported it exits without that cause."""
    return isinstance(end.__context__, typer.Exit) and isinstance(end.__context__.__cause__, KeyboardInterrupt)
