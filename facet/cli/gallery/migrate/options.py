"""Arguments and options that the steps of a migration share."""

from __future__ import annotations

from typing import Annotated

import typer

Gallery = Annotated[str, typer.Argument(help="The gallery.", show_default=False)]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return at once; the server goes on by itself.")]
AllowMissing = Annotated[
    bool,
    typer.Option(
        "--allow-missing",
        help="Go on although templates have no embedding of that model: nobody is found by them until they have one.",
    ),
]
DeleteMissing = Annotated[
    bool,
    typer.Option("--delete-missing", help="Delete the templates that have no embedding of the model that stays."),
]
