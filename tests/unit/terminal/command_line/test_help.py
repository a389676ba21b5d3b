"""The help of every command, at 80 columns."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
import typer
from rich.text import Text
from typer.testing import CliRunner

from facet.cli.app import app
from facet.cli.people.script import app as enroll_script
from facet.client.channel import TOKEN_VARIABLE
from facet.terminal.command_line.help import Command
from facet.terminal.command_line.lazy import LazyGroup

ROOT = typer.main.get_command(app)


def command_tree(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that it is typed as, from ``facet`` itself."""
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from command_tree(command.load(name) if isinstance(command, LazyGroup) else each, *path, name)


COMMANDS = dict(command_tree(ROOT))


def help_of(program: typer.Typer, *words: str) -> str:
    return CliRunner().invoke(program, [*words, "--help"], prog_name="facet", env={"COLUMNS": "80"}).stdout


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(("facet", *words)))
def test_help_fits_80_columns_without_cutting_names_or_giving_flags_a_value(words: tuple[str, ...]) -> None:
    said = help_of(app, *words)
    assert max(map(len, said.splitlines())) <= 80
    assert "\u2026" not in said
    assert "<bool>" not in said
    for option in COMMANDS[words].params:
        assert all(name in said for name in (*option.opts, *option.secondary_opts) if name.startswith("-"))
    examples = re.findall(r"^  .+", Text.from_markup(COMMANDS[words].help or "").plain, re.MULTILINE)
    assert all(line in said for line in examples)


def test_every_command_that_talks_to_a_server_takes_certificates() -> None:
    for words, command in COMMANDS.items():
        if any(getattr(option, "envvar", None) == TOKEN_VARIABLE for option in command.params):
            options = {name for option in command.params for name in option.opts}
            assert options >= {"--root-certificates", "--ca", "--certificate", "--key"}, " ".join(words)


def test_errors_of_usage_spell_arguments_as_the_help_does() -> None:
    failed = CliRunner().invoke(app, ["people", "undo"], prog_name="facet", env={"COLUMNS": "80"})
    assert failed.exit_code == 2
    assert "Usage: facet people undo [OPTIONS] CHANGE\n" in failed.stderr
    assert "Missing argument 'CHANGE'." in failed.stderr


def test_a_group_lists_its_commands_by_their_first_paragraph() -> None:
    said = help_of(app, "people")
    assert "Show a person and their templates." in said
    assert "SHA-256" not in said


def test_the_program_that_enrols_has_the_same_help() -> None:
    said = help_of(enroll_script, "add") + help_of(enroll_script)
    assert "--accept-low-quality " in said
    assert "<" not in said


def made(**parameters: Any) -> str:
    """The help of a command with these parameters, annotations with defaults."""

    def function(**_: Any) -> None:
        """Do it.

        Also
        that.
        """

    kinds = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in parameters.items()
    ]
    function.__signature__ = inspect.Signature(kinds)  # type: ignore[attr-defined]
    function.__annotations__ = {kind.name: kind.annotation for kind in kinds}
    program = typer.Typer(add_completion=False)
    program.command(cls=Command)(function)
    return help_of(program)


@pytest.mark.parametrize(
    ("annotation", "default", "shown"),
    [
        (int, 3, "--it INT  [default: 3]"),
        (float, 2.0, "--it FLOAT  [default: 2]"),
        (str, "", "--it TEXT"),
        (bool, False, "--it/--no-it  [default: --no-it]"),
        (typer.Option(min=1), 5, "--it INT  [at least 1] [default: 5]"),
        (typer.Option(min=1, max=9), 5, "--it INT  [1 to 9] [default: 5]"),
        (typer.Option(max=9, show_default=False), 5, "--it INT  [at most 9]"),
        (typer.Option(help="So [b]bold[/b].", envvar="IT", metavar="N"), 5, "--it N  So bold. [env: IT] [default: 5]"),
        (
            typer.Option(help="Bold.", envvar=["IT", "THAT"], metavar="N"),
            5,
            "--it N  Bold. [env: IT, THAT] [default: 5]",
        ),
        (typer.Option(show_default="as many as there are"), 5, "--it INT  [default: as many as there are]"),
    ],
)
def test_an_option_shows_its_value_range_variable_and_default(annotation: Any, default: Any, shown: str) -> None:
    kind = annotation if isinstance(annotation, type) else Annotated[int, annotation]
    said = made(it=(kind, default))
    assert shown in re.sub(r" {3,}", "  ", said)
    assert "Also that." in said


def test_a_long_name_has_a_line_of_its_own() -> None:
    lines = made(a_very_long_name_of_an_option=(int, 1), short=(int, 1)).splitlines()
    (at,) = [number for number, line in enumerate(lines) if "--a-very-long-name-of-an-option INT" in line]
    assert lines[at + 1].strip("│ ") == "[default: 1]"
    assert lines[at + 2].startswith("│ --short INT  ")
