"""Imports of exported files."""

from __future__ import annotations

import io
import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from gallery.errors import ContractMismatch, GalleryExists, GalleryNotFound, InvalidImport, StorageUnavailable
from gallery.galleries import Galleries
from gallery.records.thresholds import ThresholdSource
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.transfer.parquet.schema import GROUP_LINES, PNG_SIGNATURE, schema
from tests.unit.gallery.transfer.samples import (
    CONTRACT,
    DIMENSION,
    exported_from,
    face_of,
    import_into,
    lines_of,
    people,
    store_gallery,
    subject_of,
)

if TYPE_CHECKING:
    from tests.conftest import Exported


def test_an_imported_gallery_equals_the_exported_one_and_can_be_searched(
    galleries: Galleries, store: SqliteStore
) -> None:
    crop = PNG_SIGNATURE + b"the rest"
    faces = [*people(GROUP_LINES, templates=2), face_of(9999, subject_of("z"), crop)]
    store_gallery(store, faces)
    imported = import_into(galleries, exported_from(galleries))
    assert imported == store.gallery("copy")
    assert (imported.display_name, imported.threshold, imported.mean_of_best) == ("Gallery", 0.5, 2)
    assert (imported.subject_count, imported.template_count) == (GROUP_LINES + 1, len(faces))
    assert lines_of(store, "copy") == lines_of(store, "g")
    probe = np.asarray(faces[-1].embedding)
    original, copy = (galleries.search(each, probe[None], top_k=5) for each in ("g", "copy"))
    assert copy == original
    assert copy[0].candidates[0].subject_id == "z"


@pytest.mark.parametrize("threshold", [None, 0.34, 0.5])
def test_an_imported_gallery_keeps_the_source_of_its_threshold(galleries: Galleries, threshold: float | None) -> None:
    created = galleries.create_gallery("g", display_name="", threshold=threshold)
    imported = import_into(galleries, exported_from(galleries))
    assert (imported.threshold, imported.threshold_source) == (created.threshold, created.threshold_source)
    assert galleries.get_gallery("copy").threshold_source is created.threshold_source


@pytest.mark.parametrize(("threshold", "inferred"), [(0.34, ThresholdSource.DEFAULT), (0.35, ThresholdSource.CALLER)])
def test_the_source_of_a_threshold_is_inferred_for_files_of_older_versions(
    galleries: Galleries, exported: Exported, threshold: float, inferred: ThresholdSource
) -> None:
    lines = pa.Table.from_pylist([], schema=schema(DIMENSION))
    assert import_into(galleries, exported(lines, threshold=threshold)).threshold_source is inferred


def test_an_empty_gallery_can_be_exported_and_imported(galleries: Galleries) -> None:
    galleries.create_gallery("g", display_name="", threshold=0.1)
    imported = import_into(galleries, exported_from(galleries))
    assert (imported.subject_count, imported.template_count, imported.threshold) == (0, 0, float(np.float32(0.1)))


def test_an_import_without_an_id_uses_the_id_in_the_file(galleries: Galleries, store: SqliteStore) -> None:
    store_gallery(store, people(1))
    data = exported_from(galleries)
    with pytest.raises(GalleryExists):
        import_into(galleries, data, "")
    galleries.delete_gallery("g", force=True)
    assert import_into(galleries, data, "").gallery_id == "g"


def test_a_validated_import_stores_nothing(galleries: Galleries, store: SqliteStore) -> None:
    store_gallery(store, people(2))
    data = exported_from(galleries)
    assert import_into(galleries, data, validate_only=True).template_count == 4
    with pytest.raises(GalleryNotFound):
        store.gallery("copy")
    assert import_into(galleries, data).template_count == 4


def test_a_file_of_another_contract_is_refused(galleries: Galleries, store: SqliteStore, exported: Exported) -> None:
    lines = pa.Table.from_pylist([], schema=schema(DIMENSION))
    with pytest.raises(ContractMismatch) as caught:
        import_into(galleries, exported(lines, contract="other"))
    assert (caught.value.expected, caught.value.found) == ("other", CONTRACT)


def test_a_file_of_another_dimension_is_refused(galleries: Galleries, exported: Exported) -> None:
    lines = pa.Table.from_pylist([], schema=schema(DIMENSION + 1))
    with pytest.raises(InvalidImport) as caught:
        import_into(galleries, exported(lines))
    assert caught.value.field == "manifest.dimension"


def test_an_interrupted_import_leaves_nothing(galleries: Galleries, store: SqliteStore) -> None:
    store_gallery(store, people(3 * GROUP_LINES, templates=1))
    data = exported_from(galleries)
    calls = iter(range(2))

    def check() -> None:
        if next(calls, None) is None:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        galleries.transfer.import_gallery(io.BytesIO(data), "copy", check=check)
    assert [each.gallery_id for each in galleries.list_galleries(page_size=10).items] == ["g"]
    assert import_into(galleries, data).template_count == 3 * GROUP_LINES


def test_a_gallery_that_cannot_be_read_just_after_its_import_is_there(galleries: Galleries, store: SqliteStore) -> None:
    def no_pairs(_: int, table: str | None, *_others: str | None) -> int:
        return sqlite3.SQLITE_DENY if table == "distinct_pairs" else sqlite3.SQLITE_OK

    faces = people(3)
    store_gallery(store, faces)
    data = exported_from(galleries)
    store.database.connection.set_authorizer(no_pairs)
    created, imported = galleries.create_gallery("new", display_name=""), import_into(galleries, data)
    with pytest.raises(StorageUnavailable):
        store.distinct_pairs("copy")
    store.database.connection.set_authorizer(None)
    assert [galleries.get_gallery(each) for each in ("new", "copy")] == [created, imported]
    for gallery_id, found in (("new", 0), ("copy", 1)):
        (answer,) = galleries.search(gallery_id, np.asarray(faces[0].embedding)[None], top_k=1)
        assert len(answer.candidates) == found
