"""The two models of a gallery's migration: the one that searches, and the other one."""

from __future__ import annotations

from dataclasses import dataclass

from facet.terminal import console
from facet.terminal.rendering import threshold_source
from facet.terminal.visible import one_line
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import migrations_pb2 as pb

SWITCHED = (pb.MIGRATION_STATE_SWITCHED, pb.MIGRATION_STATE_FINISHING)
"""States in which the new model searches."""
_DIGITS = 8
"""Digits of a SHA-256 that are shown."""
_LEAST_DIGITS = 8
"""Digits of a SHA-256 that name a model."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models.

    Attributes:
        model: the model.
        name: how it is called here, one line: by its digest, too, if both have one name.
        searches: whether it is the one that searches.
        threshold: its threshold.
        threshold_from: who chose the threshold, in words.
    """

    model: pb.MigrationModel
    name: str
    searches: bool
    threshold: float
    threshold_from: str


def sides(gallery: gallery_pb.Gallery) -> tuple[Side, Side]:
    """Return the model that searches, and the other one, of a gallery that is being migrated."""
    migration = gallery.migration
    models = [migration.from_model, migration.to_model]
    if migration.state in SWITCHED:
        models.reverse()
    searching, other = models
    return (
        Side(searching, name_of(searching, migration), True, gallery.threshold, threshold_source(gallery)),
        Side(other, name_of(other, migration), False, migration.threshold, _chosen_by(migration)),
    )


def name_of(model: pb.MigrationModel, migration: pb.Migration) -> str:
    """How a model of a migration is called: by its name, and by the beginning of its digest if both have one name."""
    name = one_line(model.name)
    is_shared = migration.from_model.name == migration.to_model.name
    return f"{name} ({model.sha256[:_DIGITS]})" if is_shared else name


def typed_name(migration: pb.Migration) -> str:
    """What to type for the new model: its name, or the beginning of its digest if both have one name."""
    model = migration.to_model
    return model.sha256[:12] if migration.from_model.name == model.name else model.name


def is_target(migration: pb.Migration, typed: str) -> bool:
    """Whether what was typed names the new model: its name, contract, or the beginning of its digest."""
    model = migration.to_model
    by_digest = len(typed) >= _LEAST_DIGITS and model.sha256.startswith(typed.lower())
    return by_digest or typed in {model.name, model.contract}


def check_migrates(gallery: gallery_pb.Gallery, start: str) -> None:
    """Exit with one line if a gallery is not being migrated; ``start`` is the command that starts a migration."""
    if not gallery.HasField("migration"):
        console.fail(f"NO_MIGRATION: {gallery.gallery_id} is not being migrated; to start: {start}")


def _chosen_by(migration: pb.Migration) -> str:
    if not migration.threshold_is_chosen:
        return "default: nobody chose it"
    return "calibration" if migration.is_calibrated else "set by hand"
