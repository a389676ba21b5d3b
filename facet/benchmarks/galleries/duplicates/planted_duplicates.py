"""A labelled set in which some people are enrolled twice, and the search for them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import numpy as np
import uuid_utils
from numpy.typing import NDArray

from facet.benchmarks.galleries.synthetic_gallery import CONTRACT, GALLERY
from facet.benchmarks.galleries.templates import embedded
from facet.evaluation.datasets.protocol import read_protocol
from facet.runtime.cores import usable_cores
from gallery.duplicates.findings import FindingKind
from gallery.galleries import Galleries
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.records.templates import Box, StoredFace, Template
from gallery.stores.sqlite.sqlite_store import SqliteStore
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.settings import ModelSettings

_BOX: Box = (0.0, 0.0, 100.0, 100.0)
_MOST_FINDINGS = 10_000
_MOST_TEMPLATES = 10_000


@dataclass(frozen=True, slots=True)
class Embedded:
    """All pictures of a labelled set, as templates.

    Attributes:
        subject_ids: the subject of each.
        embeddings: shape ``(n, dimension)``, unit length.
    """

    SECOND: ClassVar[str] = " (second)"
    """The end of the second id of somebody who is enrolled twice."""

    subject_ids: tuple[str, ...]
    embeddings: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Found:
    """Two subjects that may be one person.

    Attributes:
        pair: their ids, in code point order.
        chance: that they are.
        similarity: of their most similar templates.
    """

    pair: tuple[str, str]
    chance: float
    similarity: float


def embed_all(protocol: Path, images: Path) -> Embedded:
    """Embed the central face of every picture of a set, as for an enrolment; pictures without a face are left out.

    Raises:
        LabelError: the protocol cannot be read, or names a missing picture.
        ModelError: a model is missing or damaged.
        PictureError: a picture cannot be read.
    """
    entries = read_protocol(protocol, images)
    pictures = list({entry.image: entry for entry in (*entries.gallery, *entries.probes)}.values())
    pipeline = FacePipeline(load_models(ModelSettings(objects=None)))
    faces = list(embedded(pipeline, pictures, as_template=True))
    return Embedded(tuple(face.entry.subject for face in faces), np.stack([face.embedding for face in faces]))


def with_planted(
    faces: Embedded, count: int, chance: np.random.Generator
) -> tuple[Embedded, frozenset[tuple[str, str]]]:
    """Enrol up to half of the pictures of some subjects under a second id.

    Args:
        faces: the set.
        count: how many subjects, at most all that have several pictures.
        chance: draws them.

    Returns:
        The set with the second ids, and the pairs of ids.
    """
    labels = np.array(faces.subject_ids, object)
    subjects, pictures = np.unique(labels, return_counts=True)
    several = subjects[pictures > 1]
    twice = chance.choice(several, min(count, several.size), replace=False).tolist()
    for subject_id in twice:
        rows = np.flatnonzero(labels == subject_id)
        some = chance.choice(rows, chance.integers(1, rows.size // 2 + 1), replace=False)
        labels[some] = subject_id + Embedded.SECOND
    pairs = frozenset((subject_id, subject_id + Embedded.SECOND) for subject_id in twice)
    return replace(faces, subject_ids=tuple(labels.tolist())), pairs


def search(faces: Embedded, database: Path, *, least_chance: float) -> list[Found]:
    """Enrol a set, and search it for people who are enrolled twice."""
    now = datetime.now(UTC)
    with closing(SqliteStore(database)) as store:
        importing = store.begin_import(Gallery(GALLERY, "", 0.34, 1, CONTRACT, 0, 0, now, now, "etag"))
        importing.add(
            [_face(faces, row, now) for row in np.argsort(np.array(faces.subject_ids), kind="stable").tolist()]
        )
        importing.commit()
    with closing(
        Galleries(
            SqliteStore(database),
            contract=CONTRACT,
            dimension=faces.embeddings.shape[1],
            max_templates_per_subject=_MOST_TEMPLATES,
            search_threads=usable_cores(),
        )
    ) as galleries:
        steps = galleries.duplicates.find(GALLERY, least_chance=least_chance, limit=_MOST_FINDINGS)
        return [
            Found((each.subject_id, each.other_subject_id), round(each.chance, 4), round(each.similarity, 4))
            for step in steps
            for each in step.findings
            if each.kind is FindingKind.SAME_PERSON
        ]


def _face(faces: Embedded, row: int, now: datetime) -> StoredFace:
    subject_id = faces.subject_ids[row]
    subject = Subject(GALLERY, subject_id, subject_id, 1, now, now, "etag")
    template = Template(str(uuid_utils.uuid7()), GALLERY, subject_id, f"{row:064x}", _BOX, 0.9, now)
    return StoredFace(subject, template, faces.embeddings[row], None)
