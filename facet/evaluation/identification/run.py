"""Open-set identification through the service: enrol a gallery of its own, search with every probe, delete it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

from facet import CENTRAL, AsyncClient, FacetError
from facet.client.requests import enroll_request
from facet.client.retry import retry_while_busy_async
from facet.evaluation.calls import IN_FLIGHT, ITEM_ERRORS, Stopped, call_all, delete_gallery, reason_of
from facet.evaluation.datasets.protocol import Entry, Protocol
from facet.evaluation.identification.figures import Candidate, Search
from facet.v1.gallery_service_pb2 import EnrollFaceResponse
from facet.v1.recognition_service_pb2 import DECISION_MATCH, DECISION_REFUSED

NO_FACE = "FACE_NOT_FOUND"
TOO_POOR = "DECISION_REFUSED"
"""The failure of a probe whose face the service found too poor to search with."""
CANDIDATES = 100
"""Subjects asked for a probe, the most that the service answers: smaller galleries are told from them."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What became of a picture of the gallery; the mated probes of a subject without any template are misses.

    Attributes:
        image: the picture.
        subject: whose it is.
        failure: the stable reason why it was not enrolled; empty where it was.
    """

    image: str
    subject: str
    failure: str = ""


@dataclass(frozen=True, slots=True)
class IdentificationRun:
    """What the service answered.

    Attributes:
        searches: one for every probe, in the order of the protocol; where the server went away, those before.
        pictures: one for every picture of the gallery, in the order of the protocol; where the server went away, those
            before.
        templates: the pictures that each subject's templates are from, by subject, in the order of the protocol.
        threshold: by which the gallery decided, a float32.
        stopped: where the server went away; ``None`` where it did not.
        left_behind: the id of the gallery, where it could not be deleted; empty where it was.
    """

    searches: tuple[Search, ...]
    pictures: tuple[Enrolled, ...]
    templates: Mapping[str, tuple[str, ...]]
    threshold: float
    stopped: Stopped | None = None
    left_behind: str = ""


@dataclass(slots=True)
class _Gallery:
    """What became of the pictures of the gallery, by their places in the protocol.

    Attributes:
        failures: why they were not enrolled; empty of those that were.
        templates: the first picture that each template is from, by its id.
        stopped: where the server went away.
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
    advance: Callable[[], None],
) -> IdentificationRun:
    """Enrol and search. The face of a labelled picture is its central one, in the gallery and in probes.

    Where the server goes away in the middle the run is of what was done before. Where it depends on those before
    whether a picture is enrolled, because look-alikes are refused or a subject has more pictures than it may have
    templates, each waits for the one before, so that two runs do the same.

    Args:
        client: the connection.
        protocol: the labelled set.
        accept_low_quality: enrol faces that the service finds too small, too blurred or too turned.
        accept_lookalike: enrol faces that look like another subject's.
        advance: called once for every picture that is done.

    Raises:
        FacetError: the server went away before it did anything, or refuses everything.
    """
    gallery = await client.create_gallery(f"evaluation-{uuid4()}", display_name="a running evaluation")
    left_behind = gallery.gallery_id
    try:
        enrolled = await _enroll(
            client,
            gallery.gallery_id,
            protocol,
            advance,
            accept_low_quality=accept_low_quality,
            accept_lookalike=accept_lookalike,
        )
        searches: tuple[Search, ...] = ()
        stopped = enrolled.stopped
        if stopped is None:
            searches, stopped = await _search_all(client, gallery.gallery_id, protocol, enrolled, advance)
    finally:
        if await delete_gallery(client, gallery.gallery_id):
            left_behind = ""
    templates: dict[str, list[str]] = {}
    for place in sorted(enrolled.templates.values()):
        templates.setdefault(protocol.gallery[place].subject, []).append(protocol.gallery[place].image)
    return IdentificationRun(
        searches=searches,
        pictures=tuple(
            Enrolled(protocol.gallery[place].image, protocol.gallery[place].subject, failure)
            for place, failure in sorted(enrolled.failures.items())
        ),
        templates={subject: tuple(images) for subject, images in templates.items()},
        threshold=gallery.threshold,
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
) -> _Gallery:
    async def enroll(entry: Entry) -> EnrollFaceResponse | str:
        try:
            request = enroll_request(
                gallery_id,
                entry.subject,
                entry.path,
                face=CENTRAL,
                accept_low_quality=accept_low_quality,
                accept_lookalike=accept_lookalike,
            )
            return await retry_while_busy_async(lambda: client.galleries.EnrollFace(request))
        except ITEM_ERRORS as error:
            return reason_of(error)
        finally:
            advance()

    in_turn = not accept_lookalike or await _too_many_of_one(client, protocol)
    found = await call_all(
        protocol.gallery, enroll, name=lambda entry: entry.image, in_flight=1 if in_turn else IN_FLIGHT
    )
    done = _Gallery()
    for place, answer in found.by_item.items():
        done.failures[place] = answer if isinstance(answer, str) else ""
        if not isinstance(answer, str):
            done.templates.setdefault(answer.template.template_id, place)
    if found.stopped:
        done.stopped = replace(found.stopped, of=len(protocol.gallery) + len(protocol.probes))
    return done


async def _too_many_of_one(client: AsyncClient, protocol: Protocol) -> bool:
    """Whether a subject has so many pictures that the server will refuse those that come last."""
    info = await client.get_server_info()
    return max(Counter(entry.subject for entry in protocol.gallery).values()) > info.limits.max_templates_per_subject


async def _search_all(
    client: AsyncClient, gallery_id: str, protocol: Protocol, enrolled: _Gallery, advance: Callable[[], None]
) -> tuple[tuple[Search, ...], Stopped | None]:
    images = {template: protocol.gallery[place].image for template, place in enrolled.templates.items()}
    before, pictures = len(protocol.gallery), len(protocol.gallery) + len(protocol.probes)

    async def search(probe: Entry) -> Search:
        searched = await _search(client, gallery_id, probe, images)
        advance()
        return searched

    try:
        found = await call_all(protocol.probes, search, name=lambda probe: probe.image)
    except FacetError as error:
        return (), Stopped(protocol.probes[0].image, before, pictures, reason_of(error))
    stopped = found.stopped and replace(found.stopped, done=before + found.stopped.done, of=pictures)
    return tuple(found.by_item.values()), stopped


async def _search(client: AsyncClient, gallery_id: str, probe: Entry, images: Mapping[str, str]) -> Search:
    mated = probe.role == "mated"
    try:
        answer = await retry_while_busy_async(
            lambda: client.identify(gallery_id, probe.path, face=CENTRAL, top_k=CANDIDATES)
        )
    except ITEM_ERRORS as error:
        return Search(probe.image, probe.subject, mated, failure=reason_of(error))
    whose = answer.faces[0].identification
    if whose.decision == DECISION_REFUSED:
        return Search(probe.image, probe.subject, mated, failure=TOO_POOR)
    candidates = tuple(
        Candidate(each.subject_id, each.similarity, images.get(each.template_id, "")) for each in whose.candidates
    )
    return Search(probe.image, probe.subject, mated, candidates, matched=whose.decision == DECISION_MATCH)
