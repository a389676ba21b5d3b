"""Arguments and options that the commands about people share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Gallery = Annotated[str, typer.Option(help="The gallery.")]
SubjectId = Annotated[str, typer.Argument(help="The subject's id.", show_default=False)]


def utc(moment: Any) -> str:
    """Format a protobuf timestamp to the second, in UTC."""
    return f"{moment.ToDatetime():%Y-%m-%d %H:%M:%S}"
