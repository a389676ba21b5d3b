"""Open-set identification through the service: enrol a gallery of its own, search with every probe, delete it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from uuid import uuid4

from evaluation.calls import OF_ONE_ITEM, all_of, patiently, reason_of
from evaluation.identification import Search
from evaluation.protocol import Entry, Protocol
from facet import CENTRAL, AsyncClient, from_status
from facet.requests import enroll_request
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1.recognition_service_pb2 import DECISION_MATCH, DECISION_REFUSED

NO_FACE = "FACE_NOT_FOUND"
TOO_POOR = "DECISION_REFUSED"
"""The failure of a probe whose face the service found too poor to search with."""


@dataclass(frozen=True, slots=True)
class EnrollmentFailure:
    """A picture of the gallery that was not enrolled; the mated probes of a subject without any are misses.

    Attributes:
        image: the picture.
        subject: who should have been enrolled.
        reason: the stable reason that the service gave.
    """

    image: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class IdentificationRun:
    """What the service answered.

    Attributes:
        searches: one for every probe, in the order of the protocol.
        not_enrolled: the pictures of the gallery that were refused.
        threshold: by which the gallery decided.
    """

    searches: tuple[Search, ...]
    not_enrolled: tuple[EnrollmentFailure, ...]
    threshold: float


async def run_identification(
    client: AsyncClient,
    protocol: Protocol,
    *,
    accept_low_quality: bool,
    accept_lookalike: bool,
    advance: Callable[[], None],
) -> IdentificationRun:
    """Enrol and search. The face of a labelled picture is its central one, in the gallery and in probes.

    Args:
        client: the connection.
        protocol: the labelled set.
        accept_low_quality: enrol faces that the service finds too small, too blurred or too turned.
        accept_lookalike: enrol faces that look like another subject's.
        advance: called once for every picture that is done.

    Raises:
        FacetError: the server went away, or refuses everything.
        OSError: a picture cannot be read.
    """
    gallery = await client.create_gallery(f"evaluation-{uuid4()}", display_name="a running evaluation")
    try:

        async def requests() -> AsyncIterator[gallery_pb.EnrollBatchRequest]:
            for index, entry in enumerate(protocol.gallery):
                request = enroll_request(
                    gallery.gallery_id,
                    entry.subject,
                    entry.path,
                    face=CENTRAL,
                    accept_low_quality=accept_low_quality,
                    accept_lookalike=accept_lookalike,
                )
                yield gallery_pb.EnrollBatchRequest(item_id=str(index), enrollment=request)

        refused: dict[int, str] = {}
        async for answer in client.galleries.EnrollBatch(requests()):
            if answer.status.code:
                refused[int(answer.item_id)] = reason_of(from_status(answer.status))
            advance()

        async def search(probe: Entry) -> Search:
            found = await _search(client, gallery.gallery_id, probe)
            advance()
            return found

        searches = await all_of(protocol.probes, search)
    finally:
        await client.galleries.DeleteGallery(gallery_pb.DeleteGalleryRequest(gallery_id=gallery.gallery_id, force=True))
    not_enrolled = [
        EnrollmentFailure(protocol.gallery[index].image, protocol.gallery[index].subject, reason)
        for index, reason in sorted(refused.items())
    ]
    return IdentificationRun(tuple(searches), tuple(not_enrolled), gallery.threshold)


async def _search(client: AsyncClient, gallery_id: str, probe: Entry) -> Search:
    mated = probe.role == "mated"
    try:
        answer = await patiently(lambda: client.identify(gallery_id, probe.path, face=CENTRAL, top_k=1))
    except OF_ONE_ITEM as error:
        return Search(probe.image, probe.subject, mated, failure=reason_of(error))
    whose = answer.faces[0].identification
    if whose.decision == DECISION_REFUSED:
        return Search(probe.image, probe.subject, mated, failure=TOO_POOR)
    if not whose.candidates:
        return Search(probe.image, probe.subject, mated)
    best = whose.candidates[0]
    return Search(
        probe.image,
        probe.subject,
        mated,
        candidate=best.subject_id,
        similarity=best.similarity,
        matched=whose.decision == DECISION_MATCH,
    )
