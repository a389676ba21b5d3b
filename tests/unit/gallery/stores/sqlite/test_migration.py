"""Databases of older schema versions, opened by this version."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.errors import StorageUnavailable
from gallery.galleries import Galleries
from gallery.records import calibration_json
from gallery.records.enrollments import Enrollment
from gallery.records.galleries import GalleryChange
from gallery.records.thresholds import ThresholdSource, rounded_threshold
from gallery.stores.sqlite.schema import APPLICATION_ID, MIGRATIONS
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.stores.sqlite.verify import verify
from tests.unit.gallery.samples import CALIBRATION

DIMENSION = 32
SECOND = 1_000_000
DEFAULT = rounded_threshold(0.34)


def vector(number: int) -> NDArray[np.float32]:
    values = np.random.default_rng(number).normal(size=DIMENSION)
    return (values / np.linalg.norm(values)).astype(np.float32)


def version_1(path: Path) -> None:
    """Write two galleries: one with three subjects, two templates each and a request, and an empty one."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    for key, gallery_id in enumerate(("full", "empty"), start=1):
        connection.execute(
            "INSERT INTO galleries VALUES (?, ?, 'Name of it', 0.5, 'c', ?, ?, 'etag')",
            (key, gallery_id, SECOND, 2 * SECOND),
        )
    for subject in range(3):
        connection.execute(
            "INSERT INTO subjects VALUES (?, 1, ?, ?, ?, ?, 'etag')",
            (subject + 1, f"s{subject}", f"Name {subject}", SECOND, SECOND),
        )
    for template in range(6):
        connection.execute(
            "INSERT INTO templates VALUES (?, 1, ?, ?, ?, 1.0, 2.0, 30.0, 40.0, 0.75, ?, ?)",
            (
                template + 1,
                template // 2 + 1,
                f"t{template}",
                f"picture {template}",
                SECOND,
                vector(template).astype("<f4").tobytes(),
            ),
        )
    connection.execute("INSERT INTO requests VALUES (1, 'request', 'digest', 3)")
    connection.close()


def test_version_1_is_migrated_with_counts_and_can_be_searched(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    version_1(path)
    assert verify(path).problems == ()
    store = SqliteStore(path)
    empty, full = store.galleries(after="", limit=9)
    assert (full.gallery_id, full.display_name, full.threshold, full.contract) == ("full", "Name of it", 0.5, "c")
    assert (full.subject_count, full.template_count, full.mean_of_best) == (3, 6, 1)
    assert (full.create_time.timestamp(), full.update_time.timestamp()) == (1, 2)
    assert (empty.subject_count, empty.template_count) == (0, 0)
    (template, _) = store.templates("full", "s1", after="", limit=9)
    assert (template.template_id, template.picture_sha256, template.box) == ("t2", "picture 2", (1, 2, 30, 40))
    assert (template.face_model, template.embedding_model, template.has_crop) == ("", "", False)
    assert store.template_of_request("full", "request") == (template, "digest")

    galleries = Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=9)
    for number in range(6):
        (answer,) = galleries.search("full", vector(number)[None], top_k=1)
        best = answer.candidates[0]
        assert (best.subject_id, best.display_name, best.template_id) == (
            f"s{number // 2}",
            f"Name {number // 2}",
            f"t{number}",
        )
    enrollment = Enrollment(
        vector(9), "c", "picture 9", (0, 0, 9, 9), 1.0, face_model="a" * 64, embedding_model="b" * 64, crop=b"png"
    )
    enrolled = galleries.enroll("full", "s1", enrollment).template
    galleries.delete_subject("full", "s0")
    assert galleries.get_gallery("full").template_count == 5
    assert enrolled in store.templates("full", "s1", after="", limit=9)
    galleries.close()
    found = verify(path)
    assert (found.problems, found.schema_version) == ((), len(MIGRATIONS))


