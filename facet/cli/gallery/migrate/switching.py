"""``facet gallery migrate switch`` and ``rollback``: which of the two models searches."""

from __future__ import annotations

from typing import Annotated

import typer

from facet.cli.gallery.migrate.options import AllowMissing, Gallery
from facet.cli.gallery.migrate.refusals import refusals
from facet.cli.gallery.migrate.standing.report import as_plain, print_steps
from facet.cli.gallery.migrate.standing.sides import sides
from facet.cli.gallery.migrate.standing.steps import Steps, next_steps
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.v1 import gallery_service_pb2 as gallery_pb


@grouped_options
def switch(
    gallery: Gallery,
    allow_missing: AllowMissing = False,
    allow_default_threshold: Annotated[
        bool,
        typer.Option("--allow-default-threshold", help="Switch although nobody chose the new model's threshold."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, switch nothing.")] = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Let the new model search, with its own threshold: every search that begins after the command has ended.

    Searches that are under way end with the old model. Embeddings of the old model are kept, and made of what is
    enrolled, until [b]finish[/b]: [b]rollback[/b] takes the switch back at any time.

    [b]Examples[/b]

      facet gallery migrate switch team --dry-run
      facet gallery migrate switch team
      facet gallery migrate switch team --allow-missing
    """
    steps = Steps(gallery, connection.address)
    with connection.open() as client, refusals(steps, "switch", override="--allow-missing"):
        client.switch_migration(
            gallery,
            allow_missing=allow_missing,
            allow_default_threshold=allow_default_threshold,
            validate_only=dry_run,
        )
        found = client.get_gallery(gallery)
    if dry_run and not as_json:
        other = sides(found)[1]
        console.out.print(f"{gallery}: {other.name} would search, with a threshold of {other.threshold:.4f}")
        console.out.print("Nothing was changed: repeat the command without --dry-run.")
        return
    _report(found, steps, dry_run=dry_run, as_json=as_json)


@grouped_options
def rollback(
    gallery: Gallery,
    allow_missing: AllowMissing = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Let the old model search again, with its own threshold. Nothing that was enrolled since the switch is lost.

    [b]Examples[/b]

      facet gallery migrate rollback team
    """
    steps = Steps(gallery, connection.address)
    with connection.open() as client, refusals(steps, "rollback", override="--allow-missing"):
        client.roll_back_migration(gallery, allow_missing=allow_missing)
        found = client.get_gallery(gallery)
    _report(found, steps, dry_run=False, as_json=as_json)


def _report(found: gallery_pb.Gallery, steps: Steps, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        console.print_json(as_plain(found, steps) | {"dry_run": dry_run})
        return
    searching = sides(found)[0]
    said = f"{searching.name} searches now, with a threshold of {searching.threshold:.4f} ({searching.threshold_from})"
    console.out.print(f"{found.gallery_id}: {said}")
    print_steps(next_steps(found, steps))
