"""The background work of a migration: crops that cannot be embedded, changes meanwhile, and failures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.server.migrations.crop_embedding import CropDamaged, NotEmbedded
from facet.server.migrations.gallery_migration import GalleryMigration
from gallery.errors import GalleryNotFound
from gallery.galleries import Galleries
from gallery.migration.gaps import BEFORE_ALL
from gallery.migration.standing import GapReason
from gallery.records.enrollments import Enrollment
from gallery.records.migrations import ModelVersion
from gallery.stores.sqlite.sqlite_store import SqliteStore

OLD = ModelVersion("old", "old-model", "0" * 64, 64)
NEW = ModelVersion("new", "new-model", "f" * 64, 64)


class Embedder:
    """Embeds the crop of the person with a number as the axis of that number, or as it is told."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.outcomes: dict[int, NDArray[np.float32] | Exception] = {}

    def embed(self, crop: bytes, contract: str) -> NDArray[np.float32]:
        """See :meth:`facet.server.migrations.crop_embedding.CropEmbedder.embed`."""
        assert contract in (OLD.contract, NEW.contract)
        number = int(crop)
        self.asked.append(number)
        outcome = self.outcomes.get(number, axis(number))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def galleries(tmp_path: Path) -> Iterator[Galleries]:
    made = Galleries(
        SqliteStore(tmp_path / "facet.db"),
        contract=OLD.contract,
        dimension=OLD.dimension,
        max_templates_per_subject=9,
        further={NEW.contract: NEW.dimension},
    )
    made.migrations.models = (OLD, NEW)
    made.create_gallery("g", display_name="", threshold=0.5)
    yield made
    made.close()


def axis(number: int) -> NDArray[np.float32]:
    embedding: NDArray[np.float32] = np.eye(1, OLD.dimension, number, dtype=np.float32)[0]
    return embedding


def enroll(galleries: Galleries, number: int, *, keeps_crop: bool = True) -> None:
    digest = f"{number:064x}"
    crop = b"%d" % number if keeps_crop else None
    face = Enrollment(axis(number), OLD.contract, digest, (0, 0, 1, 1), 1.0, display_name="", crop=crop)
    galleries.enroll("g", f"p{number:02}", face)


def started(galleries: Galleries, embedder: Embedder) -> GalleryMigration:
    plan = galleries.migrations.start("g", "new-model")
    return GalleryMigration(galleries, "g", plan.migration.migration_id, embedder)


def work(migration: GalleryMigration) -> None:
    while migration.step():
        pass


def found(galleries: Galleries, number: int) -> str:
    (answer,) = galleries.search("g", axis(number)[None], top_k=1, contract=NEW.contract)
    return answer.candidates[0].subject_id if answer.candidates[0].similarity > 0.5 else ""


def test_a_crop_that_cannot_be_embedded_is_tried_once_and_told(galleries: Galleries) -> None:
    for number in range(40):
        enroll(galleries, number)
    embedder = Embedder()
    embedder.outcomes = {3: CropDamaged("it is damaged"), 20: NotEmbedded()}
    migration = started(galleries, embedder)
    work(migration)
    work(migration)
    assert sorted(embedder.asked) == list(range(40))
    standing = migration.standing(galleries.get_gallery("g"))
    assert (standing.done, standing.waiting, standing.missing, standing.problem) == (38, 0, 2, "")
    gaps = galleries.migrations.gaps.list("g", after=BEFORE_ALL, limit=9)
    assert [migration.reason(gap) for gap in gaps] == [GapReason.CROP_DAMAGED, GapReason.NOT_EMBEDDED]
    galleries.delete_subject("g", "p03")
    work(migration)
    assert migration.standing(galleries.get_gallery("g")).missing == 1
    assert len(embedder.asked) == 40


def test_a_model_that_embeds_everybody_alike_stops_before_the_gallery_is_embedded(galleries: Galleries) -> None:
    for number in range(40):
        enroll(galleries, number)
    embedder = Embedder()
    embedder.outcomes = {number: axis(0) for number in range(40)}
    migration = started(galleries, embedder)
    work(migration)
    assert len(embedder.asked) <= 16
    assert galleries.migrations.gaps.count("g") == (40, 0)
    standing = migration.standing(galleries.get_gallery("g"))
    assert standing.problem == "new-model embeds everybody alike: cancel the migration"
    galleries.migrations.cancel("g")
    work(migration)
    assert galleries.get_gallery("g").migration is None


def test_people_who_change_meanwhile_are_neither_lost_nor_doubled(galleries: Galleries) -> None:
    for number in range(40):
        enroll(galleries, number)
    migration = started(galleries, Embedder())
    assert migration.step()  # p00 to p15 are embedded, the crops of the others are read
    galleries.delete_subject("g", "p30")
    galleries.corrections.merge("g", "p31", "p00")  # from after what is done to before
    galleries.corrections.merge("g", "p01", "p32")
    work(migration)
    gallery = galleries.get_gallery("g")
    assert migration.standing(gallery).done == gallery.template_count == 39
    assert galleries.migrations.gaps.count("g") == (0, 0)
    assert [found(galleries, number) for number in (0, 31, 1, 32, 30)] == ["p00", "p00", "p32", "p32", ""]


def test_a_gallery_that_is_deleted_meanwhile_ends_the_work(galleries: Galleries) -> None:
    enroll(galleries, 0)
    migration = started(galleries, Embedder())
    galleries.delete_gallery("g", force=True)
    with pytest.raises(GalleryNotFound):
        migration.step()


def test_a_migration_is_not_ready_while_crops_wait_though_gaps_without_crops_are_filled(galleries: Galleries) -> None:
    for number in range(60):
        enroll(galleries, number, keeps_crop=number < 30)
    migration = started(galleries, Embedder())
    assert migration.step()  # 14 crops wait
    gaps = galleries.migrations.gaps.list("g", after=BEFORE_ALL, limit=60)
    faces = [gap.face for gap in gaps if gap.face.crop is None]
    embeddings = np.stack([axis(int(face.key[0][1:])) for face in faces])
    galleries.migrations.add_embeddings("g", NEW.contract, faces, embeddings)
    standing = migration.standing(galleries.get_gallery("g"))
    assert (standing.done, standing.waiting, standing.missing) == (46, 14, 0)
    assert not standing.is_ready
    work(migration)
    assert migration.standing(galleries.get_gallery("g")).done == 60
