"""``facet gallery migrate threshold``: set the threshold of the model that does not search."""

from __future__ import annotations

from typing import Annotated

import typer

from facet.cli.gallery.migrate.options import Gallery
from facet.cli.gallery.migrate.refusals import refusals
from facet.cli.gallery.migrate.standing.report import as_plain, print_steps
from facet.cli.gallery.migrate.standing.sides import sides
from facet.cli.gallery.migrate.standing.steps import Steps, next_steps
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection


@grouped_options
def threshold(
    gallery: Gallery,
    value: Annotated[float, typer.Argument(min=-1, max=1, help="The least similarity of a match.", show_default=False)],
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Set the threshold of the model that does not search, by hand. [b]calibrate[/b] chooses it from evidence.

    A switch exchanges it with the gallery's threshold, and a rollback exchanges them again.

    [b]Examples[/b]

      facet gallery migrate threshold team 0.35
    """
    steps = Steps(gallery, connection.address)
    with connection.open() as client, refusals(steps, "threshold"):
        client.update_migration(gallery, threshold=value)
        found = client.get_gallery(gallery)
    if as_json:
        console.print_json(as_plain(found, steps))
        return
    other = sides(found)[1]
    console.out.print(f"{gallery}: the threshold of {other.name} is {other.threshold:.4f}; it does not search yet")
    print_steps(next_steps(found, steps))
