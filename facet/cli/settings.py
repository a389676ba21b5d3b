"""The settings of the server in the help and the shell completion of ``facet serve``; the configuration parses them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from rich.console import Console
from rich.text import Text

from facet.server.config import Config
from facet.server.config.problems import no_such
from facet.terminal.command_line.help import Command, Entry, panel
from facet.terminal.command_line.program import spelled

_OTHER_FLAGS = frozenset({"--config", "--insecure", "--processes", "--json", "--help"})
"""Flags of ``facet serve`` that are no settings; it parses them itself."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as a flag.

    Attributes:
        section: the first part of its name.
        flag: such as ``--server.port``.
        values: what it takes, such as ``INT`` or ``latency|throughput``; empty for a switch.
        default: as text; empty if there is none.
        help: what it does.
    """

    section: str
    flag: str
    values: str
    default: str
    help: str


class CommandWithSettings(Command):
    """A command that also lists the settings in its help, and completes them."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help of the command, then a panel of settings for each section."""
        super().format_help(ctx, formatter)
        console, found = Console(highlight=False), list(settings())
        for section in Config.model_fields:
            console.print(panel(section, [_described(each) for each in found if each.section == section]))

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete the command's own flags and those of settings."""
        listing = copy(self)
        listing.params = [*self.params, *_as_options()]
        return Command.shell_complete(listing, ctx, incomplete)


def settings() -> Iterator[Setting]:
    """All settings, in the order of the configuration."""
    for section, of_section in Config.model_fields.items():
        for name, field in of_section.annotation.model_fields.items():  # type: ignore[union-attr]
            flag = f"--{section}.{name.replace('_', '-')}"
            default = ", ".join(field.default) if isinstance(field.default, tuple) else field.default
            values = _values(field.annotation)
            if not values:
                flag, default = f"{flag}/--no-{flag[2:]}", "on" if default else "off"
            yield Setting(
                section,
                flag,
                values,
                "" if default is None else str(default),
                " ".join((field.description or "").split()),
            )


def unknown_flag(arguments: Sequence[str]) -> str:
    """What is wrong with the first flag that is no setting, in one line; empty if all are."""
    known = {flag for each in settings() for flag in each.flag.split("/")}
    sections = {f"--{section}" for section in Config.model_fields}  # the configuration takes them as JSON
    for argument in arguments:
        flag = argument.partition("=")[0]
        if flag.startswith("--") and flag not in known | sections:
            return no_such(flag, known | _OTHER_FLAGS)
    return ""


def _described(setting: Setting) -> Entry:
    name = Text(setting.flag, "bold cyan")
    if setting.values:
        name.append(f" {setting.values}", "bold yellow")
    text = Text(spelled(setting.help))
    if setting.default:
        text.append(f" [default: {setting.default}]", "dim")
    return name, text


def _values(annotation: Any) -> str:
    """What a setting takes, in a word; empty for a switch."""
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not type(None)]
    names = {bool: "", int: "INT", float: "FLOAT"}
    return names.get(kinds[0], "PATH" if kinds[0].__name__ == "Path" else "TEXT")


def _as_options() -> list[Any]:
    """An option for every setting, as typer makes them of a function's parameters."""

    def function(**_: str) -> None:
        """Nothing is run."""

    parameters = [
        inspect.Parameter(
            f"setting_{number}",
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[str if each.values else bool, typer.Option(each.flag, help=each.help)],
            default="" if each.values else False,
        )
        for number, each in enumerate(settings())
    ]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app = typer.Typer(add_completion=False)
    app.command()(function)
    return list(typer.main.get_command(app).params)
