"""Open-set identification through the service: create a gallery, enrol, search with every probe, delete it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from facet import CENTRAL, AsyncClient, FacetError
from facet.client.retry import retry_while_busy_async
from facet.evaluation.calls import IN_FLIGHT, ITEM_ERRORS, Stopped, call_all, reason_of
from facet.evaluation.datasets.protocol import Entry, Protocol
from facet.evaluation.galleries import Deciding, create_gallery, delete_gallery, enroll_entries, gallery_id_of
from facet.evaluation.identification.searches import Candidate, Search
from facet.evaluation.rotation import rotated
from facet.v1.recognition_service_pb2 import DECISION_MATCH, DECISION_REFUSED

NO_FACE = "FACE_NOT_FOUND"
TOO_POOR = "DECISION_REFUSED"
"""The failure of a probe whose face is too poor to search with."""
CANDIDATES = 100
"""Candidates requested per probe, the server's maximum: the answers of smaller galleries follow from them."""


@dataclass(frozen=True, slots=True)
class GalleryPicture:
    """A picture of the gallery after enrolment.

    Attributes:
        image: the picture.
        subject: the person in it.
        failure: the stable reason why it was not enrolled; empty on success.
    """

    image: str
    subject: str
    failure: str = ""


@dataclass(frozen=True, slots=True)
class IdentificationRun:
    """The answers of the service, in the order of the protocol. They end where the server went away.

    Attributes:
        searches: one for every probe.
        pictures: one for every picture of the gallery.
        templates: the pictures of each subject's templates, by subject.
        threshold: the gallery's threshold, a float32.
        mean_of_best: the gallery's, see :class:`Deciding`.
        stopped: where the server went away; ``None`` if it did not.
        left_behind: id of the gallery if it could not be deleted; otherwise empty.
    """

    searches: tuple[Search, ...]
    pictures: tuple[GalleryPicture, ...]
    templates: Mapping[str, tuple[str, ...]]
    threshold: float
    mean_of_best: int = 1
    stopped: Stopped | None = None
    left_behind: str = ""


@dataclass(slots=True)
class _Enrollment:
    """The enrolled gallery, with its pictures by their index in the protocol.

    Attributes:
        failures: the reason why a picture was not enrolled; empty on success.
        templates: the first picture of each template, by template id.
        stopped: where the server went away; ``None`` if it did not.
    """

    failures: dict[int, str] = field(default_factory=dict)
    templates: dict[str, int] = field(default_factory=dict)
    stopped: Stopped | None = None


async def run_identification(
    client: AsyncClient,
    protocol: Protocol,
    *,
    accept_low_quality: bool,
    accept_lookalike: bool,
    rotate: int = 0,
    gallery_id: str = "",
    deciding: Deciding | None = None,
    advance: Callable[[], None],
) -> IdentificationRun:
    """Enrol the gallery and search with every probe, both with the central face of the picture.

    If the server goes away, the run covers what was done before. Pictures are enrolled one at a time if one can decide
    whether a later one is enrolled, because look-alikes are refused or a subject has more pictures than templates
    allowed. So two runs give the same result.

    Args:
        client: the connection.
        protocol: the labelled set.
        accept_low_quality: also enrol faces that are too small, dark, noisy, overexposed, blurred, covered, turned
            away, or a negative.
        accept_lookalike: also enrol faces that look like another subject, or unlike their own.
        rotate: turn every picture clockwise by so many degrees before it is sent.
        gallery_id: id of the gallery to make; empty for any.
        deciding: how it decides; ``None`` for the server's default.
        advance: called once per finished picture.

    Raises:
        FacetError: the server went away before it answered anything, or refuses everything.
    """
    left_behind = gallery_id = gallery_id or gallery_id_of()
    try:
        gallery = await create_gallery(client, gallery_id=gallery_id, deciding=deciding)
        enrollment = await _enroll(
            client,
            gallery_id,
            protocol,
            advance,
            accept_low_quality=accept_low_quality,
            accept_lookalike=accept_lookalike,
            rotate=rotate,
        )
        searches: tuple[Search, ...] = ()
        stopped = enrollment.stopped
        if stopped is None:
            searches, stopped = await _search_all(client, gallery_id, protocol, enrollment, rotate, advance)
    finally:
        if await delete_gallery(client, gallery_id):
            left_behind = ""
    templates: dict[str, list[str]] = {}
    for index in sorted(enrollment.templates.values()):
        templates.setdefault(protocol.gallery[index].subject, []).append(protocol.gallery[index].image)
    return IdentificationRun(
        searches=searches,
        pictures=tuple(
            GalleryPicture(protocol.gallery[index].image, protocol.gallery[index].subject, failure)
            for index, failure in sorted(enrollment.failures.items())
        ),
        templates={subject: tuple(images) for subject, images in templates.items()},
        threshold=gallery.threshold,
        mean_of_best=gallery.mean_of_best,
        stopped=stopped,
        left_behind=left_behind,
    )


