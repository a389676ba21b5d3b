"""Calibration of either model of a gallery that is being migrated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.calibration.nonmated_searches import Evidence
from gallery.errors import ContractMismatch, EtagMismatch, MigrationEnding, NoMigration
from gallery.galleries import Galleries
from gallery.records.calibrations import CalibrationState, StaleReason
from gallery.records.enrollments import Enrollment
from gallery.records.galleries import Gallery, GalleryChange
from gallery.records.migrations import Migration, ModelVersion
from gallery.records.thresholds import ThresholdSource
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.calibration.conftest import DIMENSION, PEOPLE, vectors

OLD = ModelVersion("c", "old-model", "0" * 64, DIMENSION)
NEW = ModelVersion("n", "new-model", "f" * 64, 64)
Vectors = NDArray[np.float32]


def new_vectors(count: int = PEOPLE, seed: int = 0) -> Vectors:
    """Embeddings by the new model; those of seed 0 are the people's, in the order of their subjects."""
    values = np.random.default_rng(seed).normal(size=(count, NEW.dimension))
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


class Moving:
    """The gallery "team", on its way to the new model."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path)
        self.galleries = Galleries(
            self.store,
            contract=OLD.contract,
            dimension=OLD.dimension,
            max_templates_per_subject=9,
            further={NEW.contract: NEW.dimension},
        )
        self.galleries.migrations.models = (OLD, NEW)
        self.galleries.migrations.start("team", "new-model")

    @property
    def gallery(self) -> Gallery:
        return self.galleries.get_gallery("team")

    @property
    def migration(self) -> Migration:
        migration = self.gallery.migration
        assert migration is not None
        return migration

    def embed(self, people: int = PEOPLE) -> None:
        """Make the new model's embeddings of the first people that have none."""
        missing = self.store.second_embeddings.missing("team", NEW.contract, after=("", ""), limit=people)
        places = [int(face.subject.subject_id[1:]) for face in missing]
        self.galleries.migrations.add_embeddings("team", NEW.contract, missing, new_vectors()[places])

    def begin(self, contract: str, cohort: str = "") -> tuple[Gallery, Evidence]:
        calibrator = self.galleries.calibrator
        before = calibrator.begin("team", contract=contract)
        return before, calibrator.search_cross_subject(before, cohort, check=lambda: None)

    def calibrate(self, contract: str, *, validate_only: bool = False) -> Gallery:
        gallery, evidence = self.begin(contract)
        calibrator = self.galleries.calibrator
        return calibrator.calibrate(gallery, evidence, target_fpir=0.05, validate_only=validate_only)[0]

    def end(self) -> None:
        while not self.galleries.migrations.drop("team"):
            pass


@pytest.fixture
def moving(tmp_path: Path, team_database: Path) -> Iterator[Moving]:
    made = Moving(Path(shutil.copy(team_database, tmp_path / "facet.db")))
    yield made
    made.galleries.close()


def test_each_model_gets_the_threshold_of_its_own_similarities(moving: Moving) -> None:
    moving.embed()
    before = moving.gallery
    planned = moving.calibrate(NEW.contract, validate_only=True)
    assert moving.gallery == before
    calibrated = moving.calibrate(NEW.contract)
    assert calibrated == moving.gallery
    assert (calibrated.threshold, calibrated.calibration) == (before.threshold, None)
    other = moving.migration.other
    assert planned.migration is not None
    assert planned.migration.other.threshold == other.threshold
    assert other.source is ThresholdSource.CALIBRATION
    assert other.calibration is not None
    assert other.calibration.contract == NEW.contract
    assert other.calibration.threshold == other.threshold
    strangers = new_vectors(2000, 7)
    found = moving.galleries.search("team", strangers, top_k=1, contract=NEW.contract)
    assert np.mean([each.candidates[0].similarity >= other.threshold for each in found]) == pytest.approx(
        0.05, abs=0.02
    )
    assert {each.calibration for each in found} == {CalibrationState.CURRENT}

    own = moving.calibrate(OLD.contract)
    assert moving.migration.other == other
    assert own.calibration is not None
    assert own.calibration.contract == OLD.contract
    assert own.threshold > other.threshold  # people are further apart in more dimensions


def test_a_calibrated_model_may_switch_and_each_keeps_its_calibration(moving: Moving) -> None:
    moving.embed()
    moving.calibrate(NEW.contract)
    other = moving.migration.other
    switched = moving.galleries.migrations.switch("team")
    assert (switched.threshold, switched.calibration) == (other.threshold, other.calibration)
    status = moving.galleries.calibrator.status
    assert status(switched).state is CalibrationState.CURRENT
    assert status(switched.under(OLD.contract)).state is CalibrationState.NOT_CALIBRATED
    changed = moving.galleries.update_gallery("team", GalleryChange(threshold=0.9))
    assert status(changed).reasons == (StaleReason.THRESHOLD_CHANGED,)
    moving.calibrate(OLD.contract)
    back = moving.galleries.migrations.roll_back("team")
    assert status(back).state is CalibrationState.CURRENT
    assert back.calibration is not None
    assert back.calibration.contract == OLD.contract


