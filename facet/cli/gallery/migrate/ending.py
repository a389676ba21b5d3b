"""``facet gallery migrate finish`` and ``cancel``: one model stays, and the embeddings of the other one are dropped."""

from __future__ import annotations

from shlex import quote
from typing import Annotated

import typer

from facet import Client, PermissionDenied
from facet.cli.gallery.migrate.options import DeleteMissing, Gallery, NoWait
from facet.cli.gallery.migrate.refusals import refusals
from facet.cli.gallery.migrate.standing.following import follow_dropping, only_following
from facet.cli.gallery.migrate.standing.sides import check_migrates, name_of
from facet.cli.gallery.migrate.standing.steps import Step, Steps
from facet.cli.shared.confirmation import Yes, confirm
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.command_line.program import spelled
from facet.terminal.connection import Connection
from facet.terminal.counts import agreeing, counted, first
from facet.terminal.visible import one_line
from facet.v1 import migrations_pb2 as pb

_PAGE = 1000
_NO_WAY_BACK = "This cannot be rolled back"
_FROM_THE_START = "To migrate after all, start again"


@grouped_options
def finish(
    gallery: Gallery,
    delete_missing: DeleteMissing = False,
    delete_crops: Annotated[
        bool, typer.Option("--delete-crops", help="Delete the crops of all templates, too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, change nothing.")] = False,
    no_wait: NoWait = False,
    yes: Yes = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Drop the old model's embeddings of a gallery that is switched. There is no way back after that.

    Says first what is deleted, and asks. Then it follows the server until the embeddings are dropped, and says what to
    change in the configuration. The same command follows a server that is at it.

    [b]Examples[/b]

      facet gallery migrate finish team --dry-run
      facet gallery migrate finish team --yes
      facet gallery migrate finish team --delete-missing --delete-crops
    """
    steps = Steps(gallery, connection.address)
    with connection.open() as client, refusals(steps, "finish", override="--delete-missing"):
        found = client.get_gallery(gallery)
        check_migrates(found, steps.start())
        migration = found.migration
        deleted = 0
        if migration.state != pb.MIGRATION_STATE_FINISHING:
            deleted = client.finish_migration(
                gallery, delete_missing=delete_missing, delete_crops=delete_crops, validate_only=True
            ).templates_deleted
            what = _what_goes(migration.from_model, migration, deleted, delete_crops=delete_crops)
            if dry_run:
                _say_dry(gallery, what, deleted, as_json=as_json)
                return
            confirm(f"Drop {what} from {gallery}?", yes=yes, warning=_NO_WAY_BACK)
            deleted = client.finish_migration(
                gallery, delete_missing=delete_missing, delete_crops=delete_crops
            ).templates_deleted
        is_over = _follow(client, gallery, migration, steps, no_wait=no_wait)
        others = _others_with(client, gallery, migration.from_model.contract) if is_over else []
    if as_json:
        console.print_json(_plain(gallery, deleted, is_over=is_over) | {"galleries_of_the_old_model": others})
        return
    new, old = (name_of(each, migration) for each in (migration.to_model, migration.from_model))
    if not is_over:
        console.out.print(f"{gallery}: {new} stays; the server drops the embeddings of {old}: {steps.status().command}")
        return
    console.out.print(f"{gallery}: {new} is its model, the embeddings of {old} are dropped{_and(deleted)}")
    if others:
        named = first([one_line(each) for each in others])
        console.out.print(f"The server needs {old} for {counted(len(others), 'gallery')} still: {named}")
        console.out.print(f"next: {Step(spelled('facet gallery list'), 'shows which of them are being migrated')}")
        return
    console.out.print(
        f"No other gallery that you may see has {old}. If none has, set models.embedding to {new}, remove "
        f"models.embedding_next, and restart the server with its other settings as they are:\n  {_serve(migration)}"
    )


@grouped_options
def cancel(
    gallery: Gallery,
    delete_missing: DeleteMissing = False,
    no_wait: NoWait = False,
    yes: Yes = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """End a migration that is not switched, or rolled back: the new model's embeddings are dropped.

    Asks first, and follows the server until the embeddings are dropped.

    [b]Examples[/b]

      facet gallery migrate cancel team
      facet gallery migrate cancel team --yes
    """
    steps = Steps(gallery, connection.address)
    with connection.open() as client, refusals(steps, "cancel", override="--delete-missing"):
        found = client.get_gallery(gallery)
        check_migrates(found, steps.start())
        migration = found.migration
        new, old = (name_of(each, migration) for each in (migration.to_model, migration.from_model))
        deleted = 0
        if migration.state != pb.MIGRATION_STATE_CANCELLING:
            confirm(f"Drop the embeddings of {new} from {gallery}?", yes=yes, warning=_FROM_THE_START)
            deleted = client.cancel_migration(gallery, delete_missing=delete_missing).templates_deleted
        is_over = _follow(client, gallery, migration, steps, no_wait=no_wait)
    if as_json:
        console.print_json(_plain(gallery, deleted, is_over=is_over))
    elif is_over:
        console.out.print(f"{gallery}: {old} stays, the embeddings of {new} are dropped{_and(deleted)}")
    else:
        console.out.print(f"{gallery}: {old} stays; the server drops the embeddings of {new}: {steps.status().command}")


def _serve(migration: pb.Migration) -> str:
    """Return the command that starts a server with the new model alone."""
    return spelled(f"facet serve --models.embedding {quote(migration.to_model.name)}")


def _follow(client: Client, gallery: str, migration: pb.Migration, steps: Steps, *, no_wait: bool) -> bool:
    """Follow the dropping, if it is to be followed; returns whether it is over. A problem of the server's ends it."""
    if no_wait:
        return client.get_gallery(gallery).migration.migration_id != migration.migration_id
    with only_following(steps):
        now = follow_dropping(client, gallery, migration.migration_id).migration
    if now.migration_id == migration.migration_id:
        console.fail(f"the server cannot go on: {one_line(now.problem)}")
    return True


def _what_goes(model: pb.MigrationModel, migration: pb.Migration, deleted: int, *, delete_crops: bool) -> str:
    """Say what a finished migration deletes."""
    parts = [f"the embeddings of {name_of(model, migration)}"]
    if deleted:
        parts.append(counted(deleted, "template"))
    if delete_crops:
        parts.append("all crops")
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _say_dry(gallery: str, what: str, deleted: int, *, as_json: bool) -> None:
    if as_json:
        console.print_json({"gallery": gallery, "templates_deleted": deleted, "is_over": False, "dry_run": True})
    else:
        console.out.print(f"{gallery}: {what} would be dropped. {_NO_WAY_BACK}.")
        console.out.print("Nothing was changed: repeat the command without --dry-run.")


def _plain(gallery: str, deleted: int, *, is_over: bool) -> dict[str, object]:
    return {"gallery": gallery, "templates_deleted": deleted, "is_over": is_over, "dry_run": False}


def _others_with(client: Client, gallery: str, contract: str) -> list[str]:
    """Return the other galleries that a model still serves, or may serve after a rollback, of those that are seen."""
    try:
        return [
            each.gallery_id
            for each in client.iter_galleries(page_size=_PAGE)
            if each.gallery_id != gallery
            and contract in {each.contract, each.migration.from_model.contract, each.migration.to_model.contract}
        ]
    except PermissionDenied:
        return []


def _and(deleted: int) -> str:
    return f", and {counted(deleted, 'template')} {agreeing(deleted, 'was')} deleted" if deleted else ""
