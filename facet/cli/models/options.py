"""Options that commands for models share."""

from __future__ import annotations

from typing import Annotated

import typer

Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Load a checkpoint (.pt), although it can run any code with your rights. Only for files whose author you "
        "trust.",
    ),
]