@pytest.mark.parametrize("contract", [OLD.contract, NEW.contract])
def test_a_switch_during_the_searches_leaves_the_result_with_its_model(moving: Moving, contract: str) -> None:
    moving.embed()
    before, evidence = moving.begin(contract)
    moving.galleries.migrations.switch("team", allow_default_threshold=True)
    moving.galleries.calibrator.calibrate(before, evidence, target_fpir=0.05)
    for each in (OLD.contract, NEW.contract):
        calibration = moving.gallery.under(each).calibration
        assert (calibration is not None) == (each == contract)
        assert calibration is None or calibration.contract == contract


@pytest.mark.parametrize("validate_only", [False, True])
def test_a_migration_that_ends_during_the_searches_refuses_the_result(moving: Moving, validate_only: bool) -> None:
    moving.embed()
    before, evidence = moving.begin(NEW.contract)
    calibrate = moving.galleries.calibrator.calibrate

    def refused(error: type[Exception]) -> None:
        at_first = moving.gallery
        with pytest.raises(error):
            calibrate(before, evidence, target_fpir=0.05, validate_only=validate_only)
        assert moving.gallery == at_first

    moving.galleries.migrations.cancel("team")
    refused(MigrationEnding)
    with pytest.raises(ContractMismatch):
        moving.begin(NEW.contract)
    moving.end()
    refused(NoMigration)
    assert moving.galleries.calibrator.begin("team", contract=OLD.contract).contract == OLD.contract
    moving.galleries.migrations.start("team", "new-model")
    refused(EtagMismatch)


def test_the_dropped_embeddings_are_no_longer_probes(moving: Moving) -> None:
    moving.embed()
    moving.galleries.migrations.cancel("team")
    moving.end()
    for read in (
        moving.store.embedded_templates("team", after="", limit=9, contract=NEW.contract),
        moving.store.embedded_by_subject("team", after=("", ""), limit=9, contract=NEW.contract),
    ):
        assert len(read) == 0


def test_an_incomplete_migration_is_calibrated_on_what_is_there(moving: Moving) -> None:
    moving.embed(PEOPLE - 50)
    calibration = moving.calibrate(NEW.contract).under(NEW.contract).calibration
    assert calibration is not None
    # The threshold is for all templates, so it still holds when the rest is embedded.
    assert (calibration.templates, calibration.for_templates) == (PEOPLE - 50, PEOPLE)
    moving.embed()
    moving.galleries.migrations.switch("team")
    assert moving.galleries.calibrator.status(moving.gallery).state is CalibrationState.CURRENT
    for number in range(PEOPLE // 9):
        (old,), (new,) = vectors(1, 100 + number), new_vectors(1, 100 + number)
        face = Enrollment(
            old,
            OLD.contract,
            f"{number:064x}",
            (0, 0, 9, 9),
            1.0,
            accept_lookalike=True,
            further={NEW.contract: new},
        )
        moving.galleries.enroll("team", f"more-{number}", face)
    assert moving.galleries.calibrator.status(moving.gallery).reasons == (StaleReason.OUTGROWN,)


def test_probes_and_a_cohort_are_searched_under_the_contract(moving: Moving) -> None:
    moving.embed()
    calibrator = moving.galleries.calibrator
    before = calibrator.begin("team", contract=NEW.contract)
    searches = calibrator.search_nonmated(before, new_vectors()[:3], ["s000", "s001", "x"])
    assert [each.templates for each in searches] == [PEOPLE] * 3
    assert searches[2].other_id == "s002"
    assert "s000" != searches[0].other_id != ""
    moving.galleries.create_gallery("visitors", display_name="", threshold=0.5)
    for number, embedding in enumerate(vectors(5, 3)):
        face = Enrollment(embedding, OLD.contract, f"{number:064x}", (0, 0, 9, 9), 1.0)
        moving.galleries.enroll("visitors", f"v{number}", face)
    with pytest.raises(ContractMismatch):
        moving.begin(NEW.contract, cohort="visitors")
    moving.galleries.migrations.start("visitors", "new-model")
    assert calibrator.count_templates("visitors", NEW.contract) == 0
    missing = moving.store.second_embeddings.missing("visitors", NEW.contract, after=("", ""), limit=2)
    moving.galleries.migrations.add_embeddings("visitors", NEW.contract, missing, new_vectors()[10:12])
    assert calibrator.count_templates("visitors", NEW.contract) == 2
    _, evidence = moving.begin(NEW.contract, cohort="visitors")
    assert len(evidence.searches) == PEOPLE + 2
    assert {each.templates for each in evidence.searches} == {PEOPLE}
