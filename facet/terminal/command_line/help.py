"""The help of commands, laid out for a terminal of 80 columns: no name is cut, and a flag shows no value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from facet.terminal.command_line.program import spelled

Entry = tuple[Text, Text]
"""A name, with the value that it takes, and what it does."""

_MOST_NAME = 26
"""Cells of the column of names; a longer name has a line of its own."""
_VALUES = {"str": "TEXT", "list[str]": "TEXT", "list[Path]": "PATH", "int range": "INT", "float range": "FLOAT"}
_FLAG = re.compile(r"(?<![\w-])--?[a-z][\w.-]*")


class Command(TyperCommand):
    """A command with our help: ``app.command(cls=Command)``. Errors of usage spell arguments as the help does."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for each in self.params:
            if each.param_type_name == "argument" and each.metavar is None:
                each.metavar = str(each.name).upper()

    def get_usage(self, ctx: Any) -> str:
        """Return the line of usage, with arguments in capitals: FILE, or [FILES] if it is not required."""
        return re.sub(r"\{(\w+)\}", r"\1", super().get_usage(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the signature is typer's
        """Print the help."""
        show(self, ctx)


class CommandGroup(TyperGroup):
    """A group of commands with our help: ``typer.Typer(cls=CommandGroup)``."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the signature is typer's
        """Print the help."""
        show(self, ctx)


def show(command: Any, ctx: Any) -> None:
    """Print the help of a command or a group."""
    console = Console(highlight=False)
    console.print(Padding(Text(command.get_usage(ctx), "bold"), 1))
    if command.help:
        console.print(Padding(_description(command.help), (0, 1, 1, 1)))
    shown = [each for each in command.get_params(ctx) if not getattr(each, "hidden", False)]
    arguments = [each for each in shown if each.param_type_name == "argument"]
    options = [each for each in shown if each.param_type_name == "option"]
    console.print(*_panels("Arguments", arguments, ctx), *_panels("Options", options, ctx), sep="", end="")
    for title, commands in _by_panel("Commands", getattr(command, "commands", {}).values()).items():
        console.print(panel(title, [(Text(each.name, "bold cyan"), _prose(_summary(each.help))) for each in commands]))


def panel(title: str, entries: Sequence[Entry]) -> RenderableType:
    """A frame of entries: names on the left, texts on the right."""
    width = max((cell_len(name.plain) for name, _ in entries if cell_len(name.plain) <= _MOST_NAME), default=8)
    return Panel(
        Group(*(_row(*entry, width) for entry in entries)), title=title, title_align="left", border_style="dim"
    )


def _row(name: Text, text: Text, width: int) -> RenderableType:
    if cell_len(name.plain) > width:
        return Group(name, Padding(text, (0, 0, 0, width + 2)))
    row = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    row.add_column(width=width)
    row.add_column(overflow="fold")  # a path longer than the column must stay readable to the end
    row.add_row(name, text)
    return row


def _panels(title: str, parameters: Sequence[Any], ctx: Any) -> Iterable[RenderableType]:
    for heading, of_panel in _by_panel(title, parameters).items():
        yield panel(heading, [(_name(each, ctx), _help(each, ctx)) for each in of_panel])


def _by_panel(title: str, items: Iterable[Any]) -> Mapping[str, list[Any]]:
    """Commands or parameters by the title of their panel, with those that name none first."""
    found: dict[str, list[Any]] = {title: []}
    for each in items:
        found.setdefault(getattr(each, "rich_help_panel", None) or title, []).append(each)
    return {heading: of_panel for heading, of_panel in found.items() if of_panel}


def _name(parameter: Any, ctx: Any) -> Text:
    if parameter.param_type_name == "argument":
        return Text(parameter.metavar + ("..." if parameter.nargs != 1 else ""), "bold cyan")
    names = ", ".join(sorted(parameter.opts, key=len))
    name = Text("/".join([names, *parameter.secondary_opts]), "bold cyan")
    if not parameter.is_flag:
        kind = parameter.display_type(ctx).strip("<>")
        name.append(f" {parameter.metavar or _VALUES.get(kind, kind if '|' in kind else kind.upper())}", "bold yellow")
    return name


def _help(parameter: Any, ctx: Any) -> Text:
    """What a parameter does, then its range, variable, default, and whether it is required."""
    notes = [_range(parameter.min, parameter.max)]
    if parameter.envvar:
        names = [parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar
        notes.append(f"env: {', '.join(names)}")
    if default := _default(parameter, ctx):
        notes.append(f"default: {default}")
    if parameter.required:
        notes.append("required")
    notes = [f"[{note}]" for note in notes if note]
    return Text(" ").join([_prose(parameter.help or ""), *(Text(note, "dim") for note in notes)])


def _range(least: float | None, most: float | None) -> str:
    if least is None and most is None:
        return ""
    if least is None:
        return f"at most {most}"
    return f"at least {least}" if most is None else f"{least} to {most}"


def _default(parameter: Any, ctx: Any) -> str:
    if not parameter.show_default:
        return ""
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    value = parameter.get_default(ctx, call=False)
    if isinstance(value, bool):
        names = parameter.opts if value else parameter.secondary_opts
        return names[0] if parameter.secondary_opts else ""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _description(text: str) -> RenderableType:
    """The paragraphs of a docstring, all but the first dim. Indented ones, such as examples, keep their lines."""
    first, *others = [
        each if "\n  " in f"\n{each}" else " ".join(each.split()) for each in text.partition("\f")[0].split("\n\n")
    ]
    rest = [Group(Text(), Text.assemble(_prose(each), style="dim")) for each in others]
    return Group(_prose(first), *rest)


def _summary(text: str) -> str:
    """The first paragraph of a docstring."""
    return " ".join(text.partition("\n\n")[0].split())


def _prose(text: str) -> Text:
    found = Text.from_markup(spelled(text))
    found.highlight_regex(_FLAG, "bold cyan")
    return found
