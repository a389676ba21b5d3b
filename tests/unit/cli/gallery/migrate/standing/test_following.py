"""Ctrl-C ends the following, not the server: the command says so."""

from __future__ import annotations

import pytest
import typer

from facet.cli.gallery.migrate.standing.following import only_following
from facet.cli.gallery.migrate.standing.steps import Steps
from facet.client.channel import DEFAULT_ADDRESS


def test_ctrl_c_ends_the_following_only_and_says_how_to_see_what_the_server_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as ended, only_following(Steps("team", DEFAULT_ADDRESS)):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    said = capsys.readouterr().err
    assert "the server goes on by itself" in said
    assert "facet gallery migrate status team" in said
