"""The argument of commands that work on the database file of a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facet.terminal import console

_ADDRESSES = ("postgres:/", "postgresql:/", "http:/", "https:/")
"""How addresses of PostgreSQL and Milvus begin, as a path has them."""


def refuse_address(database: Path) -> Path:
    """Exit with a usage error if an address of a database server was typed, whose tools do these things."""
    if str(database).startswith(_ADDRESSES):
        # The address is not repeated: it may contain a password.
        console.fail(
            "this command works on an SQLite file; back up galleries in PostgreSQL with pg_dump, and restore them with "
            "pg_restore: see docs/scale.md",
            console.USAGE,
        )
    return database


Database = Annotated[
    Path, typer.Argument(help="The database of a server.", show_default=False, callback=refuse_address)
]
