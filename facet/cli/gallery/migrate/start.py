"""``facet gallery migrate start``: start a migration, and follow it."""

from __future__ import annotations

from typing import Annotated

import typer

from facet.cli.gallery.migrate.options import Gallery, NoWait
from facet.cli.gallery.migrate.refusals import refusals
from facet.cli.gallery.migrate.standing.following import follow_embedding, only_following
from facet.cli.gallery.migrate.standing.report import as_plain, print_state
from facet.cli.gallery.migrate.standing.sides import is_target, name_of
from facet.cli.gallery.migrate.standing.steps import Steps
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.counts import counted, in_bytes
from facet.terminal.rendering import as_dict
from facet.terminal.tables import listing
from facet.v1 import migrations_pb2 as pb


@grouped_options
def start(
    gallery: Gallery,
    to: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="The new model: its name, the first 8 or more digits of its SHA-256, or its contract. Required.",
            show_default=False,
        ),
    ] = "",
    no_wait: NoWait = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and say what it takes.")] = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Start a migration to another embedding model, and follow it until all embeddings that can be made are made.

    The server makes them from the crops that it keeps ([b]enrollment.keep_crops[/b]), with a low priority; the old
    model searches meanwhile. Templates without a crop are filled later, see [b]fill[/b]. Ctrl-C ends the following
    only. While this migration is under way, the same command follows it again.

    The server needs both models: [b]facet serve --models.embedding-next MODEL[/b].

    [b]Examples[/b]

      facet gallery migrate team --to mobilefacenet-128
      facet gallery migrate team --to mobilefacenet-128 --dry-run
      facet gallery migrate start team --to mobilefacenet-128 --no-wait

    Exit code: 0 done, 1 refused, failed, or the server cannot go on, 2 bad usage, 130 stopped by Ctrl-C.
    """
    steps = Steps(gallery, connection.address)
    if not to:
        raise typer.BadParameter(
            f"name the new model; to see where a migration stands: {steps.status().command}", param_hint="--to"
        )
    with connection.open() as client, refusals(steps, "start"):
        found = client.get_gallery(gallery)
        is_under_way = found.HasField("migration") and is_target(found.migration, to)
        plan = None
        if not is_under_way:
            plan = client.start_migration(gallery, to, validate_only=True)
            if not as_json:
                _print_plan(gallery, plan)
            if not dry_run:
                client.start_migration(gallery, to)
        elif not as_json:
            console.out.print(f"this migration of {gallery} is under way")
        if not no_wait and not dry_run:
            with only_following(steps):
                found = follow_embedding(client, gallery)
        elif not dry_run:
            found = client.get_gallery(gallery)
        models = client.get_server_info().embedding_models
    if as_json:
        said = {"started": not is_under_way and not dry_run, "dry_run": dry_run}
        console.print_json(as_plain(found, steps, models) | said | {"plan": None if plan is None else as_dict(plan)})
    elif dry_run:
        again = ": repeat the command without --dry-run" if plan else ""
        console.out.print(f"Nothing was changed{again}.")
    else:
        print_state(found, steps, models)
    raise typer.Exit(console.FAILED if found.migration.problem else console.DONE)


def _print_plan(gallery: str, plan: pb.StartMigrationResponse) -> None:
    migration = plan.migration
    rows = listing(f"{gallery}: to another embedding model")
    for heading, model in (("from", migration.from_model), ("to", migration.to_model)):
        name = f"{name_of(model, migration)}, {counted(model.dimension, 'value')}, SHA-256 {model.sha256[:8]}"
        rows.add_row(heading, name)
    with_crop = counted(plan.templates_with_crop, "template")
    rows.add_row("with a crop", f"{with_crop}: the server makes the new embeddings from it")
    without = counted(plan.templates_without_crop, "template")
    if plan.templates_without_crop:
        without = f"{without}: the original pictures are needed, for the step fill"
    rows.add_row("without", without)
    rows.add_row("space", f"about {in_bytes(plan.bytes_needed)} more while both models are kept")
    console.out.print(rows)