async def _enroll(
    client: AsyncClient,
    gallery_id: str,
    protocol: Protocol,
    advance: Callable[[], None],
    *,
    accept_low_quality: bool,
    accept_lookalike: bool,
    rotate: int,
) -> _Enrollment:
    order_matters = not accept_lookalike or await _exceeds_template_limit(client, protocol)
    answers = await enroll_entries(
        client,
        gallery_id,
        protocol.gallery,
        accept_low_quality=accept_low_quality,
        accept_lookalike=accept_lookalike,
        rotate=rotate,
        advance=advance,
        in_flight=1 if order_matters else IN_FLIGHT,
    )
    enrollment = _Enrollment()
    for index, answer in answers.by_item.items():
        enrollment.failures[index] = answer if isinstance(answer, str) else ""
        if not isinstance(answer, str):
            enrollment.templates.setdefault(answer.template.template_id, index)
    if answers.stopped:
        enrollment.stopped = replace(answers.stopped, of=len(protocol.gallery) + len(protocol.probes))
    return enrollment


async def _exceeds_template_limit(client: AsyncClient, protocol: Protocol) -> bool:
    """Whether a subject has more pictures than templates allowed, so that the server refuses the last ones."""
    info = await client.get_server_info()
    return max(Counter(entry.subject for entry in protocol.gallery).values()) > info.limits.max_templates_per_subject


async def _search_all(
    client: AsyncClient,
    gallery_id: str,
    protocol: Protocol,
    enrollment: _Enrollment,
    rotate: int,
    advance: Callable[[], None],
) -> tuple[tuple[Search, ...], Stopped | None]:
    images = {template: protocol.gallery[index].image for template, index in enrollment.templates.items()}
    enrolled, total = len(protocol.gallery), len(protocol.gallery) + len(protocol.probes)

    async def search(probe: Entry) -> Search:
        answer = await _search(client, gallery_id, probe, images, rotate)
        advance()
        return answer

    try:
        answers = await call_all(protocol.probes, search, name=lambda probe: probe.image)
    except FacetError as error:
        return (), Stopped(protocol.probes[0].image, enrolled, total, reason_of(error))
    stopped = answers.stopped and replace(answers.stopped, done=enrolled + answers.stopped.done, of=total)
    return tuple(answers.by_item.values()), stopped


async def _search(client: AsyncClient, gallery_id: str, probe: Entry, images: Mapping[str, str], rotate: int) -> Search:
    mated = probe.role == "mated"
    try:
        source = await asyncio.to_thread(rotated, probe.path, rotate)
        answer = await retry_while_busy_async(
            lambda: client.identify(gallery_id, source, face=CENTRAL, top_k=CANDIDATES)
        )
    except ITEM_ERRORS as error:
        return Search(probe.image, probe.subject, mated, failure=reason_of(error))
    identification = answer.faces[0].identification
    if identification.decision == DECISION_REFUSED:
        return Search(probe.image, probe.subject, mated, failure=TOO_POOR)
    candidates = tuple(
        Candidate(each.subject_id, each.similarity, images.get(each.template_id, ""))
        for each in identification.candidates
    )
    return Search(probe.image, probe.subject, mated, candidates, matched=identification.decision == DECISION_MATCH)
