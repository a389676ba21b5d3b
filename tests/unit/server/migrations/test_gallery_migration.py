"""The background work of a migration: crops that cannot be embedded, changes meanwhile, and failures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.server.migrations.crop_embedding import CropDamaged, NotEmbedded
from facet.server.migrations.gallery_migration import GalleryMigration
from gallery.errors import ContractMismatch, GalleryNotFound, StorageUnavailable
from gallery.galleries import Galleries
from gallery.migration.gaps import BEFORE_ALL, Gap
from gallery.migration.standing import GapReason
from gallery.records.migrations import ModelVersion
from gallery.records.subjects import SubjectChange
from gallery.times import now
from tests.clock_ahead import ClockAhead
from tests.unit.server.migrations.samples import NEW, OLD, THIRD, Embedder, axis, enroll, opened


def started(galleries: Galleries, embedder: Embedder) -> GalleryMigration:
    plan = galleries.migrations.start("g", "new-model")
    return GalleryMigration(galleries, "g", plan.migration.migration_id, embedder)


def work(migration: GalleryMigration) -> None:
    while migration.step():
        pass


def found(galleries: Galleries, number: int) -> str:
    (answer,) = galleries.search("g", axis(number)[None], top_k=1, contract=NEW.contract)
    return answer.candidates[0].subject_id if answer.candidates and answer.candidates[0].similarity > 0.5 else ""


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


class Meanwhile(Embedder):
    """Does something, once, while the first crop is being embedded."""

    def __init__(self, change: Callable[[], object]) -> None:
        super().__init__()
        self._change: Callable[[], object] | None = change

    def embed(self, crop: bytes, contract: str) -> NDArray[np.float32]:
        """See :class:`Embedder`."""
        change, self._change = self._change, None
        if change is not None:
            change()
        return super().embed(crop, contract)


def restart(galleries: Galleries, model: ModelVersion) -> None:
    """Cancel the migration, and begin one to another model."""
    galleries.migrations.cancel("g")
    while not galleries.migrations.drop("g"):
        pass
    galleries.migrations.start("g", model.name)


def test_another_migration_that_begins_meanwhile_gets_no_embedding_of_the_old_one(galleries: Galleries) -> None:
    for number in range(5):
        enroll(galleries, number)
    embedder = Meanwhile(lambda: restart(galleries, THIRD))
    work(migration := started(galleries, embedder))
    assert galleries.get_gallery("g").contract == OLD.contract
    assert galleries.migrations.gaps.count("g") == (5, 0)
    (answer,) = galleries.search("g", axis(0)[None], top_k=1, contract=THIRD.contract)
    assert not answer.candidates
    assert not migration.failure


def test_an_original_picture_fills_no_gap_of_another_migration(galleries: Galleries) -> None:
    enroll(galleries, 0)
    galleries.migrations.start("g", NEW.name)
    (gap,) = galleries.migrations.gaps_of_picture("g", f"{0:064x}")
    restart(galleries, THIRD)
    with pytest.raises(ContractMismatch):
        galleries.migrations.add_embeddings("g", gap.contract, [gap.face], axis(0)[None])
    assert galleries.migrations.gaps.count("g") == (1, 0)


def test_people_who_expire_while_their_crops_are_embedded_get_no_embedding(tmp_path: Path) -> None:
    clock = ClockAhead()
    galleries = opened(tmp_path / "facet.db", NEW, clock=clock)
    galleries.create_gallery("g", display_name="", threshold=0.5)
    for number in range(5):
        enroll(galleries, number)
    tomorrow = SubjectChange(frozenset({"expire_time"}), expire_time=now() + timedelta(days=1))
    galleries.update_subject("g", "p03", tomorrow)

    def expire() -> None:
        clock.ahead = timedelta(days=2)

    migration = started(galleries, Meanwhile(expire))
    work(migration)
    assert [found(galleries, number) for number in range(5)] == ["p00", "p01", "p02", "", "p04"]
    galleries.retention.erase()
    work(migration)
    gallery = galleries.get_gallery("g")
    standing = migration.standing(gallery)
    assert (standing.done, standing.waiting, standing.missing) == (gallery.template_count, 0, 0) == (4, 0, 0)
    galleries.migrations.switch("g", allow_default_threshold=True)
    galleries.close()


@pytest.fixture
def counted(galleries: Galleries, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names a gallery whenever its gaps are counted."""
    count, names = galleries.migrations.gaps.count, []

    def counting(gallery_id: str) -> tuple[int, int]:
        names.append(gallery_id)
        return count(gallery_id)

    monkeypatch.setattr(galleries.migrations.gaps, "count", counting)
    return names


def test_a_gallery_without_gaps_is_not_looked_through(galleries: Galleries, counted: list[str]) -> None:
    migration = started(galleries, Embedder())
    for number in range(5):
        enroll(galleries, number, both=True)
        work(migration)
    standing = migration.standing(galleries.get_gallery("g"))
    assert (standing.done, standing.waiting, standing.missing, counted) == (5, 0, 0, [])


def test_gaps_that_nobody_changed_are_not_counted_again(galleries: Galleries, counted: list[str]) -> None:
    enroll(galleries, 0, keeps_crop=False)
    migration = started(galleries, Embedder())
    for _ in range(3):
        work(migration)
    assert counted == ["g"]


def test_a_gap_in_place_of_another_one_is_noticed(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "facet.db", NEW)) as galleries:
        galleries.create_gallery("g", display_name="", threshold=0.5)
        enroll(galleries, 0)
        enroll(galleries, 1, keeps_crop=False)
        migration_id = galleries.migrations.start("g", NEW.name).migration.migration_id
    # A server without the new model: what is enrolled now misses its embedding.
    with closing(opened(tmp_path / "facet.db")) as galleries:
        migration = GalleryMigration(galleries, "g", migration_id, Embedder())
        work(migration)
        standing = migration.standing(galleries.get_gallery("g"))
        assert (standing.done, standing.waiting, standing.missing) == (0, 1, 1)
        galleries.delete_subject("g", "p01")
        enroll(galleries, 2)
        work(migration)
        standing = migration.standing(galleries.get_gallery("g"))
        assert (standing.done, standing.waiting, standing.missing) == (0, 2, 0)


def test_a_list_of_gaps_that_cannot_be_read_is_read_again(
    galleries: Galleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        enroll(galleries, number)
    migration = started(galleries, Embedder())
    with monkeypatch.context() as patched:

        def fail(*_: object, **__: object) -> Sequence[Gap]:
            raise StorageUnavailable("the disk fails")

        patched.setattr(galleries.migrations.gaps, "list", fail)
        with pytest.raises(StorageUnavailable):
            migration.step()
    work(migration)
    assert migration.standing(galleries.get_gallery("g")).done == 5
