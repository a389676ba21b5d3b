"""``facet people rename``."""

from __future__ import annotations

from typing import Annotated

import typer

from facet.cli.people.missing import subject_errors
from facet.cli.people.options import Gallery, SubjectId
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.rendering import as_dict


@grouped_options
def rename(
    subject: SubjectId,
    name: Annotated[str, typer.Argument(help="The new name.", show_default=False)],
    gallery: Gallery = "default",
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Change a person's display name. The id stays the same."""
    with connection.open() as client, subject_errors(client, gallery, subject):
        renamed = client.update_subject(gallery, subject, display_name=name)
    if as_json:
        console.print_json(as_dict(renamed))
    else:
        console.out.print(f"{renamed.subject_id} is now {renamed.display_name}")
