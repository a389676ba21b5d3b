"""Faces of a labelled set as a server would count them: measures, embeddings, and the people whom they show."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.evaluation.datasets.protocol import Entry
from facet.runtime.cores import usable_cores
from facet.server.monitoring.recorder import Recorder
from facet.terminal import console
from gallery.observations.quantities import BINS, JOINT, Quantity
from gallery.observations.records import NOTHING, Counts
from gallery.observations.tally import FaceMeasures, Tally
from gallery.records.identifications import Candidate, Decision, Identification
from recognizer import choice
from recognizer.analysis import AlignedFace, Analysis
from recognizer.errors import FaceNotFound, SeveralFaces
from recognizer.pipeline import FacePipeline
from recognizer.sources import Encoded

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

_MEASURED = (
    Quantity.QUALITY,
    Quantity.FACE_SIZE,
    Quantity.YAW,
    Quantity.PITCH,
    Quantity.SHARPNESS,
    Quantity.BRIGHTNESS,
    Quantity.DETECTION_SCORE,
)
_RECORDED = 10_000
_CROWD, _CROWD_SIDE = 9, 125
"""Faces of a crowded picture, and the side of each one's square, in pixels."""


@dataclass(frozen=True, slots=True)
class Face:
    """A face of a picture.

    Attributes:
        subject: whom the picture shows.
        embedding: shape ``(dimension,)``, unit length.
        measures: of the face.
        faces: the number of faces in the picture.
        seconds: what the picture took, for each of its faces.
    """

    subject: str
    embedding: NDArray[np.float32]
    measures: FaceMeasures
    faces: int
    seconds: float


def embed(
    pipeline: FacePipeline,
    entries: Sequence[Entry],
    *,
    as_template: bool,
    title: str,
    change: Callable[[Picture], Picture] | None = None,
) -> list[Face]:
    """Embed the central face of each picture; pictures without one are skipped.

    Args:
        pipeline: the models.
        entries: the pictures.
        as_template: embed as for an enrolment rather than as for a search.
        title: of the progress bar.
        change: applied to each picture first.

    Raises:
        PictureError: a picture cannot be read.
    """
    one = partial(_faces, pipeline, as_template=as_template, change=change)
    with ThreadPoolExecutor(usable_cores()) as pool, console.progress(title, len(entries)) as bar:
        found: list[Face] = []
        for faces in pool.map(one, entries):
            bar.advance(bar.task_ids[0])
            found += faces
    return found


def embed_crowd(pipeline: FacePipeline, entries: Sequence[Entry], *, title: str) -> list[Face]:
    """Embed all faces of pictures that show nine of the given ones side by side, each reduced."""
    groups = [entries[start : start + _CROWD] for start in range(0, len(entries) - _CROWD + 1, _CROWD)]
    with console.progress(title, len(groups)) as bar:
        found: list[Face] = []
        for group in groups:
            cells = [
                cv2.resize(_read(entry), (_CROWD_SIDE, _CROWD_SIDE), interpolation=cv2.INTER_AREA) for entry in group
            ]
            rows = [np.concatenate(cells[start : start + 3], axis=1) for start in range(0, _CROWD, 3)]
            found += _all_faces(pipeline, np.concatenate(rows))
            bar.advance(bar.task_ids[0])
    return found


def recording_seconds(pipeline: FacePipeline, entry: Entry) -> float:
    """Measure how long the server takes to count the face of an identified picture.

    Args:
        pipeline: the models.
        entry: a picture with a face.

    Raises:
        PictureError: the picture cannot be read.
    """
    analysis = pipeline.analyze(Encoded(entry.path.read_bytes()))
    aligned = pipeline.align(analysis)
    answer = Identification(
        Decision.MATCH,
        candidates=(Candidate("subject", "", 0.6, "template"),),
        threshold=0.3,
        margin=0.4,
        templates_compared=1,
    )
    recorder, answers = Recorder(), [answer] * len(aligned)
    started = time.perf_counter()
    for _ in range(_RECORDED):
        recorder.picture("gallery", "caller", answer.threshold, aligned, answers, len(aligned))
    return (time.perf_counter() - started) / _RECORDED


