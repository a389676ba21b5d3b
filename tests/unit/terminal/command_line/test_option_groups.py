"""Commands that take a dataclass of options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from facet.client.channel import ADDRESS_VARIABLE, DEFAULT_ADDRESS, TOKEN_VARIABLE
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection


@dataclass(frozen=True, slots=True)
class Camera(Connection):
    """A group that has another address than the group that it extends."""

    address: Annotated[str, typer.Option("--camera")] = "0"


def run(group: type[Connection], *arguments: str) -> tuple[Any, ...]:
    """Run a command that takes a name, a group and a flag; what it was called with."""
    taken: list[tuple[Any, ...]] = []

    def command(name: str, *, connection: Connection, fast: bool = False) -> None:
        taken.append((name, connection, fast))

    command.__annotations__["connection"] = group
    app = typer.Typer()
    app.command()(grouped_options(command))
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return taken[0]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")


def test_a_group_has_its_options_beside_those_of_the_command() -> None:
    taken = run(Connection, "--ca", "ca.pem", "ann", "--fast")
    assert taken == ("ann", Connection(DEFAULT_ADDRESS, "secret", Path("ca.pem")), True)


def test_a_group_that_extends_another_replaces_an_option() -> None:
    assert run(Camera, "ann", "--camera", "1") == ("ann", Camera("1", "secret"), False)


def test_the_token_of_a_connection_is_not_printed() -> None:
    assert "secret" not in repr(Connection(token="secret"))
