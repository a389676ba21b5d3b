"""Exported files: what is in them, and what happens during an export."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from gallery.errors import ExportOutdated, GalleryNotFound
from gallery.galleries import Galleries
from gallery.records.subjects import renaming
from gallery.records.templates import StoredFace
from gallery.stores.base import AddedTemplate
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.transfer.parquet.schema import GROUP_LINES
from tests.unit.gallery.transfer.samples import (
    CONTRACT,
    DIMENSION,
    EMBEDDING_MODEL,
    FACE_MODEL,
    START,
    exported_from,
    face_of,
    import_into,
    lines_in,
    people,
    store_gallery,
    subject_of,
)

if TYPE_CHECKING:
    pass


def test_the_file_is_parquet_with_one_line_for_each_template_sorted_by_id(
    galleries: Galleries, store: SqliteStore
) -> None:
    faces = [face_of(1, subject_of("a")), face_of(2, subject_of("a")), StoredFace(subject_of("b"), None, None, None)]
    store_gallery(store, faces)
    data = exported_from(galleries)
    lines = lines_in(data)
    assert lines["subject_id"].to_pylist() == ["a", "a", "b"]
    assert lines["template_id"].to_pylist() == [str(uuid.UUID(int=1)), str(uuid.UUID(int=2)), None]
    first, _, empty = lines.to_pylist()
    template, subject = faces[0].template, faces[0].subject
    assert template is not None
    assert first == {
        "subject_id": subject.subject_id,
        "display_name": subject.display_name,
        "subject_create_time": subject.create_time,
        "subject_update_time": subject.update_time,
        "template_id": template.template_id,
        "picture_sha256": template.picture_sha256,
        **dict(zip(("x1", "y1", "x2", "y2"), template.box, strict=True)),
        "quality": template.quality,
        "create_time": template.create_time,
        "face_model": FACE_MODEL,
        "embedding_model": EMBEDDING_MODEL,
        "embedding": np.asarray(faces[0].embedding).tolist(),
        "crop": None,
    }
    assert [empty[name] for name in lines.column_names[4:]] == [None] * 12


def test_the_manifest_describes_the_file_as_json(galleries: Galleries, store: SqliteStore) -> None:
    store_gallery(store, [*people(3), StoredFace(subject_of("z"), None, None, None)])
    metadata = pq.read_metadata(io.BytesIO(exported_from(galleries))).metadata
    text = metadata[b"facet.manifest"]
    assert metadata[b"facet.manifest_sha256"].decode() == hashlib.sha256(text).hexdigest()
    manifest = json.loads(text)
    assert datetime.fromisoformat(manifest.pop("export_time")) > START
    assert len(manifest.pop("contents_sha256")) == 64
    assert manifest == {
        "format": "facet-gallery",
        "version": 1,
        "contract": CONTRACT,
        "dimension": DIMENSION,
        "gallery_id": "g",
        "display_name": "Gallery",
        "threshold": 0.5,
        "mean_of_best": 2,
        "lines": 7,
        "subjects": 4,
        "templates": 6,
        "threshold_source": "caller",
    }


def test_a_subject_renamed_during_an_export_has_one_name_in_it(galleries: Galleries, store: SqliteStore) -> None:
    crowd = subject_of("crowd")
    store_gallery(store, [face_of(number, crowd) for number in range(1, GROUP_LINES + 11)])
    pieces = galleries.transfer.export_gallery("g")
    first = next(pieces)
    galleries.update_subject("g", "crowd", renaming("renamed"))
    lines = lines_in(first.data + b"".join(piece.data for piece in pieces))
    assert len(lines) == GROUP_LINES + 10
    assert set(lines["display_name"].to_pylist()) == {crowd.display_name}


def test_a_subject_deleted_during_an_export_is_not_in_it(galleries: Galleries, store: SqliteStore) -> None:
    store_gallery(store, people(GROUP_LINES + 10, templates=1))
    pieces = galleries.transfer.export_gallery("g")
    first = next(pieces)
    galleries.delete_subject("g", f"s{GROUP_LINES + 5:05}")
    data = first.data + b"".join(piece.data for piece in pieces)
    assert len(lines_in(data)) == GROUP_LINES + 9
    assert import_into(galleries, data).subject_count == GROUP_LINES + 9


def test_a_subject_created_again_during_an_export_is_not_mixed_with_the_deleted_one(
    galleries: Galleries, store: SqliteStore
) -> None:
    store_gallery(store, [face_of(number, subject_of("crowd")) for number in range(1, GROUP_LINES + 1)])
    pieces = galleries.transfer.export_gallery("g")
    first = next(pieces)
    galleries.delete_subject("g", "crowd")
    again = face_of(GROUP_LINES + 7, subject_of("crowd", create_time=START + timedelta(9)))
    assert again.template is not None
    assert again.embedding is not None
    store.add_templates("g", [AddedTemplate(again.template, again.embedding, again.subject)])
    lines = lines_in(first.data + b"".join(piece.data for piece in pieces))
    assert len(lines) == GROUP_LINES


def test_the_first_template_of_a_subject_already_exported_without_is_left_out(
    galleries: Galleries, store: SqliteStore
) -> None:
    last = subject_of(f"s{GROUP_LINES:05}")
    store_gallery(store, [*people(GROUP_LINES - 1, templates=1), StoredFace(last, None, None, None)])
    pieces = galleries.transfer.export_gallery("g")
    first = next(pieces)
    face = face_of(GROUP_LINES + 7, last)
    assert face.template is not None
    assert face.embedding is not None
    store.add_templates("g", [AddedTemplate(face.template, face.embedding)])
    data = first.data + b"".join(piece.data for piece in pieces)
    assert import_into(galleries, data).template_count == GROUP_LINES - 1


def test_a_gallery_deleted_during_an_export_ends_it(galleries: Galleries, store: SqliteStore) -> None:
    for again in (False, True):
        store_gallery(store, people(GROUP_LINES, templates=1))
        pieces = galleries.transfer.export_gallery("g")
        next(pieces)
        store.delete_gallery("g", force=True, etag="")
        if again:
            galleries.create_gallery("g", display_name="", threshold=0.5)
        with pytest.raises(GalleryNotFound):
            list(pieces)


FIRST, NEXT, LAST = "s00000", "s00001", f"s{GROUP_LINES:05}"


def merge_and_forget(galleries: Galleries) -> None:
    galleries.corrections.merge("g", FIRST, LAST)
    galleries.delete_subject("g", LAST)


def undo(galleries: Galleries) -> None:
    (merged,) = galleries.corrections.list_changes("g", page_size=5).items
    galleries.corrections.undo("g", merged.change_id)


@pytest.mark.parametrize(
    "correct",
    [
        lambda galleries: galleries.corrections.merge("g", FIRST, LAST),
        lambda galleries: galleries.corrections.merge("g", LAST, FIRST),
        lambda galleries: galleries.corrections.move("g", str(uuid.UUID(int=1)), from_id=FIRST, into_id=LAST),
        undo,
        merge_and_forget,
    ],
    ids=["merge into a later page", "merge into an earlier page", "move", "undo", "merge and forget"],
)
def test_a_correction_during_an_export_ends_it(
    galleries: Galleries, store: SqliteStore, correct: Callable[[Galleries], object]
) -> None:
    store_gallery(store, people(GROUP_LINES + 1, templates=1))
    galleries.corrections.merge("g", f"s{GROUP_LINES - 1:05}", NEXT)
    pieces = galleries.transfer.export_gallery("g")
    next(pieces)
    correct(galleries)
    with pytest.raises(ExportOutdated, match="repeat it"):
        list(pieces)
    again = import_into(galleries, exported_from(galleries))
    assert again.template_count == galleries.get_gallery("g").template_count


def test_a_correction_that_nothing_is_kept_of_ends_an_export_as_well(store: SqliteStore) -> None:
    galleries = Galleries(
        store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=10, undo_for=timedelta(0)
    )
    store_gallery(store, people(GROUP_LINES + 1, templates=1))
    pieces = galleries.transfer.export_gallery("g")
    next(pieces)
    galleries.corrections.merge("g", LAST, FIRST)
    with pytest.raises(ExportOutdated):
        list(pieces)
    galleries.close()
