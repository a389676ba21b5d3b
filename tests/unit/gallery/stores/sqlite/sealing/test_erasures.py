"""Erasures in an encrypted database: searched for as they were stored, and keys of galleries are destroyed."""

from __future__ import annotations

from pathlib import Path

from gallery.encryption.master_keys import KeyFile
from gallery.galleries import Galleries
from gallery.records.erasures import Erasure, ErasureOutcome
from gallery.stores.sqlite.erasure_records.byte_search import ByteSearch
from gallery.stores.sqlite.erasure_records.evidence import Evidence
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.times import EARLIEST
from tests.unit.gallery.samples import CONTRACT, DIMENSION
from tests.unit.gallery.stores.sqlite.sealing.samples import fill
from tests.waiting import until


def records(galleries: Galleries) -> tuple[Erasure, ...]:
    return galleries.erasures.list("", "", since=EARLIEST, page_size=100).items


def test_sealed_values_are_searched_for_as_they_are_in_the_file(key_file: KeyFile, database: Path) -> None:
    store = SqliteStore(database, master_keys=key_file)
    galleries = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5)
    fill(galleries, "g", range(3))
    evidence = Evidence()
    with store.database.reading() as connection:
        evidence.add_subject(connection, 1)
        evidence.add_templates(connection, [1])
    store.database.erase_traces(patience=60)
    search = ByteSearch(evidence.values)
    assert search.in_bytes(database.read_bytes()) == set(range(4)), "the name, the embedding, the crop and the request"
    galleries.delete_subject("g", "s0")
    assert search.in_bytes(database.read_bytes()) == set()
    galleries.delete_gallery("g", force=True)
    until(lambda: all(each.gone_time for each in records(galleries)))
    subject, gallery = records(galleries)
    galleries.close()
    assert {subject.outcome, gallery.outcome} == {ErasureOutcome.NOT_FOUND}
    assert subject.values_searched == 4
    assert (subject.key_destroyed, gallery.key_destroyed) == (False, True)
