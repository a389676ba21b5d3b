"""Who compares the models of a gallery is told of everything that it must forget."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gallery.galleries import Galleries
from gallery.migration.shadowing import ModelRoles
from gallery.records.galleries import GalleryChange
from gallery.records.migrations import ModelVersion
from gallery.records.policies import GalleryPolicy
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, face

NEW = ModelVersion("new-contract", "new", "f" * 64, DIMENSION)


class Told:
    """A gallery with ann, bob and cid, and what was told about it since they were enrolled."""

    def __init__(self, path: Path) -> None:
        self.time = datetime(2026, 3, 1, tzinfo=UTC)
        store = SqliteStore(path, clock=self.clock)
        self.galleries = Galleries(
            store,
            contract=CONTRACT,
            dimension=DIMENSION,
            max_templates_per_subject=5,
            clock=self.clock,
            further={NEW.contract: DIMENSION},
        )
        self.galleries.migrations.models = (ModelVersion(CONTRACT, "old", "0" * 64, DIMENSION), NEW)
        self.galleries.create_gallery("g", display_name="", threshold=0.5)
        for number, person in enumerate(("ann", "bob", "cid")):
            self.galleries.enroll("g", person, face(axis(number)))
        self.gone: list[str] = []
        self.roles: list[ModelRoles | None] = []
        self.galleries.migrations.watch(self._shown, self._gone)

    def clock(self) -> datetime:
        return self.time

    def _shown(self, gallery_id: str, roles: ModelRoles | None) -> None:
        assert gallery_id == "g"
        self.roles.append(roles)

    def _gone(self, gallery_id: str, subject_ids: Collection[str]) -> None:
        assert gallery_id == "g"
        self.gone += subject_ids


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    made = Told(tmp_path / "facet.db")
    yield made
    made.galleries.close()


def test_subjects_leave_by_deletion_and_merge(told: Told) -> None:
    told.galleries.delete_subject("g", "ann")
    told.galleries.corrections.merge("g", "bob", "cid")
    assert told.gone == ["ann", "bob"]


def test_subjects_leave_by_expiry_at_the_next_use_and_by_a_stricter_policy(told: Told) -> None:
    told.galleries.update_gallery("g", GalleryChange(policy=GalleryPolicy(subject_retention=timedelta(days=30))))
    assert told.gone == []
    told.time += timedelta(days=31)
    told.galleries.migrations.shadowing("g")
    assert sorted(told.gone) == ["ann", "bob", "cid"]


def test_the_models_have_roles_until_the_migration_ends(told: Told) -> None:
    migrations = told.galleries.migrations
    assert migrations.shadowing("g") is None
    migrations.start("g", "new")
    migrations.update("g", shadow_share=0.25)
    shadowing = migrations.shadowing("g")
    assert shadowing is not None
    assert shadowing.share == 0.25
    assert (shadowing.roles.serving.name, shadowing.roles.shadow.name) == ("old", "new")
    assert told.roles[-1] == shadowing.roles == migrations.roles("g")
    migrations.update("g", threshold=0.75)
    assert told.roles[-1] == replace(shadowing.roles, shadow_threshold=0.75)
    migrations.switch("g", allow_missing=True)
    exchanged = told.roles[-1]
    assert exchanged is not None
    assert (exchanged.serving.name, exchanged.serving_threshold, exchanged.shadow_threshold) == ("new", 0.75, 0.5)
    migrations.finish("g", delete_missing=True)
    assert told.roles[-1] is None
    assert migrations.shadowing("g") is None


def test_a_deleted_gallery_has_no_roles(told: Told) -> None:
    told.galleries.migrations.start("g", "new")
    told.galleries.delete_gallery("g", force=True)
    assert told.roles[-1] is None
