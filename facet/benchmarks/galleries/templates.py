"""Embedded faces of a labelled set, and larger galleries of synthetic strangers with the same statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.datasets.protocol import Entry, read_protocol
from facet.runtime.cores import usable_cores
from facet.terminal import console
from recognizer import choice
from recognizer.analysis import AlignedFace
from recognizer.errors import FaceNotFound, SeveralFaces
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.settings import ModelSettings
from recognizer.sources import Encoded

SEED = 0
EMBEDDING = ModelSettings().embedding
"""The packaged embedding model."""
_DRAW_BATCH = 65_536
_MOST_PICTURES = 100


@dataclass(frozen=True, slots=True)
class Faces:
    """Embedded faces of a labelled set.

    Attributes:
        templates: shape ``(n, dimension)``, unit length, one per subject.
        mated: shape ``(m, dimension)``, probes of these subjects.
        mates: shape ``(m,)``, row of the template of each mated probe's subject.
        nonmated: shape ``(k, dimension)``, probes of other people.
    """

    templates: NDArray[np.float32]
    mated: NDArray[np.float32]
    mates: NDArray[np.intp]
    nonmated: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class People:
    """Embedded pictures of people, each both as it is enrolled and as it is searched for.

    Attributes:
        subjects: the person of each picture.
        templates: shape ``(n, dimension)``, unit length.
        probes: shape ``(n, dimension)``, unit length.
    """

    subjects: Sequence[str]
    templates: NDArray[np.float32]
    probes: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddedFace:
    """The central face of a picture of a labelled set.

    Attributes:
        entry: the picture's line in the set.
        embedding: shape ``(dimension,)``, unit length.
        quality: of the face, [0, 1].
    """

    entry: Entry
    embedding: NDArray[np.float32]
    quality: float


def embed(protocol: Path, images: Path, model: str = EMBEDDING) -> Faces:
    """Embed the central faces of a set for open-set identification. Pictures without a face are skipped.

    Args:
        protocol: CSV with role, subject, image.
        images: folder of the images.
        model: see :attr:`recognizer.settings.ModelSettings.embedding`.

    Raises:
        LabelError: the protocol cannot be read, or names a missing picture.
        ModelError: a model is missing or damaged.
        PictureError: a picture cannot be read.
    """
    entries = read_protocol(protocol, images)
    pipeline = FacePipeline(load_models(ModelSettings(objects=None, embedding=model)))
    gallery = list({entry.subject: entry for entry in entries.gallery}.values())
    templates = list(embedded(pipeline, gallery, as_template=True))
    known = {face.entry.subject: place for place, face in enumerate(templates)}
    probes = list(embedded(pipeline, entries.probes, as_template=False))
    mated = [face for face in probes if face.entry.role == "mated" and face.entry.subject in known]
    return Faces(
        templates=np.stack([face.embedding for face in templates]),
        mated=np.stack([face.embedding for face in mated]),
        mates=np.array([known[face.entry.subject] for face in mated]),
        nonmated=np.stack([face.embedding for face in probes if face.entry.role == "nonmated"]),
    )


def embed_people(protocol: Path, images: Path, model: str = EMBEDDING) -> People:
    """Embed the central faces of all pictures of a set, whatever their role; those without a face are skipped.

    The folder ``images/SUBJECT`` may hold more pictures than the set names. Those of the largest such folder are
    embedded, too, at most 100, so that one person has many.

    Args:
        protocol: CSV with role, subject, image.
        images: folder of the images.
        model: see :attr:`recognizer.settings.ModelSettings.embedding`.

    Raises:
        LabelError: the protocol cannot be read, or names a missing picture.
        ModelError: a model is missing or damaged.
        PictureError: a picture cannot be read.
    """
    entries = read_protocol(protocol, images)
    pipeline = FacePipeline(load_models(ModelSettings(objects=None, embedding=model)))
    pictures = list({entry.path: entry for entry in [*entries.gallery, *entries.probes]}.values())
    folders = {entry.subject: sorted((images / entry.subject).glob("*.jpg"))[:_MOST_PICTURES] for entry in pictures}
    largest = max(folders, key=lambda subject: len(folders[subject]))
    known = {entry.path for entry in pictures}
    pictures += [
        Entry("mated", largest, f"{largest}/{path.name}", path) for path in folders[largest] if path not in known
    ]
    with (
        ThreadPoolExecutor(usable_cores()) as pool,
        console.progress("Embedding pictures", len(pictures)) as bar,
    ):
        found = []
        for face in pool.map(partial(_both_ways, pipeline), pictures):
            bar.advance(bar.task_ids[0])
            if face is not None:
                found.append(face)
    subjects, templates, probes = zip(*found, strict=True)
    return People(subjects, np.stack(templates), np.stack(probes))


def embedded(pipeline: FacePipeline, entries: Sequence[Entry], *, as_template: bool) -> Iterator[EmbeddedFace]:
    """Embed the central faces of pictures, in order. Pictures without a face are skipped.

    Args:
        pipeline: the models.
        entries: the pictures.
        as_template: embed as for an enrolment rather than as for a search.

    Raises:
        PictureError: a picture cannot be read.
    """
    embed_one = partial(_central_face, pipeline, as_template=as_template)
    with (
        ThreadPoolExecutor(usable_cores()) as pool,
        console.progress("Embedding templates" if as_template else "Embedding probes", len(entries)) as bar,
    ):
        for face in pool.map(embed_one, entries):
            bar.advance(bar.task_ids[0])
            if face is not None:
                yield face


def enlarged(faces: Faces, count: int) -> NDArray[np.float32]:
    """Place the templates of a set at random rows among synthetic strangers.

    Strangers are drawn from a normal distribution with the mean and covariance of the set's templates, and scaled to
    unit length.

    Args:
        faces: the set.
        count: number of templates in the result, at least those of the set.

    Returns:
        Templates, shape ``(count, dimension)``.
    """
    rng = np.random.default_rng(SEED)
    mean, covariance = faces.templates.mean(axis=0), np.cov(faces.templates.T)
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(len(mean))).T.astype(np.float32)
    gallery = np.empty((count, len(mean)), np.float32)
    for start in range(0, count, _DRAW_BATCH):
        drawn = gallery[start : start + _DRAW_BATCH]
        drawn[:] = rng.standard_normal(drawn.shape, np.float32) @ root + mean
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    gallery[rng.permutation(count)[: len(faces.templates)]] = faces.templates
    return gallery


def _central_face(pipeline: FacePipeline, entry: Entry, *, as_template: bool) -> EmbeddedFace | None:
    face = _aligned(pipeline, entry)
    if face is None:
        return None
    (embedding,) = pipeline.embed([face], as_template=as_template)
    return EmbeddedFace(entry, embedding, face.quality.value)


def _both_ways(pipeline: FacePipeline, entry: Entry) -> tuple[str, NDArray[np.float32], NDArray[np.float32]] | None:
    """Embed a face as it is enrolled and as it is searched for."""
    face = _aligned(pipeline, entry)
    if face is None:
        return None
    template, probe = (pipeline.embed([face], as_template=as_template)[0] for as_template in (True, False))
    return entry.subject, template, probe


def _aligned(pipeline: FacePipeline, entry: Entry) -> AlignedFace | None:
    analysis = pipeline.analyze(Encoded(entry.path.read_bytes()))
    try:
        (face,) = pipeline.align(analysis, lambda faces: choice.central(faces, analysis.picture.shape))
    except (FaceNotFound, SeveralFaces):
        return None
    return face
