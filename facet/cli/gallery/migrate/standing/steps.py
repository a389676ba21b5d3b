"""What can be done next in a migration, as commands that can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from facet.cli.gallery.migrate.app import NAMES
from facet.cli.gallery.migrate.standing.sides import sides, typed_name
from facet.terminal.command_line.program import spelled
from facet.terminal.connection import usual_address
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import migrations_pb2 as pb
from facet.v1.server_service_pb2 import EmbeddingModel

RESTART = "restart the server so, with its other settings"
"""What a command that serves is for: the server's other settings are not known here."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and what it does."""

    command: str
    what: str

    def __str__(self) -> str:
        return f"{self.command}  # {self.what}"


@dataclass(frozen=True, slots=True)
class Steps:
    """Makes the commands of a gallery's migration.

    Attributes:
        gallery: the gallery.
        address: the server.
    """

    gallery: str
    address: str

    def typed(self, name: str, *words: str) -> str:
        """Return a command as it is typed: ``typed("switch", "--allow-missing")``."""
        where = [] if self.address == usual_address() else ["--address", self.address]
        # An id may begin with a dash.
        divided = self.gallery.startswith("-")
        given = [*words, *where, "--", self.gallery] if divided else [self.gallery, *words, *where]
        command = [] if name == "start" and not divided and self.gallery not in NAMES else [name]
        return spelled(f"facet gallery migrate {shlex.join([*command, *given])}")

    def start(self, model: str = "MODEL") -> str:
        """Return the command that starts a migration, or follows it."""
        return self.typed("start", "--to", model)

    def fill(self) -> Step:
        """Return the step that makes missing embeddings."""
        return Step(self.typed("fill", "FOLDER"), "makes missing embeddings from original pictures")

    def gaps(self) -> Step:
        """Return the step that lists missing embeddings."""
        return Step(self.typed("gaps"), "lists the missing embeddings, and why")

    def status(self) -> Step:
        """Return the step that shows where the migration stands."""
        return Step(self.typed("status"), "shows where it stands")

    def calibrate(self) -> Step:
        """Return the step that chooses a threshold."""
        return Step(self.typed("calibrate"), "chooses a threshold from evidence")

    def threshold(self) -> Step:
        """Return the step that sets a threshold."""
        return Step(self.typed("threshold", "VALUE"), "sets a threshold by hand")


def next_steps(gallery: gallery_pb.Gallery, steps: Steps, models: Sequence[EmbeddingModel] = ()) -> list[Step]:
    """Return what can be done now: first the step that comes next, then the others.

    Args:
        gallery: the gallery.
        steps: its commands.
        models: the server's embedding models, the first one first; only for a gallery that is not being migrated.
    """
    found = (
        _in_migration(gallery, steps) if gallery.HasField("migration") else _without_migration(gallery, steps, models)
    )
    return list(found)


def _without_migration(gallery: gallery_pb.Gallery, steps: Steps, models: Sequence[EmbeddingModel]) -> Iterator[Step]:
    others = [each.name for each in models if each.contract != gallery.contract]
    for own in (each.name for each in models[1:] if each.contract == gallery.contract):
        serve = shlex.join(["facet", "serve", "--models.embedding", own])
        yield Step(spelled(serve), f"{RESTART}, once no gallery needs the other model")
    if not others or len(others) == len(models):  # it misses a new model, or the gallery's own
        yield Step(spelled("facet serve --models.embedding-next MODEL"), f"{RESTART}, to load a second model")
    for name in others or ["MODEL"]:
        yield Step(steps.start(name), "starts a migration")


def _in_migration(gallery: gallery_pb.Gallery, steps: Steps) -> Iterator[Step]:
    migration = gallery.migration
    if migration.state == pb.MIGRATION_STATE_FINISHING:
        yield Step(steps.typed("finish"), "follows the server")
        return
    if migration.state == pb.MIGRATION_STATE_CANCELLING:
        yield Step(steps.typed("cancel"), "follows the server")
        return
    if not (migration.from_model.is_loaded and migration.to_model.is_loaded):
        yield Step(serve(migration), f"{RESTART}, to load both models")
    searching, other = sides(gallery)
    if migration.state == pb.MIGRATION_STATE_SWITCHED:
        if migration.templates_missing:
            yield steps.fill()
            yield steps.gaps()
        if searching.model.is_loaded:
            yield Step(steps.typed("finish"), f"when you are sure: drops the embeddings of {other.name}, for good")
        yield Step(steps.typed("rollback"), f"lets {other.name} search again")
        return
    if migration.state == pb.MIGRATION_STATE_EMBEDDING:
        yield Step(steps.start(typed_name(migration)), "follows the server")
    if migration.templates_missing:
        yield steps.fill()
        yield steps.gaps()
    if not migration.threshold_is_chosen:
        yield steps.calibrate()
        yield steps.threshold()
    if migration.state == pb.MIGRATION_STATE_READY:
        allowed = ["--allow-missing"] if migration.templates_missing else []
        without = " without them" if allowed else ""
        if migration.threshold_is_chosen:
            yield Step(steps.typed("switch", *allowed), f"lets {other.name} search{without}")
        if migration.shadow_share:
            yield Step(steps.typed("shadow"), "shows how both decide about live faces")
        else:
            yield Step(steps.typed("shadow", "--share", "0.1"), "compares both on live faces")
    yield Step(steps.typed("cancel"), f"ends this; {searching.name} stays")


def serve(migration: pb.Migration) -> str:
    """Return the command that starts a server with both models, the old one first."""
    old, new = migration.from_model.name, migration.to_model.name
    return spelled(shlex.join(["facet", "serve", "--models.embedding", old, "--models.embedding-next", new]))