class Searches:
    """Searches of a gallery whose counts are added up quickly, in any selection.

    Args:
        faces: the probes.
        best: the best similarity of each, shape ``(n,)``.
        runner_up: that of the second-best subject.
    """

    def __init__(self, faces: Sequence[Face], best: Floats, runner_up: Floats) -> None:
        self.best, self.runner_up = best, runner_up
        self._faces_per_picture = np.array([each.faces for each in faces], np.int64)
        values: dict[Quantity, Floats] = {
            Quantity.BEST_SIMILARITY: best,
            Quantity.RUNNER_UP: runner_up,
            Quantity.MARGIN: best - runner_up,
        }
        for place, quantity in enumerate(_MEASURED):
            values[quantity] = np.array([each.measures[place] for each in faces], np.float64)
        self._places = {quantity: _places(BINS[quantity].edges, found) for quantity, found in values.items()}
        rows, columns = JOINT[Quantity.BEST_AND_MARGIN]
        self._places[Quantity.BEST_AND_MARGIN] = _places(rows.edges, best) * len(columns) + _places(
            columns.edges, best - runner_up
        )

    def counts(self, rows: NDArray[np.intp], *, threshold: float, templates: int) -> Counts:
        """Count a selection of the searches.

        A picture is counted once, not with each of its faces, as the server does.

        Args:
            rows: which ones, in any order; one may come several times.
            threshold: of the gallery.
            templates: in the gallery.
        """
        histograms = dict(NOTHING.histograms)
        for quantity, places in self._places.items():
            empty = NOTHING.histograms[quantity]
            histograms[quantity] = np.bincount(places[rows], minlength=empty.size).reshape(empty.shape)
        is_match = self.best[rows] >= threshold
        matches, best = int(is_match.sum()), self._places[Quantity.BEST_SIMILARITY]
        histograms[Quantity.BEST_OF_MATCHES] = np.bincount(
            best[rows][is_match], minlength=len(BINS[Quantity.BEST_OF_MATCHES])
        )
        histograms[Quantity.FACES_PER_PICTURE] = self._pictures(rows)
        decisions: Mapping[Decision, int] = {
            Decision.MATCH: matches,
            Decision.UNKNOWN: len(rows) - matches,
            Decision.REFUSED: 0,
        }
        return Counts(decisions, templates * len(rows), histograms)

    def _pictures(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        tally = Tally()
        for faces, found in zip(*np.unique(self._faces_per_picture[rows], return_counts=True), strict=True):
            for _ in range(round(found / faces)):
                tally.add_picture(int(faces))
        return tally.counts().histograms[Quantity.FACES_PER_PICTURE]


def best_two(
    faces: Sequence[Face], templates: NDArray[np.float32], subjects: Sequence[str]
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Search for faces.

    Args:
        faces: the probes.
        templates: shape ``(n, dimension)``, one of each subject.
        subjects: of the templates.

    Returns:
        The best similarity, the second-best, and whether the best is the probe's own subject.
    """
    similarity = np.stack([face.embedding for face in faces]) @ templates.T
    first = similarity.argmax(axis=1)
    lines = np.arange(len(faces))
    best = similarity[lines, first].astype(np.float64)
    similarity[lines, first] = -2.0
    is_own = np.array([subjects[place] == face.subject for place, face in zip(first.tolist(), faces, strict=True)])
    return best, similarity.max(axis=1).astype(np.float64), is_own


def _faces(
    pipeline: FacePipeline, entry: Entry, *, as_template: bool, change: Callable[[Picture], Picture] | None
) -> list[Face]:
    data = entry.path.read_bytes() if change is None else _encoded(change(_read(entry)))
    started = time.perf_counter()
    analysis = pipeline.analyze(Encoded(data))
    try:
        (face,) = pipeline.align(analysis, lambda faces: choice.central(faces, analysis.picture.shape))
    except (FaceNotFound, SeveralFaces):
        return []
    (embedding,) = pipeline.embed([face], as_template=as_template)
    seconds = time.perf_counter() - started
    return [Face(entry.subject, embedding, _measures(face), len(analysis.faces), seconds)]


def _all_faces(pipeline: FacePipeline, picture: Picture) -> list[Face]:
    started = time.perf_counter()
    analysis: Analysis = pipeline.analyze(Encoded(_encoded(picture)))
    if not len(analysis.faces):
        return []
    aligned = pipeline.align(analysis)
    embeddings = pipeline.embed(aligned, as_template=False)
    seconds = (time.perf_counter() - started) / len(aligned)
    return [
        Face("", embedding, _measures(face), len(analysis.faces), seconds)
        for face, embedding in zip(aligned, embeddings, strict=True)
    ]


def _measures(face: AlignedFace) -> FaceMeasures:
    quality = face.quality
    return FaceMeasures(
        quality.value,
        quality.size,
        quality.yaw,
        quality.pitch,
        quality.sharpness,
        quality.brightness,
        float(face.faces.scores[0]),
    )


def _read(entry: Entry) -> Picture:
    picture = cv2.imread(str(entry.path))
    if picture is None:
        raise OSError(f"cannot read {entry.path}")
    return np.asarray(picture, np.uint8)


def _encoded(picture: Picture) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def _places(edges: Sequence[float], values: Floats) -> NDArray[np.intp]:
    return np.clip(np.searchsorted(np.array(edges), values, side="right") - 1, 0, len(edges) - 2)
