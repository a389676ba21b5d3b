"""Damaged observations in Milvus."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from gallery.errors import StorageUnavailable
from gallery.stores.milvus.milvus_store import MilvusStore
from gallery.stores.milvus.schema import fields_of, with_no_vector
from tests.integration.gallery.stores.milvus.samples import new_gallery
from tests.integration.gallery.stores.test_observations_contract import CAMERA, MIDNIGHT, found, seen


def test_damaged_counts_are_told_and_replaced_by_the_next_ones_of_their_hour(milvus_lite: None, tmp_path: Path) -> None:
    store, gallery = MilvusStore(str(tmp_path / "facet.db")), new_gallery()
    store.create_gallery(gallery)
    store.observations.add([seen(gallery, 0, matches=2), seen(gallery, 1, matches=3)])
    collection, where = store.collections.ensure("observations"), store.locator.find(gallery.gallery_id).filter
    for row in store.milvus.query(collection, where, ("id", *fields_of("observations")), strong=True):
        store.milvus.upsert(collection, [with_no_vector(row | {"counts": "damaged"})])
    with pytest.raises(StorageUnavailable, match="damaged"):
        found(store, gallery)
    store.observations.add([seen(gallery, 0, matches=5), seen(gallery, 1, matches=7)])
    hour = timedelta(hours=1)
    assert found(store, gallery) == {(MIDNIGHT, hour, CAMERA): 5, (MIDNIGHT + hour, hour, CAMERA): 7}
    store.close()
