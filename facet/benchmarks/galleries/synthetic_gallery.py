"""What the benchmarks of stores have in common: a gallery of one template a subject, and how calls are timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
import uuid_utils
from numpy.typing import NDArray

from facet.terminal import console
from gallery.records.enrollments import Enrollment
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.records.templates import Box, StoredFace, Template
from gallery.stores.base import Store

T = TypeVar("T")

GALLERY = "bench"
CONTRACT = "bench"
BATCH = 32

_BOX: Box = (0.0, 0.0, 100.0, 100.0)
_IMPORTED_AT_ONCE = 4096


def name_of(row: int) -> str:
    """The subject of a template, by its row."""
    return f"subject-{row:09d}"


def fill(store: Store, vectors: NDArray[np.float32], contract: str = CONTRACT) -> float:
    """Import a gallery of these templates, shape ``(n, dimension)``; templates a second."""
    now = datetime.now(UTC)
    begun = time.perf_counter()
    filling = store.begin_import(Gallery(GALLERY, "", 0.34, 1, contract, 0, 0, now, now, "etag"))
    with console.progress("Importing", len(vectors)) as bar:
        for start in range(0, len(vectors), _IMPORTED_AT_ONCE):
            filling.add(list(_lines(start, vectors[start : start + _IMPORTED_AT_ONCE], now)))
            bar.advance(bar.task_ids[0], _IMPORTED_AT_ONCE)
    filling.commit()
    return round(len(vectors) / (time.perf_counter() - begun), 1)


def enrollment_of(embedding: NDArray[np.float32]) -> Enrollment:
    """A face to be enrolled."""
    return Enrollment(embedding, CONTRACT, embedding.tobytes()[:32].hex(), _BOX, 0.9)


def milliseconds(call: Callable[[T], object], argument: T) -> float:
    """How long a call takes."""
    begun = time.perf_counter()
    call(argument)
    return (time.perf_counter() - begun) * 1e3


def percentile(values: Sequence[float], share: float) -> float:
    """Of durations, to the microsecond; the share is in percent."""
    return round(float(np.percentile(values, share)), 3)


def _lines(first: int, vectors: NDArray[np.float32], now: datetime) -> Iterator[StoredFace]:
    for row, vector in enumerate(vectors, start=first):
        name = name_of(row)
        subject = Subject(GALLERY, name, f"Name of {row}", 1, now, now, "etag")
        template = Template(str(uuid_utils.uuid7()), GALLERY, name, f"{row:064x}", _BOX, 0.9, now)
        yield StoredFace(subject, template, vector, None)
