"""Galleries of random templates in a Milvus."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace, Template
from gallery.stores.milvus.milvus_store import MilvusStore

DIMENSION = 24
CONTRACT = "contract"
Vectors = NDArray[np.float32]


def galleries_of(store: MilvusStore, *, max_templates: int = 10) -> Galleries:
    return Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=max_templates)


def unit(values: NDArray[Any]) -> Vectors:
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), np.float32)


def vectors(count: int, seed: int) -> Vectors:
    return unit(np.random.default_rng(seed).normal(size=(count, DIMENSION)))


def face(embedding: Vectors, *, picture: str = "", name: str = "", request_id: str = "") -> Enrollment:
    return Enrollment(
        embedding=embedding,
        contract=CONTRACT,
        picture_sha256=picture or uuid.uuid4().hex,
        box=(0.0, 0.0, 9.0, 9.0),
        quality=1.0,
        display_name=name,
        request_id=request_id,
        request_digest="d",
        accept_lookalike=True,
    )


def new_gallery(mean_of_best: int = 1) -> Gallery:
    now = datetime.now(UTC)
    return Gallery(f"g{uuid.uuid4().hex}", "", 0.5, mean_of_best, CONTRACT, 0, 0, now, now, "e")


def filled(store: MilvusStore, templates: dict[str, Vectors], *, mean_of_best: int = 1) -> Gallery:
    """A gallery with these templates of these subjects."""
    gallery = new_gallery(mean_of_best)
    importing = store.begin_import(gallery)
    faces = []
    for subject_id, embeddings in templates.items():
        subject = Subject(
            gallery.gallery_id, subject_id, f"name of {subject_id}", 0, gallery.create_time, gallery.create_time, "e"
        )
        for number, embedding in enumerate(embeddings):
            template = Template(
                f"{subject_id}-{number:05}", gallery.gallery_id, subject_id, "p", (0, 0, 1, 1), 1.0, gallery.create_time
            )
            faces.append(StoredFace(subject, template, embedding, None))
    importing.add(faces)
    return importing.commit()
