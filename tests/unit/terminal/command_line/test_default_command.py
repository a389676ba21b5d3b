"""A group with a default command: words that begin with no command's name are the default one's."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from facet.terminal.command_line.default_command import group_with_default
from facet.terminal.command_line.lazy import Lazy

COMMANDS = (
    Lazy("start", f"{__name__}:start", "Start. The default."),
    Lazy("status", f"{__name__}:status", "Show."),
)
app = typer.Typer(cls=group_with_default(COMMANDS, "start"), no_args_is_help=True)


@app.callback()
def main() -> None:
    """Two commands."""


def start(name: str, to: str = "") -> None:
    """Start."""
    typer.echo(f"start {name} to {to}")


def status(name: str) -> None:
    """Show."""
    typer.echo(f"status of {name}")


@pytest.mark.parametrize(
    ("typed", "done"),
    [
        ("team --to new", "start team to new"),
        ("--to new team", "start team to new"),
        ("start team --to new", "start team to new"),
        ("start status --to new", "start status to new"),
        ("-- -team", "start -team to "),
        ("status team", "status of team"),
    ],
)
def test_words_that_name_no_command_are_the_default_commands(typed: str, done: str) -> None:
    ran = CliRunner().invoke(app, typed.split())
    assert ran.exit_code == 0, ran.output
    assert ran.stdout == f"{done}\n"


def test_a_command_that_is_misspelt_is_not_taken_for_an_argument() -> None:
    ran = CliRunner().invoke(app, ["statsu", "team"])
    assert ran.exit_code == 2
    assert "No such command 'statsu'" in ran.output


@pytest.mark.parametrize("typed", ["", "--help"])
def test_without_words_the_help_of_the_group_is_shown(typed: str) -> None:
    assert "Two commands." in CliRunner().invoke(app, typed.split()).output


def test_the_default_command_has_its_own_help() -> None:
    shown = CliRunner().invoke(app, ["team", "--help"], prog_name="group").output
    assert "Usage: group start" in shown
