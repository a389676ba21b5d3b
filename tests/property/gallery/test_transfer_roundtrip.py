"""Everything that a store can hold survives an export and an import."""

from __future__ import annotations

import io
import tempfile
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery.galleries import Galleries
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace, Template
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.times import EARLIEST, LATEST, from_microseconds, to_microseconds
from gallery.transfer.parquet.schema import PNG_SIGNATURE
from tests.property.gallery.accepted_names import display_names, ids

DIMENSION = 3
CONTRACT = "c"
START = datetime(1970, 1, 1, tzinfo=UTC)

times = st.integers(to_microseconds(EARLIEST), to_microseconds(LATEST)).map(from_microseconds)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
corners = st.floats(-1e6, 1e6)
boxes = st.tuples(corners, corners, st.floats(0.5, 1e6), st.floats(0.5, 1e6)).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)
vectors = (
    st.tuples(*[st.floats(-1, 1, width=32)] * DIMENSION)
    .filter(lambda values: np.linalg.norm(values) > 0.01)
    .map(lambda values: (np.array(values) / np.linalg.norm(values)).astype(np.float32))
)
crops = st.none() | st.binary(max_size=20).map(lambda data: PNG_SIGNATURE + data)
templates = st.tuples(digests, boxes, st.floats(0, 1), times, st.just("") | digests, digests, vectors, crops)
subjects = st.tuples(ids, display_names, times, times, st.lists(templates, max_size=3))


@st.composite
def galleries_of_faces(draw: st.DrawFn) -> list[StoredFace]:
    faces: list[StoredFace] = []
    for subject_id, name, created, updated, drawn in draw(
        st.lists(subjects, max_size=5, unique_by=lambda each: each[0])
    ):
        subject = Subject("g", subject_id, name, 0, created, updated, "e")
        if not drawn:
            faces.append(StoredFace(subject, None, None, None))
        for picture, box, quality, time, face_model, embedding_model, embedding, crop in drawn:
            number = str(uuid.UUID(int=len(faces)))
            template = Template(
                number, "g", subject_id, picture, box, quality, time, face_model, embedding_model, crop is not None
            )
            faces.append(StoredFace(subject, template, embedding, crop))
    return faces


def everything(store: SqliteStore, galleries: Galleries, gallery_id: str) -> list[Any]:
    found: list[Any] = []
    for subject in galleries.list_subjects(gallery_id, page_size=100).items:
        found.append((subject.subject_id, subject.display_name, subject.create_time, subject.update_time))
        listed = galleries.list_templates(gallery_id, subject.subject_id, page_size=100).items
        found += [replace(template, gallery_id="") for template in listed]
    faces = store.faces(gallery_id, after=("", ""), limit=100)
    return found + [(each.embedding is not None and each.embedding.tobytes(), each.crop) for each in faces]


@settings(max_examples=60)
@given(
    faces=galleries_of_faces(),
    name=display_names,
    threshold=st.floats(-1, 1, width=32),
    mean_of_best=st.integers(1, 16),
    probe=vectors,
    data=st.data(),
)
def test_an_imported_gallery_equals_the_exported_one(
    faces: list[StoredFace], name: str, threshold: float, mean_of_best: int, probe: Any, data: st.DataObject
) -> None:
    subject_ids = sorted({face.subject.subject_id for face in faces})
    pairs = data.draw(st.sets(st.sampled_from(list(combinations(subject_ids, 2))))) if len(subject_ids) > 1 else set()
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "facet.db")
        galleries = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=100)
        importing = store.begin_import(Gallery("g", name, threshold, mean_of_best, CONTRACT, 0, 0, START, START, "e"))
        importing.add(faces)
        importing.commit()
        for one, other in pairs:
            galleries.corrections.set_distinct("g", one, other, is_distinct=True)
        exported = b"".join(piece.data for piece in galleries.transfer.export_gallery("g"))
        copy = galleries.transfer.import_gallery(io.BytesIO(exported), "copy", check=lambda: None)
        assert store.distinct_pairs("copy") == pairs
        assert (copy.display_name, copy.threshold, copy.mean_of_best) == (name, threshold, mean_of_best)
        assert everything(store, galleries, "copy") == everything(store, galleries, "g")
        assert galleries.search("copy", probe[None], top_k=5) == galleries.search("g", probe[None], top_k=5)
        galleries.close()
