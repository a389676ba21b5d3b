"""Pairs of subjects that were told apart, in exported files."""

from __future__ import annotations

import io
from itertools import combinations, islice

import pyarrow.parquet as pq
import pytest

from gallery.errors import DistinctSubjects
from gallery.galleries import Galleries
from gallery.records.distinct_pairs import MAX_DISTINCT_PAIRS
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.transfer.parquet.schema import GROUP_LINES, schema
from tests.unit.gallery.transfer.samples import DIMENSION, exported_from, import_into, people, store_gallery


def test_as_many_pairs_as_a_gallery_may_have_survive_an_export(galleries: Galleries, store: SqliteStore) -> None:
    faces = people(150, templates=4)
    assert len(faces) > GROUP_LINES, "subjects must begin on both sides of a row group"
    subject_ids = sorted({face.subject.subject_id for face in faces})
    pairs = list(islice(reversed(list(combinations(subject_ids, 2))), MAX_DISTINCT_PAIRS))
    store_gallery(store, faces, pairs)
    data = exported_from(galleries)
    assert pq.read_schema(io.BytesIO(data)).equals(schema(DIMENSION, has_terms=True))
    import_into(galleries, data)
    assert store.distinct_pairs("copy") == set(pairs)
    with pytest.raises(DistinctSubjects):
        galleries.corrections.merge("copy", *pairs[0])


def test_a_gallery_whose_pairs_were_taken_back_is_written_as_earlier_versions_read_it(
    galleries: Galleries, store: SqliteStore
) -> None:
    store_gallery(store, people(2), [("s00000", "s00001")])
    assert b'"version": 3' in exported_from(galleries)
    galleries.corrections.set_distinct("g", "s00000", "s00001", is_distinct=False)
    assert b'"version": 1' in exported_from(galleries)


def test_the_pair_of_a_subject_that_is_forgotten_during_an_export_is_not_in_the_file(
    galleries: Galleries, store: SqliteStore
) -> None:
    count = GROUP_LINES + 2
    store_gallery(store, people(count, templates=1), [("s00000", "s00002"), ("s00001", "s00002")])
    pieces = galleries.transfer.export_gallery("g")
    data = next(pieces).data
    galleries.delete_subject("g", "s00000")
    data += b"".join(piece.data for piece in pieces)
    assert import_into(galleries, data).subject_count == count, "the lines were sent before"
    assert store.distinct_pairs("copy") == {("s00001", "s00002")}
