"""Confirmation of commands that cannot be undone."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from facet.terminal import console

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal; exits with a usage error if there is none, and with 1 if the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        console.fail("this cannot be undone: confirm it with --yes", console.USAGE)
    typer.confirm(f"{question} This cannot be undone", abort=True, err=True)
