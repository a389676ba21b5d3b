"""Detection through the service: one call per labelled picture, down to scores far below the deployed minimum."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facet import FAST, THOROUGH, AsyncClient
from facet.client.retry import retry_while_busy_async
from facet.evaluation.calls import ITEM_ERRORS, Answers, call_all, reason_of
from facet.evaluation.datasets.detection_set import Task
from facet.evaluation.datasets.labelled import LabelledPicture, LabelledSet
from facet.evaluation.detection.matching import Detections
from facet.evaluation.rotation import box_rotated_back, rotated
from facet.v1.types_pb2 import Box, PictureSize

MISSING = "MISSING"
"""The reason for a picture that does not exist."""

_Row = tuple[float, ...]
"""A detection: x1, y1, x2, y2, score, class index."""


@dataclass(frozen=True, slots=True)
class EvaluatedPicture:
    """A labelled picture and its detections.

    Attributes:
        labels: the picture and its labelled objects.
        detections: the detections; none if the picture was refused, so that all its objects count as missed.
        failure: the stable reason why the picture was refused, :data:`MISSING` if it does not exist; empty on success.
    """

    labels: LabelledPicture
    detections: Detections
    failure: str = ""


async def run_detection(
    client: AsyncClient,
    labelled: LabelledSet,
    images: Path,
    *,
    task: Task,
    min_score: float,
    rotate: int = 0,
    thorough: bool = False,
    advance: Callable[[], None],
) -> Answers[EvaluatedPicture]:
    """Detect faces or objects in every picture, in the order of the labels.

    Args:
        client: the connection.
        labelled: the set; for objects the server must know all its classes.
        images: folder of the pictures.
        task: faces or objects.
        min_score: minimum score to request, (0, 1].
        rotate: turn every picture clockwise by so many degrees before it is sent. Detections are turned back.
        thorough: also search large pictures in tiles; for faces.
        advance: called once per finished picture.

    Raises:
        FacetError: the server went away before it answered anything.
    """
    missing = set(labelled.missing)
    indices = {name: index for index, name in enumerate(labelled.class_names or ())}
    search = THOROUGH if thorough else FAST

    async def detect_faces(file: Path) -> list[_Row]:
        source = await asyncio.to_thread(rotated, file, rotate)
        answer = await retry_while_busy_async(lambda: client.analyze_faces(source, min_score=min_score, search=search))
        return [row(each.face.box, each.face.score, 0, answer.picture_size) for each in answer.faces]

    async def detect_objects(file: Path) -> list[_Row]:
        source = await asyncio.to_thread(rotated, file, rotate)
        answer = await retry_while_busy_async(lambda: client.detect(source, class_names=indices, min_score=min_score))
        return [row(each.box, each.score, indices[each.class_name], answer.picture_size) for each in answer.objects]

    def row(box: Box, score: float, class_index: int, size: PictureSize) -> _Row:
        corners = box.x1, box.y1, box.x2, box.y2
        return *box_rotated_back(corners, rotate, size.width, size.height), score, class_index

    detect = detect_faces if task == "faces" else detect_objects

    async def evaluate(labels: LabelledPicture) -> EvaluatedPicture:
        if labels.image in missing:
            evaluated = EvaluatedPicture(labels, Detections.none(), MISSING)
        else:
            try:
                evaluated = EvaluatedPicture(labels, _detections(await detect(images / labels.image)))
            except ITEM_ERRORS as error:
                evaluated = EvaluatedPicture(labels, Detections.none(), reason_of(error))
        advance()
        return evaluated

    return await call_all(labelled.pictures, evaluate, name=lambda labels: labels.image)


def _detections(rows: Sequence[_Row]) -> Detections:
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.intp))
