"""Searches galleries for duplicates, on threads that let all others run first."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from facet.server.access import share
from facet.server.background import on_executor
from facet.server.calls.messages import current_pace
from facet.server.errors import DuplicateSearchUnderWay, InvalidField
from facet.server.scheduling.work import Work
from facet.server.services.transfer_places import TransferPlaces
from facet.server.wire import convert, validate
from facet.server.wire.terms import timestamp
from facet.v1 import gallery_service_pb2 as pb
from gallery.duplicates.duplicate_finder import LEAST_CHANCE, MAX_FINDINGS, SearchProgress
from gallery.duplicates.findings import Finding, FindingKind
from gallery.galleries import Galleries
from gallery.records.policies import GalleryPolicy
from gallery.records.templates import StoredFace
from gallery.search_pool import BACKGROUND, lower_priority

_DEFAULT_CHANCE, _DEFAULT_FINDINGS = 0.5, 1000
_FINDINGS_PER_MESSAGE = 16
"""Two crops of each, of at most 64 KiB: a message is far below the limit of clients."""
_KINDS = {
    FindingKind.SAME_PERSON: pb.DuplicateFinding.KIND_SAME_PERSON,
    FindingKind.OTHER_SUBJECT: pb.DuplicateFinding.KIND_OTHER_SUBJECT,
    FindingKind.UNLIKE_SUBJECT: pb.DuplicateFinding.KIND_UNLIKE_SUBJECT,
}


@dataclass(frozen=True, slots=True)
class _Wanted:
    gallery_id: str
    least_chance: float
    max_findings: int
    resume_token: str
    include_crops: bool


class DuplicateSearches:
    """Searches for duplicates, in each gallery one at a time.

    Args:
        galleries: the galleries.
        max_concurrent: searches that may run at the same time.
    """

    def __init__(self, galleries: Galleries, *, max_concurrent: int) -> None:
        self._galleries = galleries
        self._places = TransferPlaces(max_concurrent, DuplicateSearchUnderWay)
        self._threads = ThreadPoolExecutor(
            max_concurrent, thread_name_prefix="duplicates", initializer=partial(lower_priority, BACKGROUND)
        )

    async def find(
        self, request: pb.FindDuplicatesRequest, work: Work
    ) -> AsyncGenerator[pb.FindDuplicatesResponse, None]:
        """Yield the messages of a search.

        Raises:
            InvalidField: a field is out of range.
            DuplicateSearchUnderWay: this gallery, or the maximum number of galleries, is being searched already.
            RequestExpired: the deadline passed.
            GalleryError: see :meth:`gallery.duplicates.duplicate_finder.DuplicateFinder.find`.
        """
        wanted = _wanted(request)
        with self._places.entered(share.current(), current_pace(), wanted.gallery_id):
            messages = self._messages(wanted, work)
            while (
                message := await on_executor(self._threads, partial(next, messages, None), work.abandon)
            ) is not None:
                yield message

    def close(self) -> None:
        """Let the threads end; those that work end after their step."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _messages(self, wanted: _Wanted, work: Work) -> Iterator[pb.FindDuplicatesResponse]:
        finder = self._galleries.duplicates
        if wanted.include_crops:
            finder.note_copy(wanted.gallery_id)
        steps = finder.find(
            wanted.gallery_id,
            least_chance=wanted.least_chance,
            limit=wanted.max_findings,
            token=wanted.resume_token,
            check=work.check,
        )
        policy = self._galleries.policy(wanted.gallery_id)
        for step in steps:
            found = (self._finding(each, policy, wanted) for each in step.findings)
            findings = [each for each in found if each is not None]
            yield from _split(step, findings)

    def _finding(self, finding: Finding, policy: GalleryPolicy, wanted: _Wanted) -> pb.DuplicateFinding | None:
        """Convert a finding; ``None`` if one of its templates is gone."""
        finder = self._galleries.duplicates
        own = finder.face(wanted.gallery_id, finding.subject_id, finding.template_id)
        other = finder.face(wanted.gallery_id, finding.other_subject_id, finding.other_template_id)
        if own is None or other is None:
            return None
        return pb.DuplicateFinding(
            kind=_KINDS[finding.kind],
            chance=finding.chance,
            similarity=finding.similarity,
            template=_found_template(own, policy, include_crops=wanted.include_crops),
            other_template=_found_template(other, policy, include_crops=wanted.include_crops),
            template_ids=finding.template_ids,
            own_similarity=finding.own_similarity,
        )


def _split(step: SearchProgress, findings: list[pb.DuplicateFinding]) -> Iterator[pb.FindDuplicatesResponse]:
    """Yield the messages of a step; only the last one has the token, because a search goes on after whole steps."""
    starts = range(0, max(1, len(findings)), _FINDINGS_PER_MESSAGE)
    for start in starts:
        is_last = start == starts[-1]
        yield pb.FindDuplicatesResponse(
            findings=findings[start : start + _FINDINGS_PER_MESSAGE],
            templates_done=step.templates_done,
            template_count=step.templates,
            resume_token=step.resume_token if is_last else "",
        )


def _found_template(face: StoredFace, policy: GalleryPolicy, *, include_crops: bool) -> pb.FoundTemplate | None:
    if face.template is None:
        return None
    return pb.FoundTemplate(
        template=convert.template(face.template, policy),
        display_name=face.subject.display_name,
        crop=(face.crop or b"") if include_crops else b"",
        subject_create_time=timestamp(face.subject.create_time),
    )


def _wanted(request: pb.FindDuplicatesRequest) -> _Wanted:
    least_chance = request.least_chance if request.HasField("least_chance") else _DEFAULT_CHANCE
    if not LEAST_CHANCE <= least_chance <= 1:
        raise InvalidField("least_chance", f"must be {LEAST_CHANCE} to 1, is {least_chance}")
    if request.max_findings > MAX_FINDINGS:
        raise InvalidField("max_findings", f"must be at most {MAX_FINDINGS}, is {request.max_findings}")
    return _Wanted(
        gallery_id=validate.gallery_id(request.gallery_id),
        least_chance=least_chance,
        max_findings=request.max_findings or _DEFAULT_FINDINGS,
        resume_token=request.resume_token,
        include_crops=request.include_crops,
    )
