"""A gallery of numbered faces in an SQLite database."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace, Template
from gallery.stores.sqlite.sqlite_store import SqliteStore

DIMENSION = 128


def opened(path: Path) -> tuple[Galleries, SqliteStore]:
    """Open the galleries and the store of a database."""
    store = SqliteStore(path)
    return Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=20), store


def open_and_close(path: Path) -> None:
    """Open a database like a server, and close it."""
    store = SqliteStore(path)
    try:
        Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=20)
    finally:
        store.close()


def vector(number: int) -> NDArray[np.float32]:
    """Return the embedding of a face."""
    return np.random.default_rng(number).normal(size=DIMENSION).astype(np.float32)


def enroll(galleries: Galleries, number: int) -> str:
    """Enrol a face, and return the id of its template."""
    enrollment = Enrollment(vector(number), "c", f"picture {number}", (0, 0, 9, 9), 1.0, f"Name {number}")
    return galleries.enroll("g", f"s{number}", enrollment).template.template_id


def enroll_all(galleries: Galleries, numbers: range) -> None:
    """Enrol several faces."""
    for number in numbers:
        enroll(galleries, number)


def best_match(galleries: Galleries, number: int) -> tuple[str, str]:
    """Return the subject and the template that a face matches; empty strings if there is none."""
    (answer,) = galleries.search("g", vector(number)[None], top_k=1)
    if not answer.candidates or answer.candidates[0].similarity < 0.999:
        return "", ""
    return answer.candidates[0].subject_id, answer.candidates[0].template_id


def found_subjects(galleries: Galleries, numbers: range) -> list[int]:
    """Return the subjects that searches find, after checking that the store lists the same."""
    there = [number for number in numbers if best_match(galleries, number)[0]]
    listed = galleries.list_subjects("g", page_size=1000).items
    assert sorted(subject.subject_id for subject in listed) == sorted(f"s{number}" for number in there)
    return there


def new_faces(numbers: range) -> list[StoredFace]:
    """Make faces to import."""
    now = datetime(2024, 1, 1, tzinfo=UTC)
    return [
        StoredFace(
            Subject("i", f"s{number}", f"Name {number}", 0, now, now, "etag"),
            Template(f"t{number}", "i", f"s{number}", "p", (0, 0, 9, 9), 1.0, now),
            vector(number) / np.linalg.norm(vector(number)),
            None,
        )
        for number in numbers
    ]


def new_gallery(gallery_id: str) -> Gallery:
    """Make a gallery to import."""
    now = datetime(2024, 1, 1, tzinfo=UTC)
    return Gallery(gallery_id, "", 0.5, 1, "c", 0, 0, now, now, "etag")
