"""A gallery's migration to another embedding model, in every store."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.errors import (
    AlreadyMigrated,
    AlreadySwitched,
    ContractMismatch,
    MigrationIncomplete,
    MigrationUnderWay,
    ModelNotLoaded,
    NoMigration,
    NotSwitched,
    ThresholdNotChosen,
)
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.migrations import ModelVersion
from gallery.records.thresholds import ThresholdSource
from gallery.stores.base import Store
from tests.integration.gallery.stores.samples import vectors

OLD = ModelVersion("old-contract", "old-model", "0" * 64, 32)
NEW = ModelVersion("new-contract", "new-model", "f" * 64, 16)
PEOPLE = ("ann", "bob", "cid")
OLD_FACES = vectors(4)
NEW_FACES = np.ascontiguousarray(OLD_FACES[:, :16] / np.linalg.norm(OLD_FACES[:, :16], axis=1, keepdims=True))
Make = Callable[..., Galleries]


@pytest.fixture
def make(store: Store) -> Make:
    """Opens the galleries of the store, as a server does that starts."""

    def opened(*models: ModelVersion) -> Galleries:
        first, *further = models or (OLD, NEW)
        made = Galleries(
            store,
            contract=first.contract,
            dimension=first.dimension,
            max_templates_per_subject=5,
            further={each.contract: each.dimension for each in further},
        )
        made.migrations.models = (first, *further)
        return made

    return opened


@pytest.fixture
def galleries(make: Make) -> Galleries:
    return make()


@pytest.fixture
def here(galleries: Galleries) -> str:
    """A gallery with ann, bob and cid under the old model; cid has no crop."""
    made = galleries.create_gallery("", display_name="", threshold=0.5).gallery_id
    for number, person in enumerate(PEOPLE):
        enroll(galleries, made, person, number, crop=person != "cid")
    return made


def enroll(galleries: Galleries, here: str, person: str, number: int, *, crop: bool = True, both: bool = False) -> str:
    return galleries.enroll(
        here,
        person,
        Enrollment(
            OLD_FACES[number],
            OLD.contract,
            f"{number:064x}",
            (0, 0, 1, 1),
            1.0,
            display_name=person.title(),
            crop=b"crop of %d" % number if crop else None,
            further={NEW.contract: NEW_FACES[number]} if both else {},
        ),
    ).template.template_id


def missing(store: Store, here: str, contract: str) -> list[str]:
    faces = store.second_embeddings.missing(here, contract, after=("", ""), limit=10)
    assert all(face.embedding is None for face in faces)
    return [face.subject.subject_id for face in faces]


def embed_missing(galleries: Galleries, store: Store, here: str) -> None:
    """Do what the server does in the background."""
    for face in store.second_embeddings.missing(here, NEW.contract, after=("", ""), limit=10):
        number = PEOPLE.index(face.subject.subject_id)
        # A template that is named twice gets one embedding.
        added = galleries.migrations.add_embeddings(here, NEW.contract, [face, face], NEW_FACES[[number, number]])
        assert list(added) == [face.key[1]]


def found(galleries: Galleries, here: str, probe: NDArray[np.float32], contract: str) -> str:
    (answer,) = galleries.search(here, probe[None], top_k=1, contract=contract)
    return answer.candidates[0].subject_id if answer.candidates else ""


def test_templates_of_two_models_are_side_by_side(galleries: Galleries, store: Store, make: Make, here: str) -> None:
    assert galleries.search_contract(here) == OLD.contract
    plan = galleries.migrations.start(here, "new-model")
    assert (plan.with_crop, plan.without_crop) == (2, 1)
    assert galleries.enrollment_contracts(here) == (OLD.contract, NEW.contract)
    assert missing(store, here, NEW.contract) == list(PEOPLE)
    embed_missing(galleries, store, here)
    embed_missing(galleries, store, here)  # nothing is doubled
    assert missing(store, here, NEW.contract) == []
    for opened in (galleries, make()):  # also after a restart
        for number, person in enumerate(PEOPLE):
            assert found(opened, here, OLD_FACES[number], OLD.contract) == person
            assert found(opened, here, NEW_FACES[number], NEW.contract) == person
    faces = store.faces(here, after=("", ""), limit=10)
    assert [face.subject.subject_id for face in faces] == list(PEOPLE)
    for number, face in enumerate(faces):
        assert face.embedding is not None
        assert face.other_embedding is not None
        np.testing.assert_allclose(face.embedding, OLD_FACES[number], atol=1e-6)
        np.testing.assert_allclose(face.other_embedding, NEW_FACES[number], atol=1e-6)


def test_an_enrolment_during_a_migration_needs_both_embeddings(galleries: Galleries, store: Store, here: str) -> None:
    galleries.migrations.start(here, NEW.sha256[:8])
    with pytest.raises(ContractMismatch):
        enroll(galleries, here, "dan", 3)
    enroll(galleries, here, "dan", 3, both=True)
    assert found(galleries, here, OLD_FACES[3], OLD.contract) == "dan"
    assert found(galleries, here, NEW_FACES[3], NEW.contract) == "dan"
    assert missing(store, here, NEW.contract) == list(PEOPLE)


def test_a_switch_changes_the_threshold_too_and_a_rollback_changes_both_back(
    galleries: Galleries, store: Store, make: Make, here: str
) -> None:
    migrations = galleries.migrations
    migrations.start(here, "new-model")
    with pytest.raises(MigrationIncomplete):
        migrations.switch(here)
    embed_missing(galleries, store, here)
    with pytest.raises(ThresholdNotChosen):
        migrations.switch(here)
    with pytest.raises(NotSwitched):
        migrations.roll_back(here)
    migrations.update(here, threshold=0.875)
    before = galleries.get_gallery(here)
    assert migrations.switch(here, validate_only=True) == before
    switched = migrations.switch(here)
    assert (switched.contract, switched.threshold) == (NEW.contract, 0.875)
    assert switched.migration is not None
    assert switched.migration.other.threshold == 0.5
    with pytest.raises(AlreadySwitched):
        migrations.switch(here)
    opened = make()
    for each in (galleries, opened):
        assert each.search_contract(here) == NEW.contract
        assert each.threshold(here) == 0.875
        # A search that began before the switch ends by the model that it began with.
        (answer,) = each.search(here, OLD_FACES[:1], top_k=1, contract=OLD.contract)
        assert answer.threshold == 0.5
    enroll(galleries, here, "dan", 3, both=True)
    back = migrations.roll_back(here)
    assert (back.contract, back.threshold, back.threshold_source) == (OLD.contract, 0.5, ThresholdSource.CALLER)
    assert found(galleries, here, OLD_FACES[3], OLD.contract) == "dan"  # enrolled in between, and not lost


@pytest.mark.parametrize("ending", ["finish", "cancel"])
def test_the_end_keeps_the_model_that_searches(
    galleries: Galleries, store: Store, make: Make, here: str, ending: str
) -> None:
    migrations = galleries.migrations
    migrations.start(here, "new-model")
    embed_missing(galleries, store, here)
    migrations.update(here, threshold=0.875)
    kept, dropped, faces = (OLD, NEW, OLD_FACES)
    if ending == "finish":
        kept, dropped, faces = (NEW, OLD, NEW_FACES)
        migrations.switch(here)
        enroll(galleries, here, "dan", 3, both=True)
        migrations.finish(here)
    else:
        enroll(galleries, here, "dan", 3, both=True)
        migrations.cancel(here)
    assert not migrations.drop(here, limit=2)  # a restart in the middle goes on
    opened = make()
    while not opened.migrations.drop(here, limit=2):
        pass
    with pytest.raises(NoMigration):
        opened.migrations.cancel(here)
    assert opened.get_gallery(here).migration is None
    for each in (opened, make(kept)):
        for number, person in enumerate((*PEOPLE, "dan")):
            assert found(each, here, faces[number], kept.contract) == person
        with pytest.raises(ContractMismatch):
            found(each, here, np.ones(dropped.dimension, np.float32), dropped.contract)
    stored = store.faces(here, after=("", ""), limit=10)
    assert all(face.other_embedding is None and face.embedding is not None for face in stored)
    assert {face.template.embedding_model for face in stored if face.template} <= {kept.sha256, ""}
    again = make()
    assert again.migrations.plan(here, dropped.name).migration.target == dropped


def test_templates_that_miss_an_embedding_stay_until_they_are_given_up(
    galleries: Galleries, store: Store, make: Make, here: str
) -> None:
    migrations = galleries.migrations
    migrations.start(here, "new-model")
    for face in store.second_embeddings.missing(here, NEW.contract, after=("", ""), limit=2):
        number = PEOPLE.index(face.subject.subject_id)
        assert face.crop == b"crop of %d" % number
        migrations.add_embeddings(here, NEW.contract, [face], NEW_FACES[number][None])
    assert store.second_embeddings.count_missing(here, NEW.contract) == (0, 1)
    migrations.switch(here, allow_missing=True, allow_default_threshold=True)
    assert galleries.get_gallery(here).template_count == 3
    assert [face.subject.subject_id for face in store.faces(here, after=("", ""), limit=10)] == list(PEOPLE)
    assert found(galleries, here, NEW_FACES[2], NEW.contract) != "cid"
    with pytest.raises(MigrationIncomplete):
        migrations.finish(here)
    _, deleted = migrations.finish(here, delete_missing=True)
    assert deleted == 1
    reopened = make().migrations  # a server that died before it deleted them goes on
    while not reopened.drop(here):
        pass
    assert make(NEW).get_gallery(here).template_count == 2


def test_crops_are_deleted_with_the_old_embeddings_if_that_is_wanted(
    galleries: Galleries, store: Store, here: str
) -> None:
    migrations = galleries.migrations
    migrations.start(here, "new-model")
    embed_missing(galleries, store, here)
    migrations.switch(here, allow_default_threshold=True)
    migrations.finish(here, delete_crops=True)
    while not migrations.drop(here, limit=1):
        pass
    faces = store.faces(here, after=("", ""), limit=10)
    assert [(face.subject.subject_id, face.crop) for face in faces] == [(person, None) for person in PEOPLE]
    assert all(
        found(galleries, here, NEW_FACES[number], NEW.contract) == person for number, person in enumerate(PEOPLE)
    )


def test_gaps_of_both_models_are_listed_by_subject(galleries: Galleries, store: Store, make: Make, here: str) -> None:
    galleries.migrations.start(here, "new-model")
    ann = next(iter(store.second_embeddings.missing(here, NEW.contract, after=("", ""), limit=1)))
    galleries.migrations.add_embeddings(here, NEW.contract, [ann], NEW_FACES[:1])
    gaps = galleries.migrations.gaps
    listed = gaps.list(here, after=("", ""), limit=10)
    assert [(gap.face.subject.subject_id, gap.contract) for gap in listed] == [
        ("bob", NEW.contract),
        ("cid", NEW.contract),
    ]
    assert [gap.face.key for gap in gaps.list(here, after=listed[0].face.key, limit=10)] == [listed[1].face.key]
    assert gaps.count(here) == (1, 1)
    assert gaps.total(galleries.get_gallery(here)) == 2
    of_picture = gaps.list(here, after=("", ""), limit=10, picture_sha256=f"{2:064x}")
    assert [gap.face.subject.subject_id for gap in of_picture] == ["cid"]
    assert not gaps.list(here, after=("", ""), limit=10, picture_sha256=f"{2:064x}", subject_id="bob")
    assert [gap.face.subject.subject_id for gap in gaps.list(here, after=("", ""), limit=10, subject_id="bob")] == [
        "bob"
    ]
    galleries.migrations.switch(here, allow_missing=True, allow_default_threshold=True)
    # Those that the new model does not find yet still miss its embedding.
    bob = gaps.list(here, after=("", ""), limit=10)[0]
    assert galleries.migrations.add_embeddings(here, bob.contract, [bob.face], NEW_FACES[1:2])
    assert found(galleries, here, NEW_FACES[1], NEW.contract) == "bob"
    assert gaps.total(galleries.get_gallery(here)) == 1


def test_a_deleted_subject_and_gallery_are_gone_under_both_models(
    galleries: Galleries, store: Store, make: Make, here: str
) -> None:
    galleries.migrations.start(here, "new-model")
    embed_missing(galleries, store, here)
    galleries.delete_subject(here, "ann")
    for opened in (galleries, make()):
        assert found(opened, here, OLD_FACES[0], OLD.contract) != "ann"
        assert found(opened, here, NEW_FACES[0], NEW.contract) != "ann"
    galleries.corrections.merge(here, "bob", "cid")
    for opened in (galleries, make()):
        assert found(opened, here, OLD_FACES[1], OLD.contract) == "cid"
        assert found(opened, here, NEW_FACES[1], NEW.contract) == "cid"
    galleries.delete_gallery(here, force=True)


def test_an_export_in_the_middle_is_imported_with_both_models(galleries: Galleries, store: Store, make: Make) -> None:
    here = galleries.create_gallery("", display_name="", threshold=0.5).gallery_id
    for number, person in enumerate(PEOPLE):
        enroll(galleries, here, person, number, crop=False)
    galleries.migrations.start(here, "new-model")
    for face in store.second_embeddings.missing(here, NEW.contract, after=("", ""), limit=2):
        number = PEOPLE.index(face.subject.subject_id)
        galleries.migrations.add_embeddings(here, NEW.contract, [face], NEW_FACES[number][None])
    galleries.migrations.switch(here, allow_missing=True, allow_default_threshold=True)
    data = b"".join(piece.data for piece in galleries.transfer.export_gallery(here))
    copy = galleries.transfer.import_gallery(io.BytesIO(data), f"{here}-copy", check=lambda: None).gallery_id
    original = galleries.get_gallery(here)
    for opened in (galleries, make()):
        imported = opened.get_gallery(copy)
        assert (imported.contract, imported.migration) == (NEW.contract, original.migration)
        assert imported.template_count == len(PEOPLE)
        assert [found(opened, copy, each, OLD.contract) for each in OLD_FACES[:3]] == list(PEOPLE)
        assert [found(opened, copy, each, NEW.contract) for each in NEW_FACES[:2]] == list(PEOPLE[:2])
    assert missing(store, copy, NEW.contract) == ["cid"]
    assert missing(store, copy, OLD.contract) == []
    galleries.delete_gallery(copy, force=True)


def test_a_migration_that_cannot_begin_says_why(galleries: Galleries, make: Make, here: str) -> None:
    migrations = galleries.migrations
    with pytest.raises(ModelNotLoaded, match=r"'other'.*old-model and new-model"):
        migrations.start(here, "other")
    with pytest.raises(AlreadyMigrated):
        migrations.start(here, "old-model")
    with pytest.raises(NoMigration):
        migrations.switch(here)
    migrations.start(here, "new-model")
    with pytest.raises(MigrationUnderWay):
        migrations.start(here, "new-model")
    without = make(OLD)
    assert found(without, here, OLD_FACES[0], OLD.contract) == "ann"
    assert without.enrollment_contracts(here) == (OLD.contract,)
    with pytest.raises(ModelNotLoaded):
        without.migrations.switch(here, allow_missing=True)


def test_a_switch_begins_a_new_reference_period(galleries: Galleries, store: Store, here: str) -> None:
    """What searches look like cannot be compared with what they looked like with the other model."""
    told: list[str] = []
    galleries.migrations.on_switched.append(told.append)
    galleries.migrations.start(here, "new-model")
    embed_missing(galleries, store, here)
    assert store.observations.reference_starts(here) == {}
    switched = galleries.migrations.switch(here, allow_default_threshold=True)
    assert switched.migration is not None
    assert store.observations.reference_starts(here) == {"": switched.migration.switch_time}
    galleries.migrations.roll_back(here)
    assert told == [here, here]


def test_a_threshold_is_that_of_the_model_that_is_asked_for(galleries: Galleries, store: Store, here: str) -> None:
    migrations = galleries.migrations
    migrations.start(here, "new-model")
    embed_missing(galleries, store, here)
    migrations.update(here, threshold=0.875)
    assert (galleries.threshold(here, OLD.contract), galleries.threshold(here, NEW.contract)) == (0.5, 0.875)
    migrations.switch(here)
    assert (galleries.threshold(here, OLD.contract), galleries.threshold(here, NEW.contract)) == (0.5, 0.875)
    migrations.finish(here)
    with pytest.raises(ContractMismatch):
        galleries.threshold(here, OLD.contract)


def test_of_two_models_of_one_name_the_other_one_is_meant(make: Make) -> None:
    twin = ModelVersion("twin-contract", OLD.name, "e" * 64, 16)
    galleries = make(OLD, twin)
    here = galleries.create_gallery("", display_name="").gallery_id
    assert galleries.migrations.plan(here, OLD.name).migration.target == twin
