"""Face detection through the service: every labelled picture analysed and judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.calls import OF_ONE_ITEM, all_of, patiently, reason_of
from evaluation.detection import Judged, judge
from evaluation.wider import LabelledPicture
from facet import AsyncClient, picture
from facet.v1.recognition_service_pb2 import AnalyzeFacesRequest


@dataclass(frozen=True, slots=True)
class AnalyzedPicture:
    """What the service made of a labelled picture.

    Attributes:
        image: the picture.
        judged: its detections and labelled faces; where the picture was refused, all its faces are missed.
        failure: the stable reason why it was refused; empty where it was not.
    """

    image: str
    judged: Judged
    failure: str = ""


async def run_detection(
    client: AsyncClient,
    labels: Sequence[LabelledPicture],
    images: Path,
    *,
    iou: float,
    advance: Callable[[], None],
) -> list[AnalyzedPicture]:
    """Analyse and judge pictures, in the order of the labels.

    Args:
        client: the connection.
        labels: of pictures that are there.
        images: the folder that their paths are relative to.
        iou: the least intersection over union of a match, (0, 1].
        advance: called once for every picture that is done.

    Raises:
        FacetError: the server went away, or refuses everything.
        OSError: a picture cannot be read.
    """

    async def analyze(labelled: LabelledPicture) -> AnalyzedPicture:
        request = AnalyzeFacesRequest(picture=picture(images / labelled.image))
        failure = ""
        rows: list[tuple[float, ...]] = []
        try:
            answer = await patiently(lambda: client.recognition.AnalyzeFaces(request))
            faces = [analyzed.face for analyzed in answer.faces]
            rows = [(face.box.x1, face.box.y1, face.box.x2, face.box.y2, face.score) for face in faces]
        except OF_ONE_ITEM as error:
            failure = reason_of(error)
        found = np.array(rows, np.float64).reshape(-1, 5)
        advance()
        return AnalyzedPicture(labelled.image, judge(labelled, found[:, :4], found[:, 4], iou=iou), failure)

    return await all_of(labels, analyze)
