"""Quality through the service: degraded probes of mated pairs, with their quality and their similarity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facet import CENTRAL, AsyncClient
from facet.client.retry import retry_while_busy_async
from facet.evaluation.calls import ITEM_ERRORS, call_all, reason_of
from facet.evaluation.galleries import create_gallery, delete_gallery
from facet.evaluation.quality.degradations import DEGRADATIONS, Picture
from facet.v1.recognition_service_pb2 import AnalyzedFace

NO_FACE = -2.0
"""Similarity of a probe in which no face is found."""
QUALITY = "quality"
"""The measure that the service answers as ``quality.value``."""


@dataclass(frozen=True, slots=True)
class DegradedProbe:
    """One degraded picture of a mated pair.

    Attributes:
        pair: the number of the pair.
        degradation: its name.
        similarity: cosine similarity to the undegraded reference; :data:`NO_FACE` without a face.
        measures: what could predict errors, by name; higher is better. :data:`QUALITY` is one; empty without a face.
        refused: the reason for which enrolment refuses the picture; empty if it accepts it.
    """

    pair: int
    degradation: str
    similarity: float
    measures: Mapping[str, float]
    refused: str = ""

    @property
    def found(self) -> bool:
        """Whether a face was found."""
        return self.similarity > NO_FACE


async def run_quality(
    client: AsyncClient,
    pairs: Sequence[tuple[Path, Path]],
    degradations: Sequence[str] = tuple(DEGRADATIONS),
    *,
    advance: Callable[[], None],
) -> list[DegradedProbe]:
    """Degrade the second picture of each mated pair, and compare it with the first.

    Pairs of which a picture shows no face, or cannot be read, are left out.

    Args:
        client: the connection.
        pairs: reference and probe.
        degradations: names from :data:`facet.evaluation.quality.degradations.DEGRADATIONS`.
        advance: called once per pair.

    Raises:
        FacetError: the server went away.
    """
    gallery = await create_gallery(client, "quality")

    async def embedded(picture: bytes | Path, *, as_template: bool = False) -> AnalyzedFace | None:
        try:
            answer = await retry_while_busy_async(
                lambda: client.analyze_faces(
                    picture, face=CENTRAL, include_embeddings=True, embed_as_templates=as_template
                )
            )
        except ITEM_ERRORS:
            return None
        return answer.faces[0]

    async def refusal(picture: bytes) -> str:
        try:
            await retry_while_busy_async(
                lambda: client.enroll(gallery.gallery_id, "", picture, face=CENTRAL, validate_only=True)
            )
        except ITEM_ERRORS as error:
            return reason_of(error)
        return ""

    async def degraded(pair: int, name: str, picture: Picture, reference: NDArray[np.float32]) -> DegradedProbe:
        data, mirror_image = _png(picture), _png(np.ascontiguousarray(picture[:, ::-1]))
        found = await embedded(data)
        if found is None:
            return DegradedProbe(pair, name, NO_FACE, {})
        mirrored = await embedded(mirror_image)
        measures = {
            QUALITY: found.face.quality.value,
            "sharpness": found.face.quality.sharpness,
            "detector score": found.face.score,
            "mirror agreement": -1.0 if mirrored is None else float(_vector(found) @ _vector(mirrored)),
        }
        return DegradedProbe(pair, name, float(_vector(found) @ reference), measures, await refusal(data))

    async def compare(numbered: tuple[int, tuple[Path, Path]]) -> list[DegradedProbe]:
        number, (first, second) = numbered
        try:
            reference, probe = await embedded(first, as_template=True), await embedded(second)
            clean = cv2.imread(str(second))
            if reference is None or probe is None or clean is None:
                return []
            picture, landmarks = np.asarray(clean, np.uint8), _landmarks(probe)
            return [
                await degraded(number, name, DEGRADATIONS[name](picture, landmarks), _vector(reference))
                for name in degradations
            ]
        finally:
            advance()

    try:
        answers = await call_all(list(enumerate(pairs)), compare, name=lambda each: str(each[1][1]))
    finally:
        await delete_gallery(client, gallery.gallery_id)
    return [probe for index in sorted(answers.by_item) for probe in answers.by_item[index]]


def _png(picture: Picture) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def _vector(face: AnalyzedFace) -> NDArray[np.float32]:
    return np.array(face.embedding.values, np.float32)


def _landmarks(face: AnalyzedFace) -> NDArray[np.float32]:
    found = face.face.landmarks
    points = (found.left_eye, found.right_eye, found.nose, found.left_mouth, found.right_mouth)
    return np.array([(each.x, each.y) for each in points], np.float32)
