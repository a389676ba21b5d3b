"""``facet gallery migrate gaps``: who has no embedding of the model that does not search, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from facet.cli.gallery.migrate.options import Gallery
from facet.cli.gallery.migrate.refusals import refusals
from facet.cli.gallery.migrate.standing.sides import name_of
from facet.cli.gallery.migrate.standing.steps import Steps
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.counts import counted
from facet.terminal.rendering import as_dict
from facet.terminal.tables import Shortened, table
from facet.terminal.visible import one_line
from facet.v1 import migrations_pb2 as pb

PAGE = 1000
_SHOWN = 50
"""Gaps in the table."""
_DIGITS = 16
_WHY = {
    pb.MIGRATION_GAP_REASON_WAITING: "waits for the server",
    pb.MIGRATION_GAP_REASON_NO_CROP: "no crop was kept",
    pb.MIGRATION_GAP_REASON_CROP_DAMAGED: "its crop is damaged",
    pb.MIGRATION_GAP_REASON_NOT_EMBEDDED: "the model makes no embedding of its crop",
}


@grouped_options
def gaps(
    gallery: Gallery,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """List the templates without an embedding of one of the two models, by person, and why they have none.

    It is the model that does not search, but for templates that were switched without one. Those that wait for the
    server are listed, too. The picture is named by the beginning of its SHA-256, which
    [b]sha256sum FILES[/b] shows; [b]fill[/b] finds the files by it. With [b]--json[/b] all are listed, with whole
    digests.

    [b]Examples[/b]

      facet gallery migrate gaps team
      facet gallery migrate gaps team --json
    """
    steps = Steps(gallery, connection.address)
    with connection.open() as client, refusals(steps, "gaps"):
        found = list(client.iter_migration_gaps(gallery, page_size=PAGE))
        migration = client.get_gallery(gallery).migration
    if as_json:
        console.print_json({"gallery": gallery, "gaps": [as_dict(each) for each in found]})
        return
    if not found:
        console.out.print(f"{gallery}: every template has embeddings of both models")
        return
    console.out.print(f"{gallery}: {summary(found, migration)}")
    print_gaps(found, migration)
    if any(each.reason != pb.MIGRATION_GAP_REASON_WAITING for each in found):
        console.out.print(f"next: {steps.fill()}")
        console.out.print("An enrolment of the same people with new pictures makes embeddings of both models, too.")
    else:
        console.out.print(f"next: {steps.status()}")


def summary(found: Sequence[pb.MigrationGap], migration: pb.Migration) -> str:
    """Count gaps by their reasons: ``3 templates of 2 people without an embedding of NAME (no crop was kept: 3)``."""
    names = _missing_models(found, migration)
    of = f" of {names.popitem()[1]}" if len(names) == 1 else ""
    counts = Counter(each.reason for each in found)
    people = counted(len({each.subject_id for each in found}), "person")
    reasons = ", ".join(f"{_WHY.get(reason, 'another reason')}: {count}" for reason, count in counts.most_common())
    return f"{counted(counts.total(), 'template')} of {people} without an embedding{of} ({reasons})"


def print_gaps(found: Sequence[pb.MigrationGap], migration: pb.Migration) -> None:
    """Print the first gaps as a table, with the model if it is not the same for all."""
    names = _missing_models(found, migration)
    is_of_both = len(names) > 1
    rows = table("subject", "name", *(["model"] if is_of_both else []), "why", "picture's SHA-256")
    for each in found[:_SHOWN]:
        model = [names.get(each.contract, "")] if is_of_both else []
        why = _WHY.get(each.reason, "another reason")
        name = one_line(each.display_name)
        rows.add_row(Shortened(each.subject_id), name, *model, why, each.picture_sha256[:_DIGITS])
    console.out.print(rows)
    if len(found) > _SHOWN:
        console.out.print(f"... and {len(found) - _SHOWN} more; --json lists all")


def _missing_models(found: Iterable[pb.MigrationGap], migration: pb.Migration) -> dict[str, str]:
    """Return the names of the models whose embeddings are missing, by contract."""
    contracts = {each.contract for each in found}
    models = (migration.from_model, migration.to_model)
    return {model.contract: name_of(model, migration) for model in models if model.contract in contracts}
