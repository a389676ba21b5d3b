"""Confirmation of commands that change what people may miss."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from facet.terminal import console

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def confirm(question: str, *, yes: bool, warning: str = "This cannot be undone") -> None:
    """Ask on the terminal; exits with a usage error if there is none, and with 1 if the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        console.fail(f"{warning[0].lower()}{warning[1:]}: confirm it with --yes", console.USAGE)
    typer.confirm(f"{question} {warning}", abort=True, err=True)
