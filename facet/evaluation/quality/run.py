"""Quality through the service: degraded probes of mated pairs, with their quality and their similarity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facet import CENTRAL, AsyncClient
from facet.client.retry import retry_while_busy_async
from facet.evaluation.calls import ITEM_ERRORS, call_all
from facet.evaluation.quality.degradations import DEGRADATIONS

NO_FACE = -2.0
"""Similarity of a probe in which no face is found."""


@dataclass(frozen=True, slots=True)
class DegradedProbe:
    """One degraded picture of a mated pair.

    Attributes:
        degradation: its name.
        quality: as the service measures it, [0, 1]; 0 without a face.
        similarity: cosine similarity to the undegraded reference; :data:`NO_FACE` without a face.
    """

    degradation: str
    quality: float
    similarity: float

    @property
    def found(self) -> bool:
        """Whether a face was found."""
        return self.similarity > NO_FACE


async def run_quality(
    client: AsyncClient, pairs: Sequence[tuple[Path, Path]], *, advance: Callable[[], None]
) -> list[DegradedProbe]:
    """Degrade the second picture of each mated pair in every way, and compare it with the first.

    Pairs whose reference shows no face, or cannot be read, are left out.

    Args:
        client: the connection.
        pairs: reference and probe.
        advance: called once per pair.

    Raises:
        FacetError: the server went away.
    """

    async def embedded(
        picture: Path | NDArray[np.uint8], *, as_template: bool
    ) -> tuple[float, NDArray[np.float32]] | None:
        data = picture if isinstance(picture, Path) else cv2.imencode(".png", picture)[1].tobytes()
        try:
            answer = await retry_while_busy_async(
                lambda: client.analyze_faces(
                    data, face=CENTRAL, include_embeddings=True, embed_as_templates=as_template
                )
            )
        except ITEM_ERRORS:
            return None
        face = answer.faces[0]
        return face.face.quality.value, np.array(face.embedding.values, np.float32)

    async def compare(pair: tuple[Path, Path]) -> list[DegradedProbe]:
        try:
            reference = await embedded(pair[0], as_template=True)
            clean = cv2.imread(str(pair[1]))
            if reference is None or clean is None:
                return []
            probes = []
            for name, degrade in DEGRADATIONS.items():
                found = await embedded(degrade(np.asarray(clean, np.uint8)), as_template=False)
                quality, similarity = (0.0, NO_FACE) if found is None else (found[0], float(found[1] @ reference[1]))
                probes.append(DegradedProbe(name, quality, similarity))
            return probes
        finally:
            advance()

    answers = await call_all(pairs, compare, name=lambda pair: str(pair[1]))
    return [probe for index in sorted(answers.by_item) for probe in answers.by_item[index]]