def migrate_to(path: Path, version: int) -> sqlite3.Connection:
    """Migrate a database of version 1 to a later version, and leave it open."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statements in MIGRATIONS[1:version]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {version}")
    return connection


def test_version_2_is_migrated_without_calibrations(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    version_1(path)
    connection = migrate_to(path, 2)
    connection.execute("UPDATE galleries SET mean_of_best = 3")
    connection.close()
    assert verify(path).problems == ()
    store = SqliteStore(path)
    assert [(each.gallery_id, each.mean_of_best, each.calibration) for each in store.galleries(after="", limit=9)] == [
        ("empty", 3, None),
        ("full", 3, None),
    ]
    assert len(store.embedded_templates("full", after="", limit=9)) == 6
    store.close()
    assert verify(path).schema_version == len(MIGRATIONS)


@pytest.mark.parametrize("statement", range(len(MIGRATIONS[1])))
def test_an_interrupted_migration_leaves_version_1_as_it_was(
    tmp_path: Path, statement: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "facet.db"
    version_1(path)
    broken = (MIGRATIONS[0], (*MIGRATIONS[1][:statement], "this is no SQL"), *MIGRATIONS[2:])
    with monkeypatch.context() as patched:
        patched.setattr("gallery.stores.sqlite.schema.MIGRATIONS", broken)
        with pytest.raises(Exception, match="syntax error"):
            SqliteStore(path)
    found = verify(path)
    assert (found.problems, found.schema_version, found.galleries[1].templates) == ((), 1, 6)
    store = SqliteStore(path)
    assert store.gallery("full").template_count == 6
    store.close()


def version_3(path: Path) -> None:
    """Write galleries with thresholds from everywhere, without saying from where."""
    version_1(path)
    connection = migrate_to(path, 3)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("DELETE FROM galleries")
    calibration = calibration_json.to_text(CALIBRATION)
    for key, (gallery_id, threshold, text) in enumerate(
        [
            ("calibrated", CALIBRATION.threshold, calibration),
            ("chosen", 0.5, ""),
            ("chosen-after-calibration", DEFAULT, calibration),
            ("default", DEFAULT, ""),
        ]
    ):
        connection.execute(
            "INSERT INTO galleries (key, gallery_id, display_name, threshold, contract, create_time, update_time, etag,"
            " calibration) VALUES (?, ?, '', ?, 'c', 1, 1, 'e', ?)",
            (key, gallery_id, threshold, text),
        )
    connection.close()


def sources(store: SqliteStore) -> dict[str, ThresholdSource]:
    return {each.gallery_id: each.threshold_source for each in store.galleries(after="", limit=9)}


INFERRED = {
    "calibrated": ThresholdSource.CALIBRATION,
    "chosen": ThresholdSource.CALLER,
    "chosen-after-calibration": ThresholdSource.CALLER,
    "default": ThresholdSource.DEFAULT,
}


def test_sources_of_thresholds_are_inferred_once_in_a_database_of_version_3(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    version_3(path)
    assert verify(path).problems == ()
    store = SqliteStore(path, default_threshold=0.34)
    assert sources(store) == INFERRED
    store.update_gallery(
        "default", GalleryChange(threshold=DEFAULT), etag="", new_etag="f", time=CALIBRATION.create_time
    )
    store.close()
    store = SqliteStore(path, default_threshold=0.5)  # another default changes nothing later
    assert sources(store) == INFERRED | {"default": ThresholdSource.CALLER}
    store.close()
    assert (verify(path).problems, verify(path).schema_version) == ((), len(MIGRATIONS))


def test_what_was_said_before_version_16_is_about_the_only_model_that_its_gallery_had(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    version_1(path)
    connection = migrate_to(path, 15)
    connection.execute("UPDATE galleries SET contract = 'new' WHERE gallery_id = 'empty'")  # migrated since
    connection.executemany(
        """INSERT INTO outcomes (key, gallery_key, nonce, answer_time, decision, threshold, source, is_right, truth,
        report_time) VALUES (?, ?, zeroblob(12), 1, 'unknown', 0.5, '', 1, 'unsaid', 1)""",
        [(1, 1), (2, 2)],
    )
    connection.close()
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as migrated:
        assert migrated.execute("SELECT contract FROM outcomes ORDER BY key").fetchall() == [("c",), ("",)]


def test_sources_wait_for_a_process_that_knows_the_default_threshold(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    version_3(path)
    store = SqliteStore(path)
    assert sources(store) == INFERRED | {"default": ThresholdSource.CALLER}
    store.close()
    store = SqliteStore(path, default_threshold=0.34)
    assert sources(store) == INFERRED
    store.close()


def test_an_unknown_source_of_a_threshold_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    version_3(path)
    SqliteStore(path, default_threshold=0.34).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE galleries SET threshold_source = 'guess' WHERE gallery_id = 'chosen'")
    connection.close()
    assert verify(path).problems == ("gallery 'chosen': 'guess' is not a source of a threshold",)
    store = SqliteStore(path)
    with pytest.raises(StorageUnavailable, match="damaged"):
        store.gallery("chosen")
    store.close()
