"""Galleries, subjects and templates with values that are easy to store wrongly."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import uuid_utils
from numpy.typing import NDArray

from gallery.records.calibrations import Calibration, CalibrationSource
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace, Template
from gallery.stores.base import AddedTemplate, EnrollmentQuestion, EnrollmentRequest, EnrollmentState, Store

DIMENSION = 32
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ODD_IDS = ("Zoë", "a", 'a"b', "a'b", "a\\", "a\\b", "b%c_d", "z{0}", "ÿ", "人", "\uff41", "😀")
"""In code point order; 😀 comes last there, but not in UTF-16."""

CALIBRATION = Calibration(
    target_fpir=0.01,
    threshold=float(np.float32(0.3)),
    fpir=0.1 + 0.2,
    fpir_low=0.0,
    fpir_high=1 / 3,
    model="generalised Pareto",
    source=CalibrationSource.PROBES,
    data_set='Gäste ☕ "quoted" \\ \' {}',
    data_set_sha256="a" * 64,
    searches=1000,
    identities=900,
    failures=3,
    templates=500,
    for_templates=1 << 40,
    contract="contract",
    mean_of_best=2,
    create_time=NOW,
    curve=tuple((i / 40, 1 / (i + 1)) for i in range(40)),
)


def new_gallery(gallery_id: str = "") -> Gallery:
    """Make a gallery, with a new id unless one is given."""
    return Gallery(
        gallery_id or f"g{uuid.uuid4().hex}",
        "Guests ☕",
        float(np.float32(0.4)),
        2,
        "contract",
        0,
        0,
        NOW,
        NOW,
        "etag-1",
    )


def new_subject(gallery: Gallery, subject_id: str = "ann", name: str = "Ann") -> Subject:
    """Make a subject."""
    return Subject(gallery.gallery_id, subject_id, name, 0, NOW, NOW, f"etag of {subject_id}")


def new_template(
    gallery: Gallery, subject_id: str = "ann", *, picture: str = "picture", crop: bool = False
) -> Template:
    """Make a template with a new id."""
    return Template(
        str(uuid_utils.uuid7()),
        gallery.gallery_id,
        subject_id,
        picture,
        (1.5, -2.25, 1e3 / 3, 4096.0),
        0.1 + 0.2,
        NOW + timedelta(microseconds=1),
        "f" * 64,
        "e" * 64,
        crop,
    )


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw unit vectors."""
    values = np.random.default_rng(seed).normal(size=(count, DIMENSION))
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


def enroll(
    store: Store,
    gallery: Gallery,
    subject_id: str = "ann",
    *,
    picture: str = "picture",
    request: EnrollmentRequest | None = None,
    crop: bytes | None = None,
    seed: int = 0,
) -> Template:
    """Add a template to a store, with its subject if that is new."""
    template = new_template(gallery, subject_id, picture=picture, crop=crop is not None)
    known = enrollment_state(store, gallery.gallery_id, subject_id, picture_sha256=picture, request_id="")
    new = None if known.subject else new_subject(gallery, subject_id)
    add_template(store, template, vectors(1, seed)[0], new_subject=new, request=request, crop=crop)
    return template


def add_template(
    store: Store,
    template: Template,
    embedding: NDArray[np.float32],
    *,
    new_subject: Subject | None = None,
    request: EnrollmentRequest | None = None,
    crop: bytes | None = None,
    contract: str = "",
    other: NDArray[np.float32] | None = None,
) -> None:
    """Add one template to a store."""
    added = AddedTemplate(template, embedding, new_subject, request, crop, other)
    store.add_templates(template.gallery_id, [added], contract=contract)


def enrollment_state(
    store: Store, gallery_id: str, subject_id: str, *, picture_sha256: str, request_id: str
) -> EnrollmentState:
    """Ask a store about one enrolment."""
    (state,) = store.enrollment_states(gallery_id, [EnrollmentQuestion(subject_id, picture_sha256, request_id)])
    return state


def template_ids(found: Sequence[Template]) -> list[str]:
    """Return the ids of templates."""
    return [template.template_id for template in found]


def all_pages(page: Callable[[str], Sequence[str]]) -> list[str]:
    """Read a whole list, page by page."""
    found: list[str] = []
    while some := page(found[-1] if found else ""):
        found += some
    return found


def faces_to_import(gallery: Gallery, count: int, *, start: int = 0) -> list[StoredFace]:
    """Make faces as a file has them: three of each subject, and a last subject without any."""
    faces = [
        StoredFace(
            new_subject(gallery, f"s{number // 3:05}", f"name {number // 3}"),
            replace(new_template(gallery, f"s{number // 3:05}", crop=number % 5 == 0), template_id=f"t{number:06}"),
            vectors(1, number)[0],
            b"png %d" % number if number % 5 == 0 else None,
        )
        for number in range(start, start + count)
    ]
    return [*faces, StoredFace(new_subject(gallery, f"without {start}"), None, None, None)]
