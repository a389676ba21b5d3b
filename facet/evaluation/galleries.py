"""Galleries that an evaluation creates for itself and deletes at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from facet import CENTRAL, AsyncClient, FacetError
from facet.client.retry import retry_while_busy_async
from facet.evaluation.calls import IN_FLIGHT, ITEM_ERRORS, Answers, call_all, reason_of
from facet.evaluation.datasets.protocol import Entry
from facet.evaluation.rotation import rotated
from facet.v1.gallery_service_pb2 import EnrollFaceResponse, Gallery


def gallery_id_of(prefix: str = "evaluation") -> str:
    """An id that no other gallery has."""
    return f"{prefix}-{uuid4()}"


@dataclass(frozen=True, slots=True)
class Deciding:
    """How a gallery decides.

    Attributes:
        threshold: the least similarity of a match, [-1, 1]; ``None`` for the server's default.
        mean_of_best: a subject's similarity is the mean over this many of its templates; ``None`` for 1.
    """

    threshold: float | None = None
    mean_of_best: int | None = None


async def create_gallery(
    client: AsyncClient, prefix: str = "evaluation", *, gallery_id: str = "", deciding: Deciding | None = None
) -> Gallery:
    """Create an empty gallery, with an id of its own unless one is given."""
    deciding = deciding or Deciding()
    return await client.create_gallery(
        gallery_id or gallery_id_of(prefix),
        display_name="evaluation in progress",
        threshold=deciding.threshold,
        mean_of_best=deciding.mean_of_best,
    )


async def delete_gallery(client: AsyncClient, gallery_id: str) -> bool:
    """Delete a gallery with its subjects. Returns whether that succeeded: the server may be gone."""
    try:
        await client.delete_gallery(gallery_id, force=True)
    except FacetError:
        return False
    return True


async def enroll_entries(
    client: AsyncClient,
    gallery_id: str,
    entries: Sequence[Entry],
    *,
    accept_low_quality: bool,
    accept_lookalike: bool,
    rotate: int = 0,
    advance: Callable[[], None],
    in_flight: int = IN_FLIGHT,
) -> Answers[EnrollFaceResponse | str]:
    """Enrol the central face of every picture. The answer to a refused picture is the stable reason.

    Args:
        client: the connection.
        gallery_id: the gallery.
        entries: subjects and pictures.
        accept_low_quality: also enrol faces that are too small, dark, noisy, overexposed, blurred, covered, turned
            away, or a negative.
        accept_lookalike: also enrol faces that look like another subject, or unlike their own.
        rotate: turn every picture clockwise by so many degrees before it is sent.
        advance: called once per finished picture.
        in_flight: number of concurrent calls; with 1 the pictures are enrolled in their order.

    Raises:
        FacetError: the server went away before it answered anything.
    """

    async def enroll(entry: Entry) -> EnrollFaceResponse | str:
        try:
            source = await asyncio.to_thread(rotated, entry.path, rotate)
            return await retry_while_busy_async(
                lambda: client.enroll(
                    gallery_id,
                    entry.subject,
                    source,
                    face=CENTRAL,
                    accept_low_quality=accept_low_quality,
                    accept_lookalike=accept_lookalike,
                    accept_unlike=accept_lookalike,
                )
            )
        except ITEM_ERRORS as error:
            return reason_of(error)
        finally:
            advance()

    return await call_all(entries, enroll, name=lambda entry: entry.image, in_flight=in_flight)
