"""Detection through the service: every labelled picture asked for, down to scores far below the deployed one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facet import AsyncClient, picture
from facet.client.retry import retry_while_busy_async
from facet.evaluation.calls import OF_ONE_ITEM, Answers, all_of, reason_of
from facet.evaluation.datasets.detection_set import Task
from facet.evaluation.datasets.labelled import LabelledPicture, LabelledSet
from facet.evaluation.detection.matching import Detected
from facet.v1.recognition_service_pb2 import AnalyzeFacesRequest, DetectRequest
from facet.v1.types_pb2 import Box, Picture

MISSING = "MISSING"
"""Why a picture that is not there was refused."""


@dataclass(frozen=True, slots=True)
class AskedPicture:
    """What the service made of a labelled picture.

    Attributes:
        labels: the picture and what people marked in it.
        detected: what was found; nothing where the picture was refused, so that all its objects are missed.
        failure: the stable reason why it was refused, :data:`MISSING` where it is not there; empty where it was not.
    """

    labels: LabelledPicture
    detected: Detected
    failure: str = ""


async def run_detection(
    client: AsyncClient,
    labelled: LabelledSet,
    images: Path,
    *,
    task: Task,
    min_score: float,
    advance: Callable[[], None],
) -> Answers[AskedPicture]:
    """Ask for every picture, in the order of the labels.

    Args:
        client: the connection.
        labelled: the set; for objects the server knows all its classes.
        images: the folder that the pictures' paths are relative to.
        task: what to look for.
        min_score: the least score that is asked for, (0, 1].
        advance: called once for every picture that is done.

    Raises:
        FacetError: the server went away before it answered anything.
    """
    missing = set(labelled.missing)
    places = {name: place for place, name in enumerate(labelled.class_names or ())}

    async def faces(source: Picture) -> list[tuple[float, ...]]:
        request = AnalyzeFacesRequest(picture=source, min_score=min_score)
        answer = await retry_while_busy_async(lambda: client.recognition.AnalyzeFaces(request))
        return [_row(each.face.box, each.face.score, 0) for each in answer.faces]

    async def objects(source: Picture) -> list[tuple[float, ...]]:
        request = DetectRequest(picture=source, class_names=places, min_score=min_score)
        answer = await retry_while_busy_async(lambda: client.recognition.Detect(request))
        return [_row(each.box, each.score, places[each.class_name]) for each in answer.objects]

    find = faces if task == "faces" else objects

    async def asked(labels: LabelledPicture) -> AskedPicture:
        if labels.image in missing:
            done = AskedPicture(labels, Detected.nothing(), MISSING)
        else:
            try:
                done = AskedPicture(labels, _detected(await find(picture(images / labels.image))))
            except OF_ONE_ITEM as error:
                done = AskedPicture(labels, Detected.nothing(), reason_of(error))
        advance()
        return done

    return await all_of(labelled.pictures, asked, name=lambda labels: labels.image)


def _row(box: Box, score: float, of_class: int) -> tuple[float, ...]:
    return box.x1, box.y1, box.x2, box.y2, score, of_class


def _detected(rows: Sequence[tuple[float, ...]]) -> Detected:
    found = np.array(rows, np.float64).reshape(-1, 6)
    return Detected(found[:, :4], found[:, 4], found[:, 5].astype(np.intp))
