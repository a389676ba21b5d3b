"""Where a migration stands: a table for people, and plain values for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from facet.cli.gallery.migrate.standing.sides import Side, name_of, sides
from facet.cli.gallery.migrate.standing.steps import Step, Steps, next_steps
from facet.cli.people.options import utc
from facet.terminal import console
from facet.terminal.counts import counted
from facet.terminal.rendering import as_dict, percent
from facet.terminal.tables import listing, table
from facet.terminal.visible import one_line
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import migrations_pb2 as pb
from facet.v1.server_service_pb2 import EmbeddingModel

_MINUTE, _HOUR = 60, 3600
_STATES = {
    pb.MIGRATION_STATE_EMBEDDING: "embedding: the server makes embeddings of {to}, {by} searches",
    pb.MIGRATION_STATE_READY: "ready: all embeddings that can be made are made, {by} searches",
    pb.MIGRATION_STATE_SWITCHED: "switched: {by} searches, embeddings of {old} are kept and made, too",
    pb.MIGRATION_STATE_FINISHING: "finishing: {by} searches, embeddings of {old} are being dropped",
    pb.MIGRATION_STATE_CANCELLING: "cancelling: {by} searches, embeddings of {to} are being dropped",
}
_WORDS = {
    pb.MIGRATION_STATE_EMBEDDING: "embedding",
    pb.MIGRATION_STATE_READY: "ready",
    pb.MIGRATION_STATE_SWITCHED: "switched",
    pb.MIGRATION_STATE_FINISHING: "finishing",
    pb.MIGRATION_STATE_CANCELLING: "cancelling",
}


def in_a_word(migration: pb.Migration) -> str:
    """Describe a migration in a cell: ``to mobilefacenet-128: ready``."""
    return f"to {name_of(migration.to_model, migration)}: {_WORDS.get(migration.state, 'unknown')}"


def print_state(gallery: gallery_pb.Gallery, steps: Steps, models: Sequence[EmbeddingModel] = ()) -> None:
    """Print where a gallery stands, and what can be done next; ``models`` as for :func:`next_steps`."""
    if not gallery.HasField("migration"):
        names = (each.name for each in models if each.contract == gallery.contract)
        model = next(names, f"not loaded, with the contract {gallery.contract[:16]}")
        console.out.print(f"{gallery.gallery_id} is not being migrated; its model is {one_line(model)}")
        if gallery.problem:
            console.out.print(f"cannot be searched: {one_line(gallery.problem)}")
    else:
        _print_migration(gallery)
    print_steps(next_steps(gallery, steps, models))


def print_steps(steps: Sequence[Step]) -> None:
    """Print commands: the first comes next, the others can be typed, too."""
    first, *others = steps
    console.out.print(f"next: {first}")
    for each in others:
        console.out.print(f"  or: {each}")


def as_plain(gallery: gallery_pb.Gallery, steps: Steps, models: Sequence[EmbeddingModel] = ()) -> dict[str, Any]:
    """Return where a gallery stands as JSON values; ``models`` as for :func:`next_steps`."""
    is_migrated = gallery.HasField("migration")
    return {
        "gallery": gallery.gallery_id,
        "contract": gallery.contract,
        "threshold": gallery.threshold,
        "problem": gallery.problem,
        "migration": as_dict(gallery.migration) if is_migrated else None,
        "next": [{"command": each.command, "what": each.what} for each in next_steps(gallery, steps, models)],
    }


def _print_migration(gallery: gallery_pb.Gallery) -> None:
    migration = gallery.migration
    searching, other = sides(gallery)
    old, new = (name_of(each, migration) for each in (migration.from_model, migration.to_model))
    rows = listing(f"{gallery.gallery_id}: {old} to {new}, since {utc(migration.start_time)} UTC")
    state = _STATES.get(migration.state, "unknown").format(by=searching.name, old=old, to=new)
    rows.add_row("state", state)
    rows.add_row("templates", _templates(migration))
    if migration.templates_per_second and migration.templates_waiting:
        rows.add_row("speed", _speed(migration))
    if migration.HasField("switch_time"):
        rows.add_row("last switch", f"{utc(migration.switch_time)} UTC")
    share = percent(migration.shadow_share)
    rows.add_row("shadow", f"{share} of live identifications are compared" if migration.shadow_share else "off")
    if migration.problem:
        rows.add_row("problem", one_line(migration.problem))
    console.out.print(rows)
    _print_models(searching, other)


def _print_models(searching: Side, other: Side) -> None:
    shown = (searching, other)
    rows = table("", *(each.name for each in shown))
    rows.add_row("searches", *("yes" if each.searches else "no" for each in shown))
    rows.add_row("threshold", *(f"{each.threshold:.4f}" for each in shown))
    rows.add_row("threshold from", *(each.threshold_from for each in shown))
    rows.add_row("loaded", *("yes" if each.model.is_loaded else "no" for each in shown))
    rows.add_row("values", *(str(each.model.dimension) for each in shown))
    rows.add_row("SHA-256", *(each.model.sha256[:16] for each in shown))
    console.out.print(rows)


def _templates(migration: pb.Migration) -> str:
    """Count the templates by their embeddings; after a switch, either model's may be missing."""
    waiting, missing = migration.templates_waiting, migration.templates_missing
    return f"{migration.templates_done} with embeddings of both models, {waiting} waiting, {missing} missing one"


def _speed(migration: pb.Migration) -> str:
    left = _in_words(migration.templates_waiting / migration.templates_per_second)
    return f"{migration.templates_per_second:.1f} templates/s, about {left} left"


def _in_words(seconds: float) -> str:
    """Write a rough duration in its largest unit."""
    if seconds < _MINUTE:
        return counted(max(1, round(seconds)), "second")
    if seconds < _HOUR:
        return counted(round(seconds / _MINUTE), "minute")
    return f"{seconds / _HOUR:.1f} hours"
