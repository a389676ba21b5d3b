"""Templates for benchmarks: embedded faces of a labelled set, among strangers drawn with their statistics."""

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
from recognizer.errors import FaceNotFound, SeveralFaces
from recognizer.models import load_models
from recognizer.pipeline import Encoded, FacePipeline
from recognizer.settings import ModelSettings

SEED = 0
_DRAWN_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class Faces:
    """Embedded faces of a labelled set.

    Attributes:
        templates: shape ``(n, dimension)``, one of each subject.
        mated: shape ``(m, dimension)``, probes of these subjects.
        mates: shape ``(m,)``, the template of each mated probe's subject.
        nonmated: shape ``(k, dimension)``, probes of others.
    """

    templates: NDArray[np.float32]
    mated: NDArray[np.float32]
    mates: NDArray[np.intp]
    nonmated: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddedFace:
    """A picture of a labelled set and its central face.

    Attributes:
        entry: what the set says of it.
        embedding: shape ``(dimension,)``, of unit length.
        quality: of the face, [0, 1].
    """

    entry: Entry
    embedding: NDArray[np.float32]
    quality: float


def embed(protocol: Path, images: Path) -> Faces:
    """Embed the central faces of a set for open-set identification; pictures without a face are left out.

    Raises:
        LabelError: the protocol cannot be read, or names a picture that is not there.
        ModelError: a model is missing or damaged.
        PictureError: a picture cannot be read.
    """
    entries = read_protocol(protocol, images)
    pipeline = FacePipeline(load_models(ModelSettings(objects=None)))
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


def embedded(pipeline: FacePipeline, entries: Sequence[Entry], *, as_template: bool) -> Iterator[EmbeddedFace]:
    """Embed the central faces of pictures, in their order; those without a face are left out.

    Raises:
        PictureError: a picture cannot be read.
    """
    one = partial(_central_face, pipeline, as_template=as_template)
    with (
        ThreadPoolExecutor(usable_cores()) as pool,
        console.progress("Embedding templates" if as_template else "Embedding probes", len(entries)) as bar,
    ):
        for face in pool.map(one, entries):
            bar.advance(bar.task_ids[0])
            if face is not None:
                yield face


def planted(faces: Faces, count: int) -> NDArray[np.float32]:
    """A gallery of so many templates, shape ``(count, dimension)``: those of the set, and strangers like them.

    Strangers are normally distributed with the mean and the covariance of the set's templates, brought to unit length.
    """
    rng = np.random.default_rng(SEED)
    mean, covariance = faces.templates.mean(axis=0), np.cov(faces.templates.T)
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(len(mean))).T.astype(np.float32)
    gallery = np.empty((count, len(mean)), np.float32)
    for start in range(0, count, _DRAWN_AT_ONCE):
        drawn = gallery[start : start + _DRAWN_AT_ONCE]
        drawn[:] = rng.standard_normal(drawn.shape, np.float32) @ root + mean
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    gallery[rng.permutation(count)[: len(faces.templates)]] = faces.templates
    return gallery


def _central_face(pipeline: FacePipeline, entry: Entry, *, as_template: bool) -> EmbeddedFace | None:
    analysis = pipeline.analyze(Encoded(entry.path.read_bytes()))
    try:
        (face,) = pipeline.align(analysis, lambda faces: choice.central(faces, analysis.picture.shape))
    except (FaceNotFound, SeveralFaces):
        return None
    (embedding,) = pipeline.embed([face], as_template=as_template)
    return EmbeddedFace(entry, embedding, face.quality.value)
