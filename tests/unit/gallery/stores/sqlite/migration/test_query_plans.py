"""No step of a migration looks through whole tables: each query finds its rows by an index."""

from __future__ import annotations

from pathlib import Path

from gallery.migration.gaps import BEFORE_ALL
from tests.unit.gallery.stores.sqlite.migration.samples import NEW, OLD, Moving
from tests.unit.gallery.stores.sqlite.sealing.samples import fill

TABLES = ("templates", "subjects", "crops", "second_embeddings", "second", "another")


def test_the_queries_of_a_migration_use_indexes(tmp_path: Path) -> None:
    moving = Moving(tmp_path / "facet.db")
    fill(moving.galleries, "g", range(6))
    statements: list[str] = []
    connection = moving.store.database.connection
    connection.set_trace_callback(statements.append)
    moving.migrations.start("g", "new-model")
    moving.embed("g", most=3)
    moving.migrations.gaps.count("g")
    moving.migrations.gaps.list("g", after=("s2", ""), limit=3)
    moving.migrations.gaps.list("g", after=BEFORE_ALL, limit=3, picture_sha256="0" * 64, subject_id="s4")
    moving.embed("g")
    for contract in (OLD.contract, NEW.contract):
        moving.store.embedded_templates("g", after="", limit=3, contract=contract)
    moving.migrations.switch("g", allow_default_threshold=True)
    moving.migrations.finish("g", delete_crops=True)
    moving.drop("g")
    connection.set_trace_callback(None)
    words = ("SELECT", "DELETE", "UPDATE", "WITH")
    asked = [each for each in statements if each.lstrip().startswith(words)]
    assert sum("second_embeddings" in each for each in asked) > 10
    assert any("DELETE FROM crops" in each for each in asked)
    for each in asked:
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {each}"):
            assert not any(f"SCAN {table} " in f"{step} " for table in TABLES), each
            assert "second_embeddings" not in each or "TEMP B-TREE" not in step, each
    moving.close()
