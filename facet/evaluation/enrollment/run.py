"""Embeds the pictures of people as enrolment does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facet import CENTRAL, AsyncClient
from facet.client.retry import retry_while_busy_async
from facet.evaluation.calls import ITEM_ERRORS, Stopped, call_all, reason_of
from facet.evaluation.datasets.protocol import Entry


@dataclass(frozen=True, slots=True)
class EnrollmentRun:
    """The answers of the service.

    Attributes:
        entries: the pictures that were embedded.
        embeddings: of the central face of each, float32 ``(n, d)``, unit length.
        refused: reasons by the names of the other pictures.
        stopped: where the server went away; ``None`` if it did not.
    """

    entries: tuple[Entry, ...]
    embeddings: NDArray[np.float32]
    refused: dict[str, str]
    stopped: Stopped | None


async def run_enrollment(
    client: AsyncClient, entries: Sequence[Entry], *, advance: Callable[[], None]
) -> EnrollmentRun:
    """Embed the central face of every picture together with its mirror image, as templates are.

    Args:
        client: the connection.
        entries: subjects and pictures.
        advance: called once per picture.

    Raises:
        FacetError: the server went away before it answered anything.
    """

    async def embed(entry: Entry) -> NDArray[np.float32] | str:
        try:
            answer = await retry_while_busy_async(
                lambda: client.analyze_faces(entry.path, face=CENTRAL, include_embeddings=True, embed_as_templates=True)
            )
        except ITEM_ERRORS as error:
            return reason_of(error)
        finally:
            advance()
        return np.array(answer.faces[0].embedding.values, np.float32)

    answers = await call_all(entries, embed, name=lambda entry: entry.image)
    refused = {entries[index].image: each for index, each in answers.by_item.items() if isinstance(each, str)}
    found = {index: each for index, each in answers.by_item.items() if not isinstance(each, str)}
    embeddings = np.stack([*found.values()]) if found else np.empty((0, 0), np.float32)
    return EnrollmentRun(tuple(entries[index] for index in found), embeddings, refused, answers.stopped)
