"""Galleries in a database of their own, and faces to enrol."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gallery.galleries import Galleries
from gallery.records.calibrations import Calibration, CalibrationSource
from gallery.records.enrollments import Enrollment
from gallery.records.identifications import Decision
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.times import Clock, now

DIMENSION = 32
CONTRACT = "contract-of-the-server"
BOX = (10.0, 20.0, 110.0, 140.0)

Vector = NDArray[np.float32]

CALIBRATION = Calibration(
    target_fpir=0.01,
    threshold=0.25,
    fpir=0.01,
    fpir_low=0.005,
    fpir_high=0.02,
    model="empirical",
    source=CalibrationSource.PROBES,
    data_set="",
    data_set_sha256="a" * 64,
    searches=1000,
    identities=900,
    failures=0,
    templates=500,
    for_templates=500,
    contract="c",
    mean_of_best=1,
    create_time=datetime(2026, 1, 2, tzinfo=UTC),
    curve=((0.1, 0.5),),
)
"""A calibration with plausible values."""


def opened(path: Path, *, contract: str = CONTRACT, max_templates: int = 5, clock: Clock = now) -> Galleries:
    """Open the galleries of a database."""
    return Galleries(
        SqliteStore(path, clock=clock),
        contract=contract,
        dimension=DIMENSION,
        max_templates_per_subject=max_templates,
        clock=clock,
    )


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
