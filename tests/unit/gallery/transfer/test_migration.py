"""Exports and imports of galleries that are being migrated to another embedding model."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gallery.errors import ContractMismatch, ExportOutdated, InvalidImport
from gallery.galleries import Galleries
from gallery.records.galleries import Gallery
from gallery.records.migration_json import to_plain
from gallery.records.migrations import Migration, ModelVersion, ThresholdSettings
from gallery.records.templates import StoredFace
from gallery.records.thresholds import ThresholdSource
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.transfer.parquet.schema import GROUP_LINES
from tests.unit.gallery.transfer.samples import (
    CONTRACT,
    DIMENSION,
    START,
    exported_from,
    import_into,
    lines_in,
    people,
)

if TYPE_CHECKING:
    from tests.conftest import Exported

OLD = ModelVersion(CONTRACT, "old-model", "a" * 64, DIMENSION)
NEW = ModelVersion("n", "new-model", "b" * 64, 6)
MIGRATION = Migration("m", OLD, NEW, ThresholdSettings(0.25, ThresholdSource.CALLER), START, shadow_share=0.5)


def opened(store: SqliteStore, *models: ModelVersion) -> Galleries:
    first, *further = models
    made = Galleries(
        store,
        contract=first.contract,
        dimension=first.dimension,
        max_templates_per_subject=10,
        further={each.contract: each.dimension for each in further},
    )
    made.migrations.models = models
    return made


@pytest.fixture
def galleries(store: SqliteStore) -> Iterator[Galleries]:
    made = opened(store, OLD, NEW)
    yield made
    made.close()


def other_embedding(number: int) -> Any:
    values = np.random.default_rng(1000 + number).standard_normal(NEW.dimension)
    return (values / np.linalg.norm(values)).astype(np.float32)


def moving_people(count: int) -> list[StoredFace]:
    """Faces with one template each: those of every third person have both embeddings, the old one, and the new one."""
    faces = []
    for number, face in enumerate(people(count, templates=1)):
        other = None if number % 3 == 1 else other_embedding(number)
        faces.append(replace(face, embedding=None if number % 3 == 2 else face.embedding, other_embedding=other))
    return faces


def store_moving(store: SqliteStore, faces: Sequence[StoredFace], migration: Migration = MIGRATION) -> Gallery:
    """Store the gallery "g" in the middle of a migration, without opening it."""
    importing = store.begin_import(Gallery("g", "", 0.5, 1, CONTRACT, 0, 0, START, START, "e", migration=migration))
    importing.add(faces)
    return importing.commit()


def stored(store: SqliteStore, gallery_id: str) -> list[tuple[Any, ...]]:
    def values(embedding: Any) -> Any:
        return None if embedding is None else embedding.tolist()

    return [
        (face.key, values(face.embedding), values(face.other_embedding))
        for face in store.faces(gallery_id, after=("", ""), limit=10_000)
    ]


def found(galleries: Galleries, gallery_id: str, contract: str, probe: Any) -> str:
    (answer,) = galleries.search(gallery_id, probe[None], top_k=1, contract=contract)
    return answer.candidates[0].subject_id if answer.candidates else ""


def test_both_embeddings_and_the_migration_survive_an_export(galleries: Galleries, store: SqliteStore) -> None:
    faces = moving_people(9)
    store_moving(store, faces)
    data = exported_from(galleries)
    lines = lines_in(data)
    assert lines.column_names[-1] == "other_embedding"
    assert [lines[name].null_count for name in ("embedding", "other_embedding")] == [3, 3]
    assert lines["other_embedding"].type.list_size == NEW.dimension
    manifest = json.loads(pq.read_metadata(io.BytesIO(data)).metadata[b"facet.manifest"])
    assert (manifest["version"], manifest["templates"], manifest["dimension"]) == (4, 9, DIMENSION)
    assert manifest["migration"]["target"]["dimension"] == NEW.dimension
    checked = import_into(galleries, data, "checked", validate_only=True)
    imported = import_into(galleries, data)
    assert imported.template_count == checked.template_count == 9
    assert imported.migration == checked.migration == MIGRATION
    assert stored(store, "copy") == stored(store, "g")
    for each in (galleries, opened(store, OLD, NEW)):  # also after a restart
        assert found(each, "copy", OLD.contract, faces[1].embedding) == "s00001"
        assert found(each, "copy", NEW.contract, faces[2].other_embedding) == "s00002"
        assert found(each, "copy", OLD.contract, faces[0].embedding) == "s00000"
        assert found(each, "copy", NEW.contract, faces[0].other_embedding) == "s00000"
    switched = galleries.migrations.switch("copy", allow_missing=True)
    assert (switched.contract, switched.threshold) == (NEW.contract, 0.25)
    again = import_into(galleries, b"".join(each.data for each in galleries.transfer.export_gallery("copy")), "again")
    assert (again.contract, again.migration) == (NEW.contract, switched.migration)
    assert stored(store, "again") == stored(store, "copy")


def test_the_model_that_does_not_search_need_not_be_loaded(
    galleries: Galleries, tmp_path: Path, store: SqliteStore
) -> None:
    store_moving(store, moving_people(3))
    data = exported_from(galleries)
    other_store = SqliteStore(tmp_path / "other.db")
    elsewhere = opened(other_store, OLD)
    assert import_into(elsewhere, data).migration == MIGRATION
    assert stored(other_store, "copy") == stored(store, "g")
    assert import_into(elsewhere, b"".join(each.data for each in elsewhere.transfer.export_gallery("copy")), "again")
    elsewhere.close()
    other_store = SqliteStore(tmp_path / "other.db")
    elsewhere = opened(other_store, NEW)
    with pytest.raises(ContractMismatch):
        import_into(elsewhere, data, "third")
    elsewhere.close()
    odd = opened(SqliteStore(tmp_path / "odd.db"), OLD, replace(NEW, dimension=7))
    with pytest.raises(InvalidImport, match="another dimension"):
        import_into(odd, data)
    odd.close()


@pytest.mark.parametrize("end", ["finish", "cancel"])
def test_a_migration_that_is_ending_is_not_in_the_file(galleries: Galleries, store: SqliteStore, end: str) -> None:
    faces = [replace(face, other_embedding=other_embedding(number)) for number, face in enumerate(people(5))]
    store_moving(store, faces)
    if end == "finish":
        galleries.migrations.switch("g")
    getattr(galleries.migrations, end)("g")
    galleries.migrations.drop("g", limit=3)
    imported = import_into(galleries, data := exported_from(galleries))
    assert b'"version": 1' in data
    kept = NEW if end == "finish" else OLD
    assert (imported.contract, imported.migration, imported.template_count) == (kept.contract, None, 10)
    probe = faces[4].other_embedding if end == "finish" else faces[4].embedding
    assert found(galleries, "copy", kept.contract, probe) == "s00002"


def switch(galleries: Galleries) -> None:
    galleries.migrations.switch("g", allow_missing=True)


def switch_and_roll_back(galleries: Galleries) -> None:
    switch(galleries)
    galleries.migrations.roll_back("g", allow_missing=True)


def cancel(galleries: Galleries) -> None:
    galleries.migrations.cancel("g", delete_missing=True)


@pytest.mark.parametrize("step", [switch, switch_and_roll_back, cancel])
def test_a_switch_or_an_end_during_an_export_ends_it(
    galleries: Galleries, store: SqliteStore, step: Callable[[Galleries], None]
) -> None:
    store_moving(store, moving_people(GROUP_LINES + 3))
    pieces = galleries.transfer.export_gallery("g")
    next(pieces)
    step(galleries)
    with pytest.raises(ExportOutdated, match="repeat it"):
        list(pieces)
    before = galleries.get_gallery("g")
    imported = import_into(galleries, exported_from(galleries))
    assert imported.template_count
    assert imported.subject_count == before.subject_count, "also those whose templates are given up"


def test_a_migration_that_begins_during_an_export_is_not_in_the_file(galleries: Galleries, store: SqliteStore) -> None:
    importing = store.begin_import(Gallery("g", "", 0.5, 1, CONTRACT, 0, 0, START, START, "e"))
    importing.add(people(GROUP_LINES + 3, templates=1))
    importing.commit()

    def exported(step: Callable[[], object]) -> bytes:
        pieces = galleries.transfer.export_gallery("g")
        data = next(pieces).data
        step()
        return data + b"".join(each.data for each in pieces)

    data = exported(lambda: galleries.migrations.start("g", "new-model"))
    assert b'"version": 1' in data
    assert import_into(galleries, data).template_count == GROUP_LINES + 3
    galleries.migrations.cancel("g")
    while not galleries.migrations.drop("g"):
        pass

    def start_and_switch() -> None:
        galleries.migrations.start("g", "new-model")
        galleries.migrations.switch("g", allow_missing=True, allow_default_threshold=True)

    with pytest.raises(ExportOutdated):
        exported(start_and_switch)


@pytest.mark.parametrize(
    ("field", "value", "line", "problem"),
    [
        ("other_embedding", [1.0] * NEW.dimension, 1, "of unit length"),
        ("embedding", None, 2, "must be set, or other_embedding"),
    ],
)
def test_a_bad_line_is_refused_with_its_field(
    galleries: Galleries,
    store: SqliteStore,
    exported: Exported,
    field: str,
    value: list[float] | None,
    line: int,
    problem: str,
) -> None:
    store_moving(store, moving_people(3))
    lines = lines_in(exported_from(galleries))
    column = lines.schema.field(field)
    changed = lines.set_column(lines.column_names.index(field), column, pa.array([value] * 3, column.type))
    said = {"version": 4, "policy": {"require_consent": False}, "distinct_pairs": []}
    with pytest.raises(InvalidImport, match=problem) as refused:
        import_into(galleries, exported(changed, **said, migration=to_plain(MIGRATION)))
    assert (refused.value.field, refused.value.line) == (field, line)


@pytest.mark.parametrize(
    ("migration", "problem"),
    [
        (None, "missing or invalid"),
        ({"source": asdict(replace(OLD, dimension=DIMENSION + 1))}, "between two contracts"),
        ({"source": asdict(replace(OLD, contract="third"))}, "between two contracts"),
        ({"target": asdict(replace(NEW, contract=CONTRACT))}, "between two contracts"),
        ({"end": "dropping"}, "must not be ending"),
    ],
)
def test_a_bad_migration_in_the_manifest_is_refused(
    galleries: Galleries, store: SqliteStore, exported: Exported, migration: dict[str, Any] | None, problem: str
) -> None:
    store_moving(store, moving_people(3))
    lines = lines_in(exported_from(galleries))
    said = {"version": 4, "policy": {"require_consent": False}, "distinct_pairs": []}
    plain = None if migration is None else to_plain(MIGRATION) | migration
    with pytest.raises(InvalidImport, match=problem) as refused:
        import_into(galleries, exported(lines, **said, migration=plain))
    assert refused.value.field == "manifest.migration"


def test_a_persons_report_has_both_embeddings(galleries: Galleries, store: SqliteStore) -> None:
    faces = moving_people(3)
    store_moving(store, faces)
    for number, contracts in enumerate(([OLD.contract, NEW.contract], [OLD.contract], [NEW.contract])):
        _, templates = galleries.transfer.export_subject("g", f"s{number:05}")
        (only,) = templates
        assert list(only.embeddings) == contracts
    galleries.migrations.switch("g", allow_missing=True)
    _, templates = galleries.transfer.export_subject("g", "s00000")
    (only,) = templates
    assert list(only.embeddings) == [NEW.contract, OLD.contract]
    assert only.embeddings[NEW.contract].tolist() == pytest.approx(other_embedding(0).tolist())
