"""A synthetic gallery with one template per subject, for benchmarks of stores."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import uuid_utils
from numpy.typing import NDArray

from facet.terminal import console
from gallery.records.enrollments import Enrollment
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.records.templates import Box, StoredFace, Template
from gallery.stores.base import Store

GALLERY = "bench"
CONTRACT = "bench"
BATCH = 32
"""Probes per search in measurements of batches."""

_BOX: Box = (0.0, 0.0, 100.0, 100.0)
_IMPORT_BATCH = 4096


def name_of(row: int) -> str:
    """Id of the subject whose template is in this row of the vectors."""
    return f"subject-{row:09d}"


def fill(store: Store, vectors: NDArray[np.float32], contract: str = CONTRACT) -> float:
    """Import the gallery :data:`GALLERY`.

    Args:
        store: has no such gallery.
        vectors: templates, shape ``(n, dimension)``, unit length.
        contract: embedding contract of the gallery.

    Returns:
        Templates imported per second.
    """
    now = datetime.now(UTC)
    begun = time.perf_counter()
    gallery_import = store.begin_import(Gallery(GALLERY, "", 0.34, 1, contract, 0, 0, now, now, "etag"))
    with console.progress("Importing", len(vectors)) as bar:
        for first in range(0, len(vectors), _IMPORT_BATCH):
            gallery_import.add(list(_faces(first, vectors[first : first + _IMPORT_BATCH], now)))
            bar.advance(bar.task_ids[0], _IMPORT_BATCH)
    gallery_import.commit()
    return round(len(vectors) / (time.perf_counter() - begun), 1)


def enrollment_of(embedding: NDArray[np.float32]) -> Enrollment:
    """An enrolment of an embedding, shape ``(dimension,)``, in the contract :data:`CONTRACT`."""
    return Enrollment(embedding, CONTRACT, embedding.tobytes()[:32].hex(), _BOX, 0.9)


def _faces(first: int, vectors: NDArray[np.float32], now: datetime) -> Iterator[StoredFace]:
    for row, vector in enumerate(vectors, start=first):
        name = name_of(row)
        subject = Subject(GALLERY, name, f"Name of {row}", 1, now, now, "etag")
        template = Template(str(uuid_utils.uuid7()), GALLERY, name, f"{row:064x}", _BOX, 0.9, now)
        yield StoredFace(subject, template, vector, None)
