"""Galleries in a database of their own, and faces to enrol."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.identifications import Decision
from gallery.stores.sqlite.sqlite_store import SqliteStore

DIMENSION = 32
CONTRACT = "contract-of-the-server"
BOX = (10.0, 20.0, 110.0, 140.0)

Vector = NDArray[np.float32]


def opened(path: Path, *, contract: str = CONTRACT, max_templates: int = 5) -> Galleries:
    """Open the galleries of a database."""
    return Galleries(SqliteStore(path), contract=contract, dimension=DIMENSION, max_templates_per_subject=max_templates)


def axis(number: int) -> Vector:
    """Return a unit vector; those of different numbers are at right angles."""
    return np.asarray(np.eye(DIMENSION)[number], np.float32)


def between(one: Vector, other: Vector, cosine: float) -> Vector:
    """Return a unit vector with this cosine to ``one``, towards ``other``, which is at a right angle to it."""
    return np.asarray(cosine * one + np.sqrt(1 - cosine**2) * other, np.float32)


def face(
    embedding: Vector,
    *,
    picture: str | None = None,
    name: str = "",
    box: tuple[float, float, float, float] = BOX,
    request_id: str = "",
    digest: str = "",
    accept_lookalike: bool = False,
) -> Enrollment:
    """Make an enrolment; the picture is another one for every embedding unless it is given."""
    content = embedding.tobytes() if picture is None else picture.encode()
    return Enrollment(
        embedding=embedding,
        contract=CONTRACT,
        picture_sha256=hashlib.sha256(content).hexdigest(),
        box=box,
        quality=0.75,
        display_name=name,
        request_id=request_id,
        request_digest=digest,
        accept_lookalike=accept_lookalike,
    )


def best_match(galleries: Galleries, probe: Vector, gallery_id: str = "g") -> str:
    """Return the subject that a probe matches; an empty string if there is none."""
    (found,) = galleries.search(gallery_id, probe[None], top_k=1)
    return found.candidates[0].subject_id if found.decision is Decision.MATCH else ""
